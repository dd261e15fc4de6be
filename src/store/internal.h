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
struct giving_back;
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
    struct replica *replica;           /* NULL: this is the primary's store */
    struct batch *batch;               /* heartbeats that are not sent yet; NULL: none */
    struct wakes *wakes;               /* of the primary's store; NULL before store_take_wakes */
    struct giving_back *giving_back;   /* calls of store_give_back that have failed, and are made again */
    size_t giving_back_count;          /* how many these are */
    int64_t give_back_at;              /* clock_ms; when they are made again */
    struct requests *requests;         /* see routing.h; NULL until the first request is sent to a worker */
    struct batches *batches;           /* calls that are not sent yet, see batch.h */
    int calls_under_way[SCRIPT_COUNT]; /* of batches */
    /* Decimal texts of ms: until a worker is offline, from then until it is removed, and so on. */
    struct buffer timeout, removal, revive, interval, edge_interval, missed, missed_edge;
    bool is_barred;                  /* the work that must be done before serving is not done yet */
    bool serving;                    /* a call of `serve` that nobody waits for is under way */
    bool sweeping;                   /* a sweep that nobody waits for is under way */
    bool more_to_sweep;              /* the last sweep has left work for another one */
    int lines;                       /* log lines about single workers since lines_since */
    int64_t lines_since;             /* clock_ms */
    enum err refuses;                /* what store_ready found last */
    char missing[STORE_MISSING_MAX]; /* the commands that were not permitted then */
    struct confirmer shared, own;    /* writes over `link`; writes over a connection of their own, once it is up */
    struct downtime downtime;        /* what store_ask_downtime found last */
    size_t entries;                  /* how many workers the listings under way have room for */
};

/*
 * Whether TTLs don't tell which workers live: Redis was away for a while, and not all deadlines have been moved by that time yet;
 * or the store reads a replica whose primary is out of reach. Then each worker counts as its ledger entry says.
 */
bool store_ignores_ttls(const struct store *store);

/*
 * Sweeps, and then runs a script whose result depends on sweeps. It repeats both while there is more to sweep, for some 400 ms at
 * most. `command` is taken in any case. If this returns an error, the callback never runs.
 */
MUST_CHECK enum err store_run_swept(struct store *store, enum script script, struct buffer *command, link_callback *callback,
                                    void *data);

/* Returns the text of a reply that is a string or a status; absent for any other reply. */
struct str reply_text(const struct redisReply *reply);

/* Returns the number in a reply that is an integer or a string of decimal digits; 0 for any other reply. */
int64_t reply_number(const struct redisReply *reply);

/* Returns element `i` of an array reply; NULL if there is no such element. */
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

/* Keeps the connection for such writes up if Redis demands replicas. Call it as link_tick, whose result it returns. */
int32_t store_tick_confirmer(struct store *store);

/* Logs that two machines use the id of a worker. Call it only if that is news. `how`: see machines_conflict (lua). */
void store_log_conflict(struct str worker_id, const char *how);

void *store_alloc(size_t size);

uint64_t store_random(void);

#endif
