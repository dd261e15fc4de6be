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
 * In SEEKING the link asks the Sentinels, if REDIS_URL names them. The link refuses a Redis that is no primary, and
 * leaves a Redis that stops being the primary.
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

#define LINK_IN_FLIGHT_MAX 8192     /* commands that wait for a reply; above this number new ones are refused */
#define LINK_BYTES_MAX (16 << 20)   /* the same limit for their bytes */
#define LINK_REPLY_TIMEOUT_MS 2500  /* a connection that is silent for so long while commands wait is given up */
#define LINK_REPLICA_TIMEOUT_MS 500 /* the same for a replica: there must be time left to ask the primary instead */

/*
 * Receives a command's reply, valid during the call alone. On an error `reply` is NULL. ERR_UNAVAILABLE means that the outcome is
 * unknown: the connection died before the reply came.
 */
typedef void link_callback(void *data, enum err err, const struct redisReply *reply);

struct link;

/*
 * Prepares each new connection after the greeting and before the link is up. `reply` is NULL at the first call, later
 * the reply to the command that was appended last. The opener appends the next command to `out`, or nothing when it
 * is done. If it returns an error, with `why` in words, the link gives the connection up and tries again. `err` and
 * `reply` are those of a link_callback, except that `reply` is also there when Redis answers with an error.
 */
typedef enum err link_opener(void *data, struct link *link, enum err err, const struct redisReply *reply, struct buffer *out,
                             char why[GREETING_WHY_MAX]);

/*
 * Makes a link, which begins to connect. It lives as long as the program, and `address` must live as long. The loop receives
 * the answers of name look-ups through `resolver`.
 */
struct link *link_new(struct st_h2o_evloop_t *loop, struct st_h2o_multithread_receiver_t *resolver, const struct address *address);

/* Sets the opener. Call it before the link's first turn. Links made by link_new_alike use the same opener. */
void link_set_opener(struct link *link, link_opener *opener, void *data);

/* Return what the Redis at the other end tells about itself; and whether at the last failure it was still loading its data. */
const struct greeting_server *link_server(const struct link *link);
bool link_has_loaded(const struct link *link);

/* Makes another link to the same place, in the same loop. */
struct link *link_new_alike(const struct link *link);

bool link_is_up(const struct link *link);

/* Return what a second connection of the thread needs: the link's address, and a dial with the link's loop and resolver alone. */
const struct address *link_address(const struct link *link);
struct dial link_dial(const struct link *link);

/* Returns the place of Redis while the link is up; an empty one for a unix socket. Valid until the link's next turn. */
const struct endpoint *link_endpoint(const struct link *link);

/*
 * Returns ERR_NONE while the link is up. Else the reason as far as Redis has told it (ERR_LOADING, ERR_READONLY and others),
 * or ERR_UNAVAILABLE.
 */
enum err link_check(const struct link *link);

/* Returns the reason in words why the link is not up; empty if it is not known. Valid until the link's next turn. */
const char *link_why(const struct link *link);

/* Returns how many replicas Redis demanded for writes (min-replicas-to-write) when it was greeted. */
int link_min_replicas(const struct link *link);

/*
 * Sends a command, and takes its bytes out of `command` in any case. On ERR_UNAVAILABLE (not connected) and
 * ERR_OVERLOADED (too much in flight) the command was not sent and the callback never runs.
 */
MUST_CHECK enum err link_send(struct link *link, struct buffer *command, link_callback *callback, void *data);

/*
 * Sends an EVALSHA made by script_begin in the same way. When Redis has lost its scripts, the link loads them again,
 * and the caller does not notice.
 */
MUST_CHECK enum err link_run(struct link *link, enum script script, struct buffer *command, link_callback *callback, void *data);

/* Writes what was sent so far, without waiting for the end of the turn. If that breaks the connection, callbacks run at once. */
void link_flush(struct link *link);

/*
 * Writes what was sent in this turn, gives up a connection that is silent for too long, and reconnects. Call it at the end of each
 * turn of the loop. Returns the ms after which to call it again if nothing happens before.
 */
int32_t link_tick(struct link *link);

#endif
