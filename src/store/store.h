/*
 * The registry in Redis: typed operations on workers. No operation blocks. Each takes a callback, which runs exactly once, or
 * never if the operation itself returns an error. It usually runs in a later turn of the loop. If the connection breaks at that
 * moment, or takes no more, it runs before the operation returns. So after a success the caller must not touch the object
 * behind `data`.
 *
 * Errors: ERR_UNAVAILABLE (Redis is out of reach, or died before it answered: whether a write took effect is then unknown),
 * ERR_OVERLOADED, ERR_WORKER_NOT_FOUND where a worker is named, and what Redis itself may refuse with (see err.h).
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/err.h"
#include "model/downtime.h"
#include "model/event.h"
#include "model/fleet.h"
#include "model/heartbeat.h"
#include "model/registration.h"
#include "model/worker.h"

struct link;
struct store;

struct store_config {
    int heartbeat_timeout_ms;     /* a worker silent for so long is offline */
    int worker_timeout_ms;        /* a worker silent for so long is removed; more than heartbeat_timeout_ms */
    int revive_ms;                /* a heartbeat brings a worker back if it was removed no longer ago */
    int interval_ms;              /* how often workers must send heartbeats; silent for 1.5 intervals: one is missed */
    int edge_interval_ms;         /* the same for edge nodes */
    int max_services;             /* assigned to one worker */
    int registrations_per_minute; /* new workers of one address in a minute, and ten times as many at once; 0: any number */
    bool sweeps;                  /* this store moves on workers that have fallen silent; else other stores do */
    struct str region;            /* stored with each worker; may be empty */
    struct str instance;          /* this coordinator's name */
};

/* Makes a store over a link. Both belong to one thread and live as long as the program. `config` must live as long. */
struct store *store_new(struct link *link, const struct store_config *config);

/*
 * Makes a store over a link to a replica, for reads alone. It does not sweep: the primary's stores do. `primary` is the link to
 * the primary.
 */
struct store *store_new_replica(struct link *link, struct link *primary, const struct store_config *config);

/*
 * Makes the store's link check the data in Redis on each new connection, before the link is up (see store/opening.c). Call it
 * before the link's first turn.
 */
void store_look_first(struct store *store);

/* See replica_complete_until; for a replica's store alone. */
int64_t store_complete_until(const struct store *store);

/*
 * Call it at the end of each turn; for a replica's store before the ticks of both links. Returns the ms until the next call.
 */
int32_t store_follow(struct store *store);

bool store_is_up(const struct store *store);

/* Returns ERR_NONE while the store is up; else why it is not: ERR_UNAVAILABLE, ERR_LOADING, ERR_NOT_PERMITTED and others. */
enum err store_check(const struct store *store);

/* Returns the same in words; empty if there are none. Valid until the link's next turn. */
const char *store_why(const struct store *store);

/*
 * Sends the commands of this turn; heartbeats share a script call. Call it at the end of each turn of the loop. Returns the ms
 * until the next call.
 */
int32_t store_tick(struct store *store);

typedef void store_callback(void *data, enum err err);

struct registered {
    struct str worker_id;
    bool again;          /* it was registered already */
    bool restarted;      /* and its boot_id has changed */
    struct str services; /* assigned; names with commas between */
    int64_t wait_ms;     /* with ERR_LIMITED alone: until the next registration is accepted */
};
/* `registered` is NULL on all errors except ERR_LIMITED: the address has registered too many new workers. */
typedef void store_registered_callback(void *data, enum err err, const struct registered *registered);

/* Registers a worker. whereabouts_settle must have been called for `registration`. */
MUST_CHECK enum err store_register(struct store *store, const struct registration *registration,
                                   store_registered_callback *callback, void *data);

/* The result of a heartbeat. Its text is valid during the call alone. */
struct beaten {
    bool revived;             /* it was removed, and is back with its old registration */
    bool has_news;            /* store_task_news may have something to tell */
    struct str newly_ignored; /* the names in heartbeat->ignored that are new for this worker; empty: none */
};
typedef void store_heartbeat_callback(void *data, enum err err, const struct beaten *beaten);

/* `more`: other heartbeats follow at once, and may share a larger script call. */
MUST_CHECK enum err store_heartbeat(struct store *store, const struct heartbeat *heartbeat, bool more,
                                    store_heartbeat_callback *callback, void *data);

/*
 * Begins or ends to keep new work away from a worker. It lasts until it is ended. `reason` and `from` say why and who wants it,
 * and may be absent (see lua/drain.lua).
 */
MUST_CHECK enum err store_drain(struct store *store, struct str worker_id, bool drain, struct str reason, struct str from,
                                store_callback *callback, void *data);

/* `join`: the join token with which the worker must have registered, else ERR_OTHERS; absent: any token. */
MUST_CHECK enum err store_unregister(struct store *store, struct str worker_id, struct str join, store_callback *callback,
                                     void *data);

/* `now`: Redis's clock, ms since 1970. The worker is valid during the call alone; NULL on errors. */
typedef void store_worker_callback(void *data, enum err err, const struct worker *worker, int64_t now);

MUST_CHECK enum err store_get(struct store *store, struct str worker_id, store_worker_callback *callback, void *data);

/* The fleet is valid during the call alone; NULL on errors. */
typedef void store_fleet_callback(void *data, enum err err, const struct fleet *fleet);

/* Reads the fleet's counters. The cost does not depend on the size of the fleet. */
MUST_CHECK enum err store_fleet(struct store *store, store_fleet_callback *callback, void *data);

