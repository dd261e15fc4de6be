/*
 * Joins all calls of a script in one turn of the loop into one. While two calls of the script are under way, more things are
 * gathered until one of the two is answered: Redis would not come to them earlier. So under load most of the cost is saved, and a
 * single call does not wait longer. It is for scripts that take any number of things, one after the other, and return an array.
 */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "base/buffer.h"
#include "base/err.h"
#include "redis/script.h"

struct redisReply;
struct store;
struct batches;

#define BATCH_MAX 50  /* things in one call, so that it occupies Redis for well under a millisecond */
#define BATCH_FULL 16 /* sent at once: they save most of the cost, and Redis works on them while this thread goes on */

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

/* Sends the gathered calls, except those that wait for a reply. Call it at the end of each turn. */
void batch_flush(struct store *store);

/*
 * For those who gather a call of their own, as heartbeats do: whether it may be sent at the end of the turn; and whether it must
 * be sent at once, with `count` things in it. store->calls_under_way counts the calls of the script; they add and subtract theirs.
 */
bool batch_may_go(const struct store *store, enum script script);
bool batch_is_full(const struct store *store, enum script script, size_t count, bool more);

#endif
