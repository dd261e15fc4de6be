/*
 * Shares answers among pages of other origins, so that hundreds of dashboards with the same request every few seconds cost
 * Redis no more than one. The instance makes an answer once in a second and gives it to all requests meanwhile, in all threads.
 * The threads hold a lock while they take or store a pointer to an answer, and never while they make one.
 */
#ifndef API_SHARED_H
#define API_SHARED_H

#include "base/buffer.h"
#include "base/err.h"
#include "http/request.h"

#include <stddef.h>
#include <stdint.h>

struct api;
struct store;

enum shared_name { SHARED_WORKERS, SHARED_WORKERS_ARRAY, SHARED_STATS, SHARED_HEALTH, SHARED_COUNT };

#define SHARED_FRESH_MS 1000 /* an answer is given to all requests until so long after its making began */

/* The answers of an instance; lives as long as the program. */
struct shared;

struct shared *shared_new(void);

/* Returns the bytes of all answers that are kept or still being sent. An answer counts once, however many clients get it. */
size_t shared_bytes(const struct shared *shared);

/* Begins to make an answer, which ends in one call of shared_publish in the same thread, at once or in a later turn. */
typedef void shared_maker(struct api *api, struct store *store);

/* Requests of a thread that wait for an answer, oldest first. */
struct shared_queue {
    struct shared_waiter *first, *last;
    shared_maker *make;
    int64_t complete_until; /* of the replica that the answer in the making is read from, or READING_FROM_PRIMARY */
};

/*
 * Whether a request may be given a shared answer: it has no query, and an Origin, which browsers send for pages of other
 * origins alone.
 */
bool shared_suits(const struct request *request);

/*
 * Answers the request, at once or when an answer has been made; `maker`, always the same for one name, is called if nobody is
 * making one.
 */
void shared_answer(struct request *request, enum shared_name name, shared_maker *maker);

/*
 * Ends the making of an answer. With ERR_NONE the answer is `body`, whose bytes are taken in any case. An error goes to the
 * requests that wait; the next request begins a new answer.
 */
void shared_publish(struct api *api, enum shared_name name, enum err err, struct buffer *body);

/* To be called in each turn: gives waiting requests the answers of other threads. Returns the ms until the next call. */
int32_t shared_tick(struct api *api);

#endif
