/*
 * What happened to a worker, as the stream of events in Redis has it; see lua/KEYS.md.
 */
#ifndef MODEL_EVENT_H
#define MODEL_EVENT_H

#include "base/buffer.h"

#include <stdint.h>

/* The id of an entry of a stream. Later entries have greater ids. */
struct event_id {
    uint64_t milliseconds; /* since 1970, by Redis's clock */
    uint64_t sequence;
};

#define EVENT_ID_MAX 44 /* bytes of an id as text, and its end */

struct event {
    struct event_id id;
    struct str kind;                 /* "registered", "online", "updated", …, or of tasks: "task.dead", "queue.paused", … */
    struct str reason;               /* "timeout", … */
    struct str worker_id;            /* the worker; the next three tell its state after the event */
    struct str tier;                 /* "1" to "4"; empty if it is no longer known */
    struct str status;               /* "healthy", …, "offline", "removed" */
    struct str services;             /* names with commas between */
    struct str task_id, queue, type; /* for an event of tasks; for one of a queue only `queue` */
    struct str drain_reason, drained_from; /* for a drain; absent if not given */
};

/* Reads an id such as "1764020000000-0"; false if the text is not an id. */
bool event_id_parse(struct str text, struct event_id *out);

/* Writes an id into `room`, and returns the text. */
struct str event_id_text(struct event_id id, char room[EVENT_ID_MAX]);

/* Whether `a` came after `b`. */
bool event_id_is_after(struct event_id a, struct event_id b);

/* Whether an event of that kind is about a task or a queue ("task.dead"); else it is about a worker. */
bool event_is_of_tasks(const struct event *event);

/* Appends the event as a JSON object. */
void event_write(struct buffer *out, const struct event *event);

#endif
