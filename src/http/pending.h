/*
 * A request that waits for something. It ends in one of three ways: it is answered, its deadline comes, or it is gone.
 *
 *                    pending_take             begins an answer
 *      waiting ────────────────────▶ taken ───────────────────▶ answered
 *         │ its deadline is over, or its connection is reset; a parked one: its client leaves, or the program ends
 *         ├─────────────────────────▶ late ────────────────────▶ answered by `late`
 *         │ h2o disposes of it
 *         └─────────────────────────▶ gone
 *
 * The pending object is in no pool. It has two holders: a cell in the request's pool, which lets go when h2o disposes of the
 * request, and the caller, who waits. The object has the only pointer to the request. The answer, the deadline or the disposal
 * takes that pointer, whichever comes first. The cell is needed because h2o reports a disposal in no other way before a
 * response has begun.
 */
#ifndef HTTP_PENDING_H
#define HTTP_PENDING_H

#include "base/heap.h"
#include "http/request.h"

#include <stddef.h>

struct pending;

/* The requests of a thread that wait. Begins as zeros. */
struct pending_set {
    struct heap deadlines;
};

/*
 * Makes a request wait, for as long as its route's patience lasts. When the time is over, `late` answers it, or a 504 if `late`
 * is NULL. The caller must call pending_release once. The object has `payload_size` bytes of zeros for the caller, which are
 * freed with it.
 */
struct pending *pending_new(struct request *request, request_handler *late, size_t payload_size);

/*
 * Parks a request: it waits for at most `patience_ms` for something that may never come. Its time is also over when its client
 * leaves or ends its side of the connection (both look alike), and when the program ends. If `late` is NULL, the answer then is
 * 503.
 */
void pending_park(struct pending *pending, int32_t patience_ms);

/* Lets a request wait for `patience_ms` from now, for what is slower than Redis. Its time stays as it is while the program ends. */
void pending_allow(struct pending *pending, int32_t patience_ms);

/* Makes a request wait until the next turn of the loop; `handler` then goes on with it. */
void pending_defer(struct request *request, request_handler *handler);

/* Makes a request wait for `ms`, or until its connection is reset; `handler` then goes on with it. */
void pending_delay(struct request *request, int32_t ms, request_handler *handler);

void *pending_payload(struct pending *pending);

/* Ends the wait and returns the request, which must be answered now; NULL if it is answered or gone already. */
struct request *pending_take(struct pending *pending);

/* Whether anybody still waits for the answer. If nobody does, long work can end early. */
bool pending_is_waited_for(const struct pending *pending);

/* Ends the caller's hold. A request not taken yet is answered with `err` first, so none is forgotten. */
void pending_release(struct pending *pending, enum err err);

/* Answers the requests whose time is over. Call it in each turn of the loop. Returns the ms until the next call, at most 1000. */
int32_t pending_tick(struct pending_set *set);

/* Call it when the program ends. Answers parked requests now, and lets no other request wait for longer than `most_ms`. */
void pending_hurry(struct pending_set *set, int32_t most_ms);

#endif
