/*
 * What the files that implement requests.h share.
 */
#ifndef STORE_ROUTING_H
#define STORE_ROUTING_H

#include "model/id.h"
#include "store/internal.h"
#include "store/requests.h"
#include "store/spares.h"

#define ROUTING_CUT_OFF_MS 60000 /* how old lists and sites may be if Redis, from which they would be read again, is out of reach */

struct lists;
struct sites;

enum lease_state {
    LEASE_ASKED,    /* the script has been asked to make it */
    LEASE_HELD,     /* a request uses it, or it is kept for the next one */
    LEASE_UNLEASED, /* a request uses it, and Redis knows nothing of it */
    LEASE_ENDING,   /* the script has been asked to end it */
    LEASE_UNSENT,   /* the script must be asked to end it once Redis is back */
};

struct request_lease {
    struct request_lease *next, *prev; /* leases of the thread, in the order of their numbers; LEASE_UNLEASED: in no list */
    struct store *store;
    uint64_t number; /* its name in Redis */
    enum lease_state state;
    enum request_outcome outcome;
    char mark;          /* 't': its request tries the worker; 'd': its outcome counts; '-': neither */
    struct buffer text; /* "worker service model stamp"; the first three as Redis has them */
    bool has_model;     /* the worker has the model loaded */
    /* for a lease that may pass on to another request (spares.h): */
    struct buffer services, model; /* of the wish that it was chosen for */
    int64_t chosen_at;             /* clock_us */
    bool may_pass_on;
    int uses; /* how many requests have used it */
};

/* What a thread knows of its requests. */
struct requests {
    char thread[20]; /* a random name, unique among the threads of all coordinators */
    struct str args[ROUTE_ARGS];
    struct request_lease *first, *last;
    size_t count, unsent; /* leases in the list; those of them that are LEASE_UNSENT */
    uint64_t next_number;
    int64_t renew_at, retry_at; /* clock_ms */
    struct sites *sites;
    struct lists *lists;
    struct spares spares;
};

/* Returns what the store's thread knows of its requests, which is made at the first call. */
struct requests *requests_of(struct store *store);

/* Call it at the end of each turn, before batch_flush. Returns the ms until the next call. */
int32_t requests_tick(struct store *store);

/* A request for which a worker is chosen. */
struct choosing {
    struct store *store;
    store_choice_callback *callback;
    void *data;
    struct request_lease *lease;             /* of the present try; NULL: none yet */
    struct buffer services, model, excluded; /* as in struct request_wish */
    int slot;                                /* of its session; negative: none */
    bool unleased, silent;
    int placeless;                    /* how many workers were chosen whose address is not known */
    char id[ID_MAX], service[ID_MAX]; /* the chosen ones */
    size_t id_len, service_len;
    struct choosing *next; /* of the choices that wait for the same list */
};

/* Asks for a worker: the list if the choice is `unleased`, else Redis. */
MUST_CHECK enum err choosing_ask(struct choosing *choosing);

/* Takes a chosen worker as the script describes it, "id service loaded stamp mark", and finds its address. */
void choosing_take(struct choosing *choosing, struct str text);

/* Adds three strings of the wish to a call of the script: its services, its model, and "silent" or "". */
void choosing_add(struct buffer *out, const struct choosing *choosing);

/* Ends a choice without a worker, for the reason that the script gives in `word`. */
void choosing_refuse(struct choosing *choosing, struct str word);

/* Ends a choice: calls its callback, and frees it. */
void choosing_end(struct choosing *choosing, enum err err, const struct request_choice *choice, enum request_refusal refusal);

/* Makes a lease with this number. The caller then asks the script to make it in Redis, or to end it. */
struct request_lease *lease_new(struct store *store, uint64_t number, enum lease_state state);
void lease_free(struct request_lease *lease);

/* Adds the lease's number, which is its name in Redis, to a call. */
void lease_add(struct buffer *out, const struct request_lease *lease);

/* Makes a lease of which Redis knows nothing. */
struct request_lease *lease_new_unleased(struct store *store, char mark);

/* Whether a lease that may pass on was made for the same services and model. */
bool lease_is_for(const struct request_lease *lease, const struct request_wish *wish);

/* Asks Redis to end a lease, until it succeeds, and then frees it. */
void lease_end(struct request_lease *lease, enum request_outcome outcome);

/* Chooses a worker from the list for the choice. ERR_OVERLOADED: there are too many lists. */
MUST_CHECK enum err lists_choose(struct choosing *choosing);

/* Makes other workers come first until the lists are read again. `lists` may be NULL. */
void lists_drop(struct lists *lists, struct str worker_id, struct str service);

/* Where a worker provides a service. */
struct site {
    struct str url;   /* absent: it is not known */
    struct str other; /* another one of its URLs; absent: there is one only */
    struct str tls_fingerprint;
};
typedef void site_callback(void *data, enum err err, const struct site *site);

/*
 * Finds where a worker provides a service. `stamp` is the stamp of the worker's registration: while it is the same, Redis is asked
 * only once in 10 s. If the worker has several URLs, `turn` decides which one. `callback` may run before this function returns.
 * ERR_WORKER_NOT_FOUND: the worker is gone.
 */
void sites_find(struct store *store, struct str worker_id, struct str service, struct str stamp, uint64_t turn,
                site_callback *callback, void *data);

#endif
