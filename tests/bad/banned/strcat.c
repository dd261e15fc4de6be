/* rejects: banned/strcat.c:6 */
#include <string.h>

void more(char *to, const char *from)
{
    strcat(to, from);
}
