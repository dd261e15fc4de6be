/*
 * A request that waits for something: it may be answered, run into its deadline, or be gone first.
 *
 * The pending object belongs to nobody's pool. Two hold it: a cell in the request's pool, let go when h2o disposes of the request for
 * whatever reason, and whoever made it and waits. It has the only pointer to the request, taken once: by the answer, by the deadline
 * or by the disposal, whichever comes first. h2o tells of a disposal in no other way while no response has begun.
 */
#ifndef HTTP_PENDING_H
#define HTTP_PENDING_H

#include "http/request.h"

#include <stddef.h>

struct pending;

/* The requests that wait with the same patience, oldest first. One set for each thread. */
struct pending_queue {
    struct pending *first, *last;
    int32_t patience_ms;
    size_t count;
};

/*
 * Makes a request wait in `queue`. `late` answers it when its time is over; NULL: 504. The caller must call pending_release once.
 * `payload_size` bytes of zeros are the caller's, freed with the object.
 */
struct pending *pending_new(struct request *request, struct pending_queue *queue, request_handler *late, size_t payload_size);

/* Lets a request wait until pending_tick is called on `queue`, which has no patience at all; then `handler` goes on with it. */
void pending_defer(struct request *request, struct pending_queue *queue, request_handler *handler);

void *pending_payload(struct pending *pending);

/* The request, to be answered now; NULL when it is answered or gone already. It waits no longer. */
struct request *pending_take(struct pending *pending);

/* Whether anybody still waits for the answer: long work can end early when nobody does. */
bool pending_is_waited_for(const struct pending *pending);

/* Ends the caller's hold. A request not taken yet is answered with `err` first, so none is forgotten. */
void pending_release(struct pending *pending, enum err err);

/* Answers those whose time is over. Returns the ms until the next one's is, at most 1000. */
int32_t pending_tick(struct pending_queue *queue);

#endif
