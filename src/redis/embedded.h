/*
 * The coordinator's own redis-server, so that one command starts a whole system. It listens on a unix socket in the data
 * directory alone, and keeps an append-only file there. It ends with the coordinator, and the coordinator starts it again when
 * it dies.
 *
 * Two locks protect a data directory. The coordinator holds `coordinator.lock`, so that a second one gets an error. The
 * redis-server and its children hold `redis.lock` (they inherit the descriptor). No new server starts before that lock is free.
 * When a coordinator was killed and its server still runs, the next coordinator in that directory ends that server first.
 */
#ifndef REDIS_EMBEDDED_H
#define REDIS_EMBEDDED_H

#include "base/err.h"
#include "redis/address.h"

#include <stdint.h>

struct embedded;

/*
 * Starts the server and waits until it has read its data and answers. `appendfsync` is "everysec" or "always" and
 * must last as long as the server. Fills in *address. Call it in the main thread, because the server ends with the
 * thread that started it. On ERR_INVALID `why` is one line that says what to do. SIGTERM and SIGINT must be blocked.
 * If one of them comes, the wait and the server end, and the result is ERR_UNAVAILABLE.
 */
MUST_CHECK enum err embedded_start(const char *data_dir, const char *appendfsync, struct embedded **out, struct address *address,
                                   char why[256]);

/* Starts the server again if it has ended. Call it after SIGCHLD, and again after the milliseconds that it returns. */
int32_t embedded_tick(struct embedded *embedded);

/* Ends the server, and waits for at most a second. Its file then has everything that the server has acknowledged. */
void embedded_stop(struct embedded *embedded);

#endif
