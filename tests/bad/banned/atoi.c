/* rejects: banned/atoi.c:6 */
#include <stdlib.h>

int port(const char *text)
{
    return atoi (text);
}
