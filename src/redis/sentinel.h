/*
 * Asks Sentinels where the primary is. It has one connection at a time and keeps it for the next question. It asks the
 * Sentinels of the list in turn, beginning with the one that answered last, until one knows.
 */
#ifndef REDIS_SENTINEL_H
#define REDIS_SENTINEL_H

#include "base/buffer.h"
#include "redis/address.h"

#include <stdint.h>

struct redisReply;
struct sentinel;
struct st_h2o_evloop_t;
struct st_h2o_multithread_receiver_t;

#define SENTINEL_TIMEOUT_MS 400 /* for the answer of one Sentinel; then the next one is asked */

/* Receives the answer: where the primary is, or NULL and the reason. Both are valid during the call alone. */
typedef void sentinel_callback(void *data, const struct endpoint *primary, const char *why);

/* Makes one for the thread of `loop`. It lives as long as the program, and so must `address`, which names the Sentinels. */
struct sentinel *sentinel_new(struct st_h2o_evloop_t *loop, struct st_h2o_multithread_receiver_t *resolver,
                              const struct address *address, sentinel_callback *callback, void *data);

/* Asks, unless a question is under way. The callback runs once, perhaps before this returns. */
void sentinel_ask(struct sentinel *sentinel);

/*
 * Notes that the last answer named a Redis that is no primary or can't be reached. The next question begins with another
 * Sentinel.
 */
void sentinel_doubt(struct sentinel *sentinel);

/* Call it at the end of each turn of the loop. Returns the ms after which to call it again. */
int32_t sentinel_tick(struct sentinel *sentinel);

/* Appends the AUTH command that Sentinels need before any other. Returns false if they need none. */
bool sentinel_auth(struct buffer *out, const struct address *address);

/* Appends the question as a command. */
void sentinel_question(struct buffer *out, const struct address *address);

/*
 * Reads the reply to the question into *out. Returns NULL, or the reason why the reply names no primary, valid as long as the
 * reply.
 */
const char *sentinel_read(const struct redisReply *reply, struct endpoint *out);

#endif
