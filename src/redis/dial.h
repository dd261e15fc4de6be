/*
 * Connects without blocking: looks a name up on the loop, then connects hiredis to it and attaches it to the loop.
 */
#ifndef REDIS_DIAL_H
#define REDIS_DIAL_H

#include "redis/address.h"

struct redisAsyncContext;
struct st_h2o_evloop_t;
struct st_h2o_hostinfo_getaddr_req_t;
struct st_h2o_multithread_receiver_t;

/*
 * Receives the result of an attempt. It is a connection, which the callee now owns but must not free before this returns, or
 * NULL and the reason, which is valid during the call alone.
 */
typedef void dial_callback(void *data, struct redisAsyncContext *redis, const char *why);

/* Makes one attempt at a time. The caller fills in the first four members; the others begin as zeros. */
struct dial {
    struct st_h2o_evloop_t *loop;
    struct st_h2o_multithread_receiver_t *resolver; /* where the loop receives the answers of name look-ups */
    dial_callback *done;
    void *data;
    struct st_h2o_hostinfo_getaddr_req_t *query; /* while a name is looked up */
    struct redisAsyncContext *redis;             /* while it connects */
    int port, skip;
};

/*
 * Begins to connect. `done` runs once, perhaps before this returns. Of the name's addresses it takes number `skip`, from 0. After
 * the last address it counts on from the first one. There is no deadline: the caller cancels an attempt that takes too long.
 */
void dial_tcp(struct dial *dial, const struct endpoint *to, int skip);
void dial_unix(struct dial *dial, const char *path);

/* Ends the attempt that is under way, if any. `done` then does not run. */
void dial_cancel(struct dial *dial);

#endif
