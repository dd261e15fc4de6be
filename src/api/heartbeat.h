/*
 * What single heartbeats and bulk heartbeats share.
 */
#ifndef API_HEARTBEAT_H
#define API_HEARTBEAT_H

#include "base/faults.h"
#include "http/request.h"
#include "store/leases.h"
#include "store/store.h"

/* The part of a log line about an unusable member of a heartbeat: the first such member, and never the worker's own text. */
struct ignored_note {
    char field[32];
    char message[sizeof(((struct fault *)NULL)->message)];
};

/* Notes the first entry of `ignored`, which must have one. */
void ignored_note_init(struct ignored_note *note, const struct heartbeat *heartbeat, const struct faults *ignored);

/* Logs the unusable members that are new for this worker, and counts the others. */
void ignored_note_log(const struct ignored_note *note, struct str worker_id, const char *address, const struct beaten *beaten);

/* Whether there is news of tasks for the worker. */
bool heartbeat_has_news(const struct task_news *news);

/* Adds the news to a JSON object: `tasks_waiting`, `tasks_lost`, `tasks_cancel`, each only if it is not empty. */
void heartbeat_write_news(struct buffer *out, const struct task_news *news);

#endif
