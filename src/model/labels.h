/*
 * Labels: names and values that a worker has and that a task may demand, as in {"rack": "b"}.
 */
#ifndef MODEL_LABELS_H
#define MODEL_LABELS_H

#include "base/buffer.h"
#include "base/faults.h"

struct cJSON;

#define LABELS_MAX 32
#define LABEL_NAME_MAX 64   /* characters of an id */
#define LABEL_VALUE_MAX 128 /* bytes */

/*
 * Appends the member `labels` of `object`, ordered by name, each as `before`, its name, "=", its value and `after`: in a value,
 * all characters except those of ids are percent-encoded. Faults are added to *faults under `field`. Nothing is appended if
 * there is no such member, or it is null.
 */
void labels_read(const struct cJSON *object, const char *field, const char *before, const char *after, struct buffer *out,
                 struct faults *faults);

#endif
