/* rejects: banned/sprintf.c:6 */
#include <stdio.h>

void number(char *to, int n)
{
    sprintf(to, "%d", n);
}
