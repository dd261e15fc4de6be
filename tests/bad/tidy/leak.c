/* rejects: clang-analyzer-unix.Malloc */
#include <stdlib.h>

int first(size_t size)
{
    int *numbers = calloc(size, sizeof(*numbers));
    if (numbers == NULL)
        return -1;
    if (size > 8)
        return 0;
    int result = numbers[0];
    free(numbers);
    return result;
}
