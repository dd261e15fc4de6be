/* rejects: readability-function-cognitive-complexity */
int tangle(int a, int b, int c)
{
    int n = 0;
    for (int i = 0; i < a; i++) {
        if (i % 2 == 0) {
            for (int j = 0; j < b; j++) {
                if (j % 3 == 0) {
                    while (n < c) {
                        if (n == i && j > i)
                            n += 2;
                        else if (n == j || n == 7)
                            n += 3;
                        else
                            n++;
                        if (n > 9)
                            break;
                    }
                }
            }
        }
    }
    return n;
}
