/*
 * Decides where a read goes. It goes to the near replica if there is one, it is not too far behind, and it has everything that
 * this client has written. Else it goes to the primary. A read that the replica fails is repeated on the primary.
 */
#ifndef API_READING_H
#define API_READING_H

#include "base/err.h"
#include "http/request.h"

#include <stdint.h>

struct api;
struct store;
struct writers;

/* When each client has last written, by a digest of its address, for all threads of an instance. Lives as long as the program. */
struct writers *writers_new(void);

/* Notes, when a write is answered, that the client has written or may have written: its next reads must see the write. */
void reading_note_write(struct request *request);

/* Returns the store to read from for this request. If it is the replica's, sets X-Replica-Lag on the answer. */
struct store *reading_store(struct request *request);

#define READING_FROM_PRIMARY (-1)

/*
 * Returns the store to read from for a shared answer, which may be older than a write of one of its clients. *complete_until
 * becomes the time up to which the replica is complete, or READING_FROM_PRIMARY.
 */
struct store *reading_store_for_all(const struct api *api, int64_t *complete_until);

/* Sets X-Replica-Lag of an answer from a replica: now - complete_until in seconds; "unknown" if `complete_until` is 0. */
void reading_tell_lag(struct request *request, int64_t complete_until, int64_t now);

/* Answers a read that has failed. When the replica failed it, runs the handler once more with the primary instead. */
void reading_fail(struct request *request, enum err err);

#endif
