/*
 * A redis-server of the coordinator's own, so that one command is a whole system: on a unix socket in the data directory, reachable
 * from nowhere else, with an append-only file there. It ends with the coordinator and is started again when it dies.
 *
 * Two locks keep a data directory whole. `coordinator.lock` is held by the coordinator: a second one is told so. `redis.lock`
 * is held by the redis-server and what it forks (they inherit the descriptor), and by nobody else: no new server starts before
 * it is free. Whoever starts in a directory where an old one still runs, since its coordinator was killed, ends that one first.
 */
#ifndef REDIS_EMBEDDED_H
#define REDIS_EMBEDDED_H

#include "base/err.h"
#include "redis/address.h"

#include <stdint.h>

struct embedded;

/*
 * Starts it and waits until it has read its data and answers. `appendfsync`, kept: "everysec" or "always". Fills in *address.
 * Must be called by the main thread: the server ends with the thread that started it. On ERR_INVALID `why` is one line that
 * says what to do. SIGTERM and SIGINT must be blocked: either of them ends the waiting, and the server, with ERR_UNAVAILABLE.
 */
MUST_CHECK enum err embedded_start(const char *data_dir, const char *appendfsync, struct embedded **out, struct address *address,
                                   char why[256]);

/* Looks after it: to be called after SIGCHLD, and after the milliseconds it returns. */
int32_t embedded_tick(struct embedded *embedded);

/* Ends it and waits for that, for a second; what it has acknowledged is in its file by then. */
void embedded_stop(struct embedded *embedded);

#endif
