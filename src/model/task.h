/*
 * A task in the registry, and its JSON for clients. lua/KEYS.md describes each field.
 */
#ifndef MODEL_TASK_H
#define MODEL_TASK_H

#include "base/buffer.h"

#include <stdint.h>

/* The fields of a row in a listing, in the order of lua/task_list.lua. Numbers are decimal text, times milliseconds since 1970. */
#define TASK_ROW_FIELDS(X)                                                                                                         \
    X(state)                                                                                                                       \
    X(queue)                                                                                                                       \
    X(type)                                                                                                                        \
    X(priority)                                                                                                                    \
    X(attempts)                                                                                                                    \
    X(max_attempts)                                                                                                                \
    X(created_at)                                                                                                                  \
    X(available_at)                                                                                                                \
    X(started_at)                                                                                                                  \
    X(finished_at)                                                                                                                 \
    X(expires_at)                                                                                                                  \
    X(worker_id)                                                                                                                   \
    X(lease_ms)                                                                                                                    \
    X(requirements) /* JSON */                                                                                                     \
    X(dedup)                                                                                                                       \
    X(progress) /* "percent message" */                                                                                            \
    X(error)                                                                                                                       \
    X(reason)                                                                                                                      \
    X(cancel)

#define TASK_FIELDS(X)                                                                                                             \
    TASK_ROW_FIELDS(X)                                                                                                             \
    X(payload)     /* JSON */                                                                                                      \
    X(result)      /* JSON */                                                                                                      \
    X(late_result) /* JSON */                                                                                                      \
    X(late_by)                                                                                                                     \
    X(result_ttl)                                                                                                                  \
    X(by) /* who has submitted it */                                                                                               \
    X(history)

enum task_field {
#define X(name) TASK_##name,
    TASK_FIELDS(X)
#undef X
        TASK_FIELD_COUNT
};

#define TASK_ROW_COUNT TASK_payload /* the fields of a row come before the rest */

extern const struct str task_field_names[TASK_FIELD_COUNT];

struct task {
    struct str id;
    struct str fields[TASK_FIELD_COUNT]; /* absent or empty if Redis does not have them */
};

/* Whether a task in that state never changes by itself. */
bool task_has_ended(const struct task *task);

/* Appends the task as a JSON object; `whole`: with payload, results and history. */
void task_write(struct buffer *out, const struct task *task, bool whole);

#endif
