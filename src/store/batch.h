/*
 * Joins all calls of a script in one turn of the loop into one. Under load this saves most of the cost, and a single call does
 * not wait longer. It is for scripts that take any number of things, one after the other, and return an array.
 */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "base/buffer.h"
#include "base/err.h"
#include "redis/script.h"

struct redisReply;
struct store;
struct batches;

/* Receives the whole reply, and the index of this thing in the call. On an error `reply` is NULL. */
typedef void batch_callback(void *data, enum err err, const struct redisReply *reply, size_t index);

/*
 * Gives the calls of a script these named arguments, which must last as long as the store. The data that such a script writes
 * lasts for seconds only, so nobody waits until replicas have it.
 */
void batch_use(struct store *store, enum script script, const struct str *args);

/*
 * Begins one thing. The caller adds its strings to the returned buffer with command_add, and then calls batch_add with their
 * number. Returns NULL when Redis is out of reach. `more`: other things follow at once and may share a larger call.
 */
struct buffer *batch_begin(struct store *store, enum script script);
void batch_add(struct store *store, enum script script, size_t strings, bool more, batch_callback *callback, void *data);

/* Sends the gathered calls. Call it at the end of each turn. */
void batch_flush(struct store *store);

#endif
