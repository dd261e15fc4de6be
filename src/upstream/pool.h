/*
 * The connections of one loop: those in use, and idle ones that are kept for the next request.
 */
#ifndef UPSTREAM_POOL_H
#define UPSTREAM_POOL_H

#include "upstream/wire.h"

#define POOL_IDLE_MAX 512      /* idle connections; above this number the oldest is closed */
#define POOL_PEER_IDLE_MAX 128 /* idle connections to one peer */
#define POOL_IDLE_MS 30000     /* the longest time for which an idle connection is kept */
#define POOL_FRESH_MS 1500     /* the same for requests that must not be sent twice: less than any common server keeps one */
#define POOL_DOUBT_MS 25       /* not used for so long after an answer without a body: some workers send one a little later */

#define POOL_BUCKETS 256 /* a power of two */

struct pool {
    h2o_loop_t *loop;
    struct peer *peers[POOL_BUCKETS];
    h2o_linklist_t idle; /* all idle connections, the longest idle first */
    size_t idle_count, count;
    uint64_t connects, reuses; /* since the start */
};

void pool_init(struct pool *pool, h2o_loop_t *loop);

/* Closes the idle connections. There must be no others. */
void pool_fini(struct pool *pool);

/*
 * Takes an idle connection to the address, for `user`; NULL if there is none. `fresh`: only one that the worker has most likely
 * not closed yet.
 */
struct wire *pool_take(struct pool *pool, const struct target *target, const struct network_address *address, bool fresh,
                       wire_handler *handler, void *user);

/*
 * Keeps a connection whose last answer was read to its end. `keep_ms`: how long the worker keeps it, -1: it did not say.
 * `bodiless`: the answer must not have had a body, as one to HEAD, or with 204 or 304.
 */
void pool_keep(struct wire *wire, int keep_ms, bool bodiless);

/* Closes the connections that were idle for too long; returns the ms until the next call. */
int32_t pool_tick(struct pool *pool, int64_t now);

/* Closes the oldest idle connection, because its descriptor is needed; false if there is none. */
bool pool_give_up_one(struct pool *pool);

/* For wire.c: count one connection more to a peer, which is made if need be; and one connection less. */
struct peer *pool_peer(struct pool *pool, const struct target *target, const struct network_address *address);
void pool_forget(struct wire *wire);

#endif
