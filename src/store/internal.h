/*
 * What the files of store/ share.
 */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include "redis/command.h"
#include "redis/link.h"
#include "store/store.h"

#include <hiredis/hiredis.h>

struct batch;
struct batches;
struct requests;
struct wakes;

/* A connection over which writes are confirmed by replicas. */
struct confirmer {
    struct link *link;              /* NULL: it is not needed */
    struct replicated *unconfirmed; /* writes that Redis has taken and that replicas do not have yet */
    bool waiting;                   /* a WAIT is under way */
};

struct store {
    struct link *link;
    const struct store_config *config;
    struct replica *replica;   /* NULL: it is the primary's */
    struct batch *batch;       /* heartbeats of this turn that are not sent yet; NULL: none */
    struct wakes *wakes;       /* of the primary's store; NULL before store_take_wakes */
    struct requests *requests; /* see routing.h; NULL until the first request is sent to a worker */
    struct batches *batches;   /* calls of this turn that are not sent yet, see batch.h */
    /* Decimal texts of ms: until a worker is offline, from then until it is removed, and so on. */
    struct buffer timeout, removal, revive, interval, edge_interval, missed, missed_edge;
    bool is_barred;     /* the work that must be done before serving is not done yet */
    bool is_outdated;   /* the data is of a newer format now, which has been logged */
    bool serving;       /* a call of `serve` that nobody waits for is under way */
    bool sweeping;      /* a sweep that nobody waits for is under way */
    bool more_to_sweep; /* what the last sweep said */
    int lines;          /* written about workers that were moved on, since */
    int64_t lines_since;
    enum err refuses;                /* what store_ready found last */
    char missing[STORE_MISSING_MAX]; /* likewise */
    struct confirmer shared, own;    /* writes over `link`; writes over a connection of their own, once it is up */
    struct downtime downtime;        /* what store_ask_downtime found last */
    size_t entries;                  /* how many workers the listings under way have room for */
};

/* Sweeps before the next command, unless other stores do that. */
void store_sweep_first(struct store *store);

/*
 * Whether TTLs don't tell who lives: nobody could beat for a while, and no deadline has been moved for that yet. Then everybody
 * counts as the ledger says.
 */
bool store_ignores_ttls(const struct store *store);

/*
 * Runs a script whose result depends on sweeps. It sweeps first, and runs both again while there is more to sweep, for some 400
 * ms. `command` is taken in any case. If this returns an error, the callback never runs.
 */
MUST_CHECK enum err store_run_swept(struct store *store, enum script script, struct buffer *command, link_callback *callback,
                                    void *data);

/* The text of a reply that is a string, a status or an error; absent for any other reply. */
struct str reply_text(const struct redisReply *reply);

/* The number in a reply that is an integer or a string of decimal digits; 0 for any other reply. */
int64_t reply_number(const struct redisReply *reply);

/* Element `i` of an array reply; NULL if it has none. */
const struct redisReply *reply_element(const struct redisReply *reply, size_t i);

/* The callback of a call that waits for its reply. */
struct waiter {
    struct store *store;
    store_callback *done;
    void *data;
};

struct waiter *waiter_new(struct store *store, store_callback *done, void *data);

/* A store_callback that passes the error to the waiter's `done`, and ends the waiter. */
void waiter_end(void *data, enum err err);

/*
 * Runs a script that writes. `callback` (may be NULL) gets its reply. Then `done` gets whether it succeeded. When Redis demands
 * replicas, `done` is called once enough of them have the write, or with ERR_UNCONFIRMED if they don't have it in time. When
 * this function returns an error, neither is called.
 */
MUST_CHECK enum err store_run_replicated(struct store *store, enum script script, struct buffer *command, link_callback *callback,
                                         store_callback *done, void *data);

/* Keeps a connection for such writes if Redis demands replicas. See link_tick. */
int32_t store_tick_confirmer(struct store *store);

/* Logs that two machines use the id of a worker, if that is new. `how` says how it was noticed, as in lua/lib/machines.lua. */
void store_log_conflict(struct str worker_id, const char *how);

void *store_alloc(size_t size);

uint64_t store_random(void);

#endif
