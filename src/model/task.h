/*
 * A task as the registry keeps it, and as it is shown. lua/KEYS.md says what each field is.
 */
#ifndef MODEL_TASK_H
#define MODEL_TASK_H

#include "base/buffer.h"

#include <stdint.h>

/* What a row of a listing has; numbers are decimal text, times milliseconds since 1970. The order is that of lua/task_list.lua. */
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

#define TASK_ROW_COUNT TASK_payload /* what a row has stands before the rest */

extern const struct str task_field_names[TASK_FIELD_COUNT];

struct task {
    struct str id;
    struct str fields[TASK_FIELD_COUNT]; /* absent or empty where Redis has none */
};

/* Whether it will never change again by itself. */
bool task_has_ended(const struct task *task);

/* Appends the task as a JSON object; `whole`: with payload, results and history. */
void task_write(struct buffer *out, const struct task *task, bool whole);

/* Appends the members alone, into an object that has been begun. */
void task_write_members(struct buffer *out, const struct task *task, bool whole);

#endif
