/*
 * Where a read goes: to the replica near by, if there is one, it is near enough in time too, and it has what this client has written; else to
 * the primary. And where it goes when the replica fails it: to the primary.
 */
#ifndef API_READING_H
#define API_READING_H

#include "base/err.h"
#include "http/request.h"

struct api;
struct pending;
struct store;
struct writers;

/* Who has written when, by a digest of the client's address: for all threads of an instance. Lives as long as the program. */
struct writers *writers_new(void);

/* pending_take of a request that has written, or may have: the client's own next reads are to see it. */
struct request *reading_take_write(struct pending *pending);

/* The store to read from for this request. With that of the replica the answer gets X-Replica-Lag. */
struct store *reading_store(struct request *request);

/* Answers a read that has failed. One that the replica failed is asked of the primary instead: the handler runs once more. */
void reading_fail(struct request *request, enum err err, const char *detail);

#endif
