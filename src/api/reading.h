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

/* Notes that the client of a request learns now that it has written, or may have written: its own next reads must see that. */
void reading_note_write(struct request *request);

/* The store to read from for this request. With that of the replica the answer gets X-Replica-Lag. */
struct store *reading_store(struct request *request);

#define READING_FROM_PRIMARY (-1)

/*
 * The store to read from for a shared answer, which may be older than a write of one of its clients. *complete_until becomes
 * what the replica has (see replica_complete_until), or READING_FROM_PRIMARY.
 */
struct store *reading_store_for_all(const struct api *api, int64_t *complete_until);

/* Sets X-Replica-Lag to what an answer lacks that has been read from a replica. */
void reading_tell_lag(struct request *request, int64_t complete_until, int64_t now);

/* Answers a read that has failed. When the replica failed it, runs the handler once more with the primary instead. */
void reading_fail(struct request *request, enum err err);

#endif
