/*
 * The words for the status of a worker.
 */
#ifndef MODEL_STATUS_H
#define MODEL_STATUS_H

#include "base/str.h"

#include <stdbool.h>

enum worker_status { WORKER_HEALTHY, WORKER_DEGRADED, WORKER_DRAINING, WORKER_OFFLINE, WORKER_STATUS_COUNT };

#define WORKER_STATUS_RULE "must be healthy, degraded, draining or offline"
#define WORKER_STATUS_TOLD_RULE "must be healthy, degraded, draining, offline or online"

/* The words, by enum worker_status; each is followed by a NUL. */
extern const struct str worker_status_words[WORKER_STATUS_COUNT];

/* Finds the status for a word. Returns false, and leaves *out as it is, if the word is not a status. */
bool worker_status_parse(struct str word, enum worker_status *out);

/* The same for a word from an agent, where "online" means healthy. */
bool worker_status_parse_told(struct str word, enum worker_status *out);

#endif
