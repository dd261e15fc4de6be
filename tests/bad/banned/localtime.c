/* rejects: banned/localtime.c:6 */
#include <time.h>

int year(time_t seconds)
{
    return localtime(&seconds)->tm_year + 1900;
}
