/*
 * What happened to a worker, as the stream of events in Redis has it; see lua/KEYS.md.
 */
#ifndef MODEL_EVENT_H
#define MODEL_EVENT_H

#include "base/buffer.h"

#include <stdint.h>

/* The id of an entry of a stream: they only ever grow. */
struct event_id {
    uint64_t milliseconds; /* since 1970, by Redis's clock */
    uint64_t sequence;
};

#define EVENT_ID_MAX 44 /* bytes of an id as text, and its end */

struct event {
    struct event_id id;
    struct str kind;                       /* "registered", "online", "updated", "offline", "removed", "conflict", "suspect" */
    struct str reason;                     /* "timeout", … */
    struct str worker_id;                  /* where it stands since: */
    struct str tier;                       /* "1" to "4"; empty where nobody knows any more */
    struct str status;                     /* "healthy", …, "offline", "removed" */
    struct str services;                   /* names with commas between */
    struct str task_id, queue, type;       /* of "task.dead", "task.lost"; the second alone of "queue.paused", "queue.limit" */
    struct str drain_reason, drained_from; /* of a drain, absent where it has none */
};

/* Reads an id, "1764020000000-0"; false when it is none. */
bool event_id_parse(struct str text, struct event_id *out);

/* Writes an id into `room` and returns that. */
struct str event_id_text(struct event_id id, char room[EVENT_ID_MAX]);

/* Whether `a` came after `b`. */
bool event_id_is_after(struct event_id a, struct event_id b);

/* Whether it tells of a task or a queue, by its kind: "task.dead"; else it tells of a worker. */
bool event_is_of_tasks(const struct event *event);

/* Appends the event as a JSON object. */
void event_write(struct buffer *out, const struct event *event);

#endif
