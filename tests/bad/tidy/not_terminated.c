/* rejects: bugprone-not-null-terminated-result */
#include <string.h>

void copy(char *to, const char *from)
{
    memcpy(to, from, strlen(from));
}
