/*
 * Labels: names and values that a worker has and a task may demand, as in {"rack": "b"}.
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
 * Appends the member `labels` of `object`, ordered by name, each as `before`, its name, "=", its value and `after`: a value is
 * percent-encoded but for the characters of ids. What is wrong is added to *faults under `field`; nothing is appended when
 * there is no such member, or null.
 */
void labels_read(const struct cJSON *object, const char *field, const char *before, const char *after, struct buffer *out,
                 struct faults *faults);

#endif
