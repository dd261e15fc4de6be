/*
 * A request that waits for something: it may be answered, run into its deadline, or be gone first.
 *
 *                    pending_take             begins an answer
 *      waiting ────────────────────▶ taken ───────────────────▶ answered
 *         │ its deadline is over; it is parked and its client has left, or the program ends
 *         ├─────────────────────────▶ late ────────────────────▶ answered by `late`
 *         │ h2o disposes of it
 *         └─────────────────────────▶ gone
 *
 * The pending object belongs to nobody's pool. Two hold it: a cell in the request's pool, let go when h2o disposes of the
 * request for whatever reason, and whoever made it and waits. It has the only pointer to the request, taken once: by the
 * answer, by the deadline or by the disposal, whichever comes first. h2o tells of a disposal in no other way while no response
 * has begun.
 */
#ifndef HTTP_PENDING_H
#define HTTP_PENDING_H

#include "base/heap.h"
#include "http/request.h"

#include <stddef.h>

struct pending;

/* Requests of a thread that wait. Begins as zeros. */
struct pending_set {
    struct heap deadlines;
};

/*
 * Makes a request wait, for as long as its route's patience lasts. `late` answers it when its time is over; NULL: 504. The
 * caller must call pending_release once. `payload_size` bytes of zeros are the caller's, freed with the object.
 */
struct pending *pending_new(struct request *request, request_handler *late, size_t payload_size);

/*
 * Parks a request: it waits for what may never come, `patience_ms` from now at most. Its time is over, too, as soon as its
 * client leaves or has nothing more to say (both look alike), and when the program ends; without a `late` the answer then is
 * 503.
 */
void pending_park(struct pending *pending, int32_t patience_ms);

/* Lets a request wait until the next turn of the loop; then `handler` goes on with it. */
void pending_defer(struct request *request, request_handler *handler);

void *pending_payload(struct pending *pending);

/* The request, to be answered now; NULL when it is answered or gone already. It waits no longer. */
struct request *pending_take(struct pending *pending);

/* Whether anybody still waits for the answer: long work can end early when nobody does. */
bool pending_is_waited_for(const struct pending *pending);

/* Ends the caller's hold. A request not taken yet is answered with `err` first, so none is forgotten. */
void pending_release(struct pending *pending, enum err err);

/* Answers those whose time is over. To be called in each turn of the loop. Returns the ms until the next call, at most 1000. */
int32_t pending_tick(struct pending_set *set);

/* The program ends: parked requests are answered now, and nobody waits for longer than `most_ms`. */
void pending_hurry(struct pending_set *set, int32_t most_ms);

#endif
