/*
 * One connection to the Redis that takes our writes. The link finds that Redis, connects, greets it (see greeting.h), backs off
 * after failures, and reconnects by itself for ever.
 *
 *        +-------------- retry_at has come ---------------+
 *        |                                                v
 *      DOWN <--- failure, time out --- (SEEKING) -> CONNECTING -> GREETING -> UP
 *        ^                                                                    |
 *        +-- connection lost, no reply in time, no primary any more, MOVED ---+
 *
 * SEEKING asks the Sentinels, where REDIS_URL names them. The link refuses a Redis that is no primary, and leaves one that no
 * longer is.
 *
 * A link belongs to one thread and its loop. No function blocks. The callback of a command runs exactly once, in a later turn
 * or in link_flush.
 */
#ifndef REDIS_LINK_H
#define REDIS_LINK_H

#include "base/err.h"
#include "redis/address.h"
#include "redis/dial.h"
#include "redis/greeting.h"
#include "redis/script.h"

#include <stdint.h>

struct redisReply;
struct st_h2o_evloop_t;
struct st_h2o_multithread_receiver_t;

#define LINK_IN_FLIGHT_MAX 8192    /* commands waiting for a reply; above it new ones are refused */
#define LINK_BYTES_MAX (16 << 20)  /* likewise for their bytes */
#define LINK_REPLY_TIMEOUT_MS 2500 /* a connection silent for so long while commands wait is given up */
#define LINK_REPLICA_TIMEOUT_MS                                                                                                    \
    500 /* likewise to a replica: what it does not answer is asked of the primary, and is to be in time */

/*
 * Receives a command's reply, valid during the call alone. On an error `reply` is NULL. ERR_UNAVAILABLE means that the outcome is
 * unknown: the connection died before the reply came.
 */
typedef void link_callback(void *data, enum err err, const struct redisReply *reply);

struct link;

/*
 * What is to be done on each new connection once it has been greeted and before the link is up. `reply` is NULL at first, later
 * the reply to the command that was appended last. Appends the next command to `out`; nothing when all is done. An error, with
 * `why` in words, makes the link give the connection up and try again. `err` and `reply` are as a link_callback gets them,
 * but an error reply is there, too.
 */
typedef enum err link_opener(void *data, struct link *link, enum err err, const struct redisReply *reply, struct buffer *out,
                             char why[GREETING_WHY_MAX]);

/*
 * Makes a link, which begins to connect. It lives as long as the program, and `address` must live as long. The loop receives
 * the answers of name look-ups through `resolver`.
 */
struct link *link_new(struct st_h2o_evloop_t *loop, struct st_h2o_multithread_receiver_t *resolver, const struct address *address);

/* To be called before the link's first turn. Those that are made alike do the same. */
void link_set_opener(struct link *link, link_opener *opener, void *data);

/* What the Redis at the other end says of itself; and whether it was loading its data when it was tried before. */
const struct greeting_server *link_server(const struct link *link);
bool link_has_loaded(const struct link *link);

/* Makes another one to the same place, in the same loop. */
struct link *link_new_alike(const struct link *link);

bool link_is_up(const struct link *link);

/*
 * What the link was made with, for a second connection of the same thread: its address, and a dial that has its loop and
 * resolver and nothing else.
 */
const struct address *link_address(const struct link *link);
struct dial link_dial(const struct link *link);

/* The place of the Redis while the link is up; an empty one for a unix socket. Valid until the link's next turn. */
const struct endpoint *link_endpoint(const struct link *link);

/*
 * ERR_NONE while the link is up; else why it is not, as far as Redis said: ERR_LOADING, ERR_READONLY and others, or
 * ERR_UNAVAILABLE.
 */
enum err link_check(const struct link *link);

/* Why it is not up, in words; empty when nobody has said. Valid until the link's next turn. */
const char *link_why(const struct link *link);

/* How many replicas Redis demanded for writes (min-replicas-to-write) when it was greeted. */
int link_min_replicas(const struct link *link);

/*
 * Sends a command, whose bytes are taken out of `command` in any case. On ERR_UNAVAILABLE (not connected) and ERR_OVERLOADED
 * (too much in flight) it was not sent and the callback never runs.
 */
MUST_CHECK enum err link_send(struct link *link, struct buffer *command, link_callback *callback, void *data);

/*
 * Likewise for an EVALSHA made by script_begin. When Redis has lost its scripts, the link loads them again; the caller does not
 * notice.
 */
MUST_CHECK enum err link_run(struct link *link, enum script script, struct buffer *command, link_callback *callback, void *data);

/* Writes what was sent so far, without waiting for the end of the turn. If that breaks the connection, callbacks run at once. */
void link_flush(struct link *link);

/*
 * Writes what was sent in this turn, ends what is late, reconnects. Call it at the end of each turn of the loop. Returns the
 * milliseconds after which to call it again if nothing happens before.
 */
int32_t link_tick(struct link *link);

#endif
