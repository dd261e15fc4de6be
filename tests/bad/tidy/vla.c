/* rejects: clang-diagnostic-vla */
int last(int n)
{
    int numbers[n];
    for (int i = 0; i < n; i++)
        numbers[i] = i;
    return numbers[n - 1];
}
