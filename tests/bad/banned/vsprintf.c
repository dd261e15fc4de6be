/* rejects: banned/vsprintf.c:7 */
#include <stdarg.h>
#include <stdio.h>

void print(char *to, const char *format, va_list args)
{
    vsprintf(to, format, args);
}
