#include "base/faults.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void faults_fini(struct faults *faults)
{
    free(faults->items);
    *faults = FAULTS_INIT;
}

void faults_add(struct faults *faults, const char *field, const char *format, ...)
{
    if (faults->items == NULL)
        faults->items = malloc((FAULTS_MAX + 1) * sizeof(*faults->items)); /* few requests have faults */
    if (faults->items == NULL)
        abort();
    if (faults->count >= FAULTS_MAX) {
        struct fault *rest = &faults->items[FAULTS_MAX];
        faults->count = FAULTS_MAX + 1;
        faults->more++;
        snprintf(rest->field, sizeof(rest->field), "...");
        snprintf(rest->message, sizeof(rest->message), "and %zu more", faults->more);
        return;
    }
    struct fault *fault = &faults->items[faults->count++];
    snprintf(fault->field, sizeof(fault->field), "%s", field);
    va_list args;
    va_start(args, format);
    vsnprintf(fault->message, sizeof(fault->message), format, args);
    va_end(args);
}

void faults_write(struct buffer *out, const char *member, const struct faults *faults)
{
    buffer_json_string(out, str_from(member));
    buffer_append(out, STR(":["));
    for (size_t i = 0; i < faults->count; i++) {
        buffer_append(out, i > 0 ? STR(",{\"field\":") : STR("{\"field\":"));
        buffer_json_string(out, str_from(faults->items[i].field));
        buffer_append(out, STR(",\"message\":"));
        buffer_json_string(out, str_from(faults->items[i].message));
        buffer_append(out, STR("}"));
    }
    buffer_append(out, STR("]"));
}
