#include "model/labels.h"

#include "base/ascii.h"
#include "model/id.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

static void append_encoded(struct buffer *out, const char *value)
{
    for (const char *at = value; *at != '\0'; at++) {
        if (strchr("._:-", *at) != NULL || ascii_is_alphanumeric(*at))
            buffer_append(out, (struct str){at, 1});
        else
            buffer_printf(out, "%%%02X", (unsigned)(unsigned char)*at);
    }
}

/* Whether the label is valid; else adds to *faults what is wrong with it. */
static bool check(const cJSON *label, const char *field, struct faults *faults)
{
    struct str name = str_from(label->string);
    if (!id_is_valid(name) || name.len > LABEL_NAME_MAX)
        faults_add(faults, field, "names must be of 1 to %d characters of A-Z a-z 0-9 . _ : -", LABEL_NAME_MAX);
    else if (!cJSON_IsString(label) || strlen(label->valuestring) > LABEL_VALUE_MAX)
        faults_add(faults, field, "%.*s must be a string of at most %d bytes", STR_PRINTF(name), LABEL_VALUE_MAX);
    else
        return true;
    return false;
}

void labels_read(const cJSON *object, const char *field, const char *before, const char *after, struct buffer *out,
                 struct faults *faults)
{
    const cJSON *labels = cJSON_GetObjectItemCaseSensitive(object, "labels");
    const cJSON *sorted[LABELS_MAX], *label;
    size_t count = 0;
    if (labels == NULL || cJSON_IsNull(labels))
        return;
    if (!cJSON_IsObject(labels)) {
        faults_add(faults, field, "must be an object of strings");
        return;
    }
    cJSON_ArrayForEach(label, labels)
    {
        if (count == LABELS_MAX) {
            faults_add(faults, field, "must have at most %d members", LABELS_MAX);
            return;
        }
        if (!check(label, field, faults))
            return;
        sorted[count++] = label;
    }
    qsort(sorted, count, sizeof(*sorted), by_name);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && strcmp(sorted[i]->string, sorted[i - 1]->string) == 0) {
            faults_add(faults, field, "names %s twice", sorted[i]->string);
            return;
        }
    }
    for (size_t i = 0; i < count; i++) {
        buffer_append(out, str_from(before));
        buffer_append(out, str_from(sorted[i]->string));
        buffer_append(out, STR("="));
        append_encoded(out, sorted[i]->valuestring);
        buffer_append(out, str_from(after));
    }
}
