#include "base/faults.h"

#include "base/json_writer.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void faults_fini(struct faults *faults)
{
    free(faults->items);
    *faults = FAULTS_INIT;
}

/* Removes an incomplete UTF-8 character at the end of a text that was cut. */
static void trim_half(char *text)
{
    size_t len = strlen(text), at = len;
    while (at > 0 && len - at < 3 && (text[at - 1] & 0xC0) == 0x80)
        at--;
    if (at > 0 && ((unsigned char)text[at - 1] & 0xC0) == 0xC0 && utf8_length((struct str){text + at - 1, len - at + 1}) == 0)
        text[at - 1] = '\0';
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
    trim_half(fault->field);
    va_list args;
    va_start(args, format);
    vsnprintf(fault->message, sizeof(fault->message), format, args);
    va_end(args);
    trim_half(fault->message);
}

void faults_write(struct buffer *out, const char *member, const struct faults *faults)
{
    json_begin_array(out, member);
    for (size_t i = 0; i < faults->count; i++) {
        json_begin_object(out, NULL);
        json_add_text(out, "field", str_from(faults->items[i].field));
        json_add_text(out, "message", str_from(faults->items[i].message));
        json_end_object(out);
    }
    json_end_array(out);
}