/* Returns the name of script number `i`, in the order of the metrics; NULL if there is no such script. */
const char *store_script_name(size_t i);

/*
 * Asks whether Redis can do what requests need. `callback` (may be NULL) gets ERR_NOT_PERMITTED if the Redis user may not call
 * a command that they need. Else it gets the error with which Redis refuses writes, while reads work: ERR_FULL (for new workers
 * alone), ERR_DISK, ERR_NO_REPLICAS and others.
 */
MUST_CHECK enum err store_ready(struct store *store, store_callback *callback, void *data);

/* Return the last result of store_ready, and the commands that were not permitted then: "TIME, HGET". */
#define STORE_MISSING_MAX 256
enum err store_refusal(const struct store *store);
const char *store_missing(const struct store *store);

/* Receives one worker of a listing; returns whether to go on. */
typedef bool store_row_callback(void *data, const struct worker *worker, int64_t now);

/*
 * Lists workers in the order of their ids, from the first one after `cursor` (absent: from the beginning). It ends after the
 * last row, when `row` returns false (with ERR_NONE), or with an error. It reads in pages, so that it never holds Redis up.
 * It reads the fields from WORKER_ROW_COUNT on only if `whole`.
 */
MUST_CHECK enum err store_list(struct store *store, struct str cursor, bool whole, store_row_callback *row, store_callback *done,
                               void *data);

#define STORE_DISCOVER_MAX 128

/*
 * Lists the live workers that provide a service and take work, best first, at most `max` (up to STORE_DISCOVER_MAX); see
 * lua/discover.lua. `model`, a valid model name, may be absent. With a `max` of 1 it chooses among equal workers at random.
 * *total, which must last until `done`, becomes the number of all such workers.
 */
MUST_CHECK enum err store_discover(struct store *store, struct str service, struct str model, size_t max, int64_t *total,
                                   store_row_callback *row, store_callback *done, void *data);

/* A service that live workers provide. */
struct service {
    struct str name;
    int64_t healthy, degraded, draining; /* workers by status */
    const struct str *ids;               /* ids of the first STORE_SERVICE_IDS_MAX workers, best first; NULL if not asked for */
    size_t id_count;
};
#define STORE_SERVICE_IDS_MAX 1000

typedef void store_service_callback(void *data, const struct service *service);

/*
 * Names every service that live workers provide, once each. On request it adds the ids of the workers, for the first
 * hundred services.
 */
MUST_CHECK enum err store_services(struct store *store, bool with_ids, store_service_callback *row, store_callback *done,
                                   void *data);

typedef void store_event_callback(void *data, const struct event *event);

/* Reads at most `max` events from the one called `from` on, the oldest first. `from` itself is included if it is still there. */
MUST_CHECK enum err store_events(struct store *store, struct event_id from, size_t max, store_event_callback *row,
                                 store_callback *done, void *data);

typedef void store_event_id_callback(void *data, enum err err, struct event_id id);

/* Reads the id of the newest event; {0, 0} before the first event. */
MUST_CHECK enum err store_newest_event(struct store *store, store_event_id_callback *callback, void *data);

/* What a live worker reported last, as the counters have it. */
struct beat {
    struct str worker_id, status;
    double load; /* 0 to 1 */
    int64_t active_requests;
    int64_t last_heartbeat; /* ms since 1970 */
};
typedef void store_beat_callback(void *data, const struct beat *beat);

/* How far a reading of heartbeats has come. */
struct beats {
    int64_t now;        /* Redis's clock, ms since 1970 */
    int64_t offline_at; /* of the last worker that was read, as in store_beats */
    bool more;          /* there may be more workers from there on */
};
typedef void store_beats_callback(void *data, enum err err, const struct beats *beats);

#define STORE_BEATS_MAX 250 /* workers in one reading, which takes well under a millisecond */

/*
 * Reads the live workers that go offline at `offline_at` (ms since 1970) or later unless they send a heartbeat. If `offline_at`
 * is a moment plus the timeout, these are the workers that have sent a heartbeat since that moment. They come in the order in
 * which they go offline, at most STORE_BEATS_MAX of them.
 */
MUST_CHECK enum err store_beats(struct store *store, int64_t offline_at, store_beat_callback *row, store_beats_callback *done,
                                void *data);

/*
 * Stores the state of the fleet in this minute, unless an instance has done so already. Every instance calls it several times a
 * minute.
 */
MUST_CHECK enum err store_keep_history(struct store *store);

typedef void store_point_callback(void *data, int64_t time, const struct fleet *fleet);

/*
 * Reads the state of the fleet in each of the last `minutes`, the oldest first. `time` is in ms since 1970. A minute that no
 * instance stored is left out.
 */
MUST_CHECK enum err store_history(struct store *store, int minutes, store_point_callback *row, store_callback *done, void *data);

/* Asks for the last downtime of Redis. store_downtime returns it as soon as a later command is answered. */
MUST_CHECK enum err store_ask_downtime(struct store *store);
const struct downtime *store_downtime(const struct store *store);

/*
 * Notes in Redis that this coordinator serves, and does the other work of lua/serve.lua. Every instance calls it several times
 * a minute.
 */
MUST_CHECK enum err store_serve(struct store *store);

/* Moves on workers that have fallen silent; see lua/sweep.lua. Every instance calls it once a second. */
void store_sweep(struct store *store);

/*
 * Sends a sweep before the next command, unless other stores sweep. As long as the work of store_serve must be done first, it sends
 * that in place of the sweep.
 */
void store_sweep_first(struct store *store);

#endif
