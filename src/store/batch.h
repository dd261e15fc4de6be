/*
 * Calls of one script that come in one turn of the loop share one call of it: under load most of the calls' cost is saved, and
 * alone a call waits for nothing. Of scripts that take any number of things, one after the other, and return an array.
 */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "base/buffer.h"
#include "base/err.h"
#include "redis/script.h"

struct redisReply;
struct store;
struct batches;

/* Receives the whole reply, and which thing of the call this was. On an error `reply` is NULL. */
typedef void batch_callback(void *data, enum err err, const struct redisReply *reply, size_t index);

/*
 * Begins one thing: its strings go into the buffer that is returned, by command_add. NULL when Redis is out of reach. Then
 * batch_add says how many strings they were; `more`: others follow at once, and may share a larger call.
 */
struct buffer *batch_begin(struct store *store, enum script script);
void batch_add(struct store *store, enum script script, size_t strings, bool more, batch_callback *callback, void *data);

/* Sends what was gathered. To be called at the end of each turn. */
void batch_flush(struct store *store);

#endif
