/* rejects: banned/strtok.c:6 */
#include <string.h>

char *word(char *text)
{
    return strtok(text, " ");
}
