/*
 * GET /api/events: the events of the whole fleet, of all instances. Each thread follows the events in Redis for its own streams,
 * and only while it has streams.
 */
#ifndef API_EVENTS_H
#define API_EVENTS_H

#include "http/server.h"
#include "store/store.h"

struct events;

/* `timeout_ms`: a worker that is silent for so long is offline. Lives as long as the program. */
struct events *events_new(struct server_thread *thread, struct store *store, int timeout_ms);

/* To be called at the end of each turn of the loop. Returns the ms until its next call if nothing happens before. */
int32_t events_tick(struct events *events);

#endif
