/*
 * What the heartbeats of one worker and of many have in common.
 */
#ifndef API_HEARTBEAT_H
#define API_HEARTBEAT_H

#include "base/faults.h"
#include "http/request.h"
#include "store/leases.h"
#include "store/store.h"

/* What the log tells about a heartbeat that had something unusable: the first such member, and never the worker's own text. */
struct ignored_note {
    char field[32];
    char message[sizeof(((struct fault *)NULL)->message)];
};

/* `ignored` has an entry. */
void ignored_note_init(struct ignored_note *note, const struct heartbeat *heartbeat, const struct faults *ignored);

/* Logs what could not be used where it is new of this worker, else counts it. */
void ignored_note_log(const struct ignored_note *note, struct str worker_id, const char *address, const struct beaten *beaten);

/* Whether there is anything to tell a worker of its tasks. */
bool heartbeat_has_news(const struct task_news *news);

/* Adds it to an object of JSON: `tasks_waiting`, `tasks_lost`, `tasks_cancel`, those that say something. */
void heartbeat_write_news(struct buffer *out, const struct task_news *news);

#endif
