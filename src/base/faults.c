#include "base/faults.h"

#include <stdarg.h>
#include <stdio.h>

void faults_add(struct faults *faults, const char *field, const char *format, ...)
{
    if (faults->count == FAULTS_MAX)
        return;
    struct fault *fault = &faults->items[faults->count++];
    snprintf(fault->field, sizeof(fault->field), "%s", field);
    va_list args;
    va_start(args, format);
    vsnprintf(fault->message, sizeof(fault->message), format, args);
    va_end(args);
}
