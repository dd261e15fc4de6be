/*
 * Leases that pass from one request to the next. Where a thread ends a request and begins a like one at once, Redis would end a
 * lease and most likely lease the same worker again. The lease goes on instead, as long as it is so young that nothing can have
 * changed by much: under load most requests then cost Redis nothing. It counts in Redis all the while.
 */
#ifndef STORE_SPARES_H
#define STORE_SPARES_H

#include "store/requests.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPARES_MAX 64

struct requests;

/* Of one thread, a part of its struct requests. Zeroed: none. */
struct spares {
    struct request_lease *leases[SPARES_MAX];
    size_t count;
    int64_t turn_ended_at; /* clock_us, as the next */
    int64_t failed_at;     /* when a request of the thread failed last */
    bool in_turn;          /* it has begun */
    bool idle;             /* the thread was, before this turn */
};

/*
 * Keeps the lease of a request that has ended. Returns whether it does; else the caller ends the lease. To be called whatever the
 * outcome is.
 */
bool spares_keep(struct requests *requests, struct request_lease *lease, enum request_outcome outcome);

/* Takes a lease for a request like the one that it was chosen for; NULL when there is none. */
struct request_lease *spares_take(struct requests *requests, const struct request_wish *wish);

/* To be called at the end of each turn. Ends those that nobody has taken in time. Returns the ms until the next call. */
int32_t spares_tick(struct requests *requests);

/* Ends all. */
void spares_end(struct requests *requests);

#endif
