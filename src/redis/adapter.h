/*
 * Runs hiredis on the h2o event loop.
 */
#ifndef REDIS_ADAPTER_H
#define REDIS_ADAPTER_H

#include <h2o.h>
#include <hiredis/async.h>

/* Lets `loop` drive `redis`. Everything attached is released with the context. */
void adapter_attach(redisAsyncContext *redis, h2o_loop_t *loop);

/*
 * Writes what was queued since the last call. Call it at the end of each turn of the loop, so that all commands of one turn
 * leave in one write. The context may be freed by that.
 */
void adapter_flush(redisAsyncContext *redis);

#endif
