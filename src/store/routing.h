/*
 * What the files behind requests.h share.
 */
#ifndef STORE_ROUTING_H
#define STORE_ROUTING_H

#include "model/id.h"
#include "store/internal.h"
#include "store/requests.h"
#include "store/spares.h"

struct lists;
struct sites;

enum lease_state {
    LEASE_ASKED,    /* the script has been asked for it */
    LEASE_HELD,     /* somebody uses it */
    LEASE_UNLEASED, /* likewise, and Redis knows nothing of it */
    LEASE_ENDING,   /* the script has been asked to end it */
    LEASE_UNSENT,   /* it is to be asked when Redis is back */
};

struct request_lease {
    struct request_lease *next, *prev; /* of the thread's, in the order of their numbers; an unleased one is in no list */
    struct store *store;
    uint64_t number; /* its name in Redis */
    enum lease_state state;
    enum request_outcome outcome;
    char mark;          /* 't' it tries the worker, 'd' its outcome counts, '-' */
    struct buffer text; /* "worker service model stamp"; the first three as Redis has them */
    bool has_model;     /* the worker has it loaded */
    /* of one that may pass on to another request (spares.h): */
    struct buffer services, model; /* of the wish that it was chosen for */
    int64_t chosen_at;             /* clock_us */
    bool may_pass_on;
    int uses; /* requests that it has been for */
};

/* The routing of a thread. */
struct requests {
    char thread[20]; /* what it is called among all of all coordinators */
    struct str args[ROUTE_ARGS];
    struct request_lease *first, *last;
    size_t count, unsent;
    uint64_t next_number;
    int64_t renew_at, retry_at; /* clock_ms */
    struct sites *sites;
    struct lists *lists;
    struct spares spares;
};

struct requests *requests_of(struct store *store);

/* To be called at the end of each turn, before calls are sent. Returns the ms until the next call. */
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
    int placeless;                    /* workers that were chosen and that nobody knows where they are */
    char id[ID_MAX], service[ID_MAX]; /* chosen */
    size_t id_len, service_len;
    struct choosing *next; /* of those that wait for a list */
};

/* Takes what the script says of a chosen worker: "id service loaded stamp mark". */
void choosing_take(struct choosing *choosing, struct str text);

/* Adds its services, its model, and which other workers may be chosen, to a call of the script. */
void choosing_add(struct buffer *out, const struct choosing *choosing);

/* Ends it without a worker: with the refusal that the script says, or with an error. */
void choosing_refuse(struct choosing *choosing, struct str word);
void choosing_end(struct choosing *choosing, enum err err, const struct request_choice *choice, enum request_refusal refusal);

/* A lease of that number, for the script to make or to end. */
struct request_lease *lease_new(struct store *store, uint64_t number, enum lease_state state);
void lease_free(struct request_lease *lease);

/* Adds its name in Redis to a call. */
void lease_add(struct buffer *out, const struct request_lease *lease);

/* A lease of which Redis knows nothing. */
struct request_lease *lease_new_unleased(struct store *store, char mark);

/* Whether a lease is one for such a wish. */
bool lease_is_for(const struct request_lease *lease, const struct request_wish *wish);

/* Has Redis end it, and frees it. */
void lease_end(struct request_lease *lease, enum request_outcome outcome);

/* Chooses one of a list. */
MUST_CHECK enum err lists_choose(struct choosing *choosing);

/* Chooses others first until the lists are read again. `lists` may be NULL. */
void lists_drop(struct lists *lists, struct str worker_id, struct str service);

/* Where a worker provides a service. */
struct site {
    struct str url; /* absent: nobody knows */
    struct str tls_fingerprint;
};
typedef void site_callback(void *data, enum err err, const struct site *site);

/*
 * Finds it. `stamp` is that of the worker's registration; as long as that stays, Redis is asked once in a while only. Of several
 * URLs it is one by `turn`. `callback` may run before this returns; ERR_WORKER_NOT_FOUND where the worker is gone.
 */
void sites_find(struct store *store, struct str worker_id, struct str service, struct str stamp, uint64_t turn,
                site_callback *callback, void *data);

#endif
