/*
 * Passes leases from one request to the next. If a thread ends a request and begins a similar one at once, Redis would end the
 * lease and most likely lease the same worker again. Instead the new request takes over the lease, if the lease is so young that
 * not much can have changed. So most requests of a busy thread cost Redis nothing; a thread with little to do asks Redis for each.
 * The lease counts in Redis all the time.
 */
#ifndef STORE_SPARES_H
#define STORE_SPARES_H

#include "store/requests.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPARES_MAX 64

struct requests;

/* The leases that a thread keeps for its next requests, a part of its struct requests. Zeroed: none. */
struct spares {
    struct request_lease *leases[SPARES_MAX];
    size_t count;
    int64_t failed_at;    /* when a request of the thread failed last, clock_us */
    int64_t window_began; /* clock_us */
    size_t ended;         /* requests in this window */
    bool busy;            /* so many ended in the window before that leases pass on */
};

/*
 * Keeps the lease of a request that has ended, if another request may take it over. Returns false if not: then the caller must end
 * the lease. Call it for each outcome, since a failure also affects the leases that are kept.
 */
bool spares_keep(struct requests *requests, struct request_lease *lease, enum request_outcome outcome);

/* Returns a kept lease for a request with the same wish, and keeps it no longer; NULL if there is none. */
struct request_lease *spares_take(struct requests *requests, const struct request_wish *wish);

/* Ends the kept leases that are too old. Call it at the end of each turn. Returns the ms until the next call. */
int32_t spares_tick(struct requests *requests);

/* Ends all kept leases. */
void spares_end(struct requests *requests);

#endif
