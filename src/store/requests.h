/*
 * Chooses the worker that gets a client's request. The script call that chooses a worker also leases it for the request, so that
 * all instances know how many requests each worker has. As in store.h, no operation blocks, and a callback runs exactly once,
 * unless the operation itself returns an error; it may run before the operation returns. Texts that a callback gets are valid
 * during the call alone.
 */
#ifndef STORE_REQUESTS_H
#define STORE_REQUESTS_H

#include "store/store.h"

struct endpoints;

#define REQUEST_SERVICES_MAX 8 /* of one wish */

/* What a request needs. */
struct request_wish {
    struct str services; /* 1 to REQUEST_SERVICES_MAX names of the catalogue with commas between; the worker provides one of them */
    struct str model;    /* in its normal form (model_name.h): workers that have it loaded come first; absent: any */
    bool silent;         /* of the other workers, only those that tell of no loaded models may be chosen */
    struct str session;  /* of any length: the worker of its last request comes first, unless `unleased`; absent: none */
    struct str excluded; /* ids with blanks between: workers that were tried, and are not chosen again; absent: none */
    bool unleased;       /* chooses at random ("spread": "random"), without a lease, from a list that is read once a second */
};

/* A lease: a request counts as under way at a worker until store_release. */
struct request_lease;

struct request_choice {
    struct str worker_id;
    struct str service; /* of the wish's services, the one for which the worker was chosen */
    struct str url;     /* "http://10.0.0.7:8102", "https://gpu.example/llm": as the worker told it, checked by endpoint.h alone */
    struct str other_url;       /* where the worker provides the service, too; absent: nowhere */
    struct str tls_fingerprint; /* SHA-256 of the worker's certificate as 64 hex digits; absent: the host's name is checked */
    bool has_model;             /* the worker has the wish's model loaded */
    struct request_lease *lease;
};

/* Why no worker was chosen. */
enum request_refusal {
    REQUEST_NO_WORKERS, /* no live worker provides any of the services */
    REQUEST_NONE_TAKES, /* all that provide one are draining, or report it as unhealthy */
    REQUEST_ALL_TRIED,  /* workers take work, but all are excluded, or have failed too often lately */
    REQUEST_ALL_OPEN,   /* workers take work, but all have failed too often lately */
    REQUEST_NO_ADDRESS, /* the addresses of the chosen workers are not known */
};

/* `choice` is NULL on errors. `refusal` says why no worker was chosen; it means nothing without ERR_NO_WORKER. */
typedef void store_choice_callback(void *data, enum err err, const struct request_choice *choice, enum request_refusal refusal);

/* Chooses a worker and leases it. Calls of one turn share a script call. The caller must release the lease once. */
MUST_CHECK enum err store_choose(struct store *store, const struct request_wish *wish, store_choice_callback *callback, void *data);

/* The outcome of a request. Later choices depend on it. */
enum request_outcome {
    REQUEST_UNKNOWN,     /* it says nothing about the worker: the client left */
    REQUEST_SERVED,      /* the worker has answered, maybe with a 4xx */
    REQUEST_FAILED,      /* the worker has answered with a 5xx, too late, incompletely, or with nonsense */
    REQUEST_UNREACHABLE, /* no connection: refused, timed out, name not found, address not allowed, TLS failed */
    REQUEST_NOT_SENT,    /* the worker was chosen and not asked: it does not count as a request of this worker */
};

/*
 * Ends a lease, and frees it. Call it as soon as the worker's answer has ended, before the client gets the last part of it: then
 * the client's next request finds the worker free. If Redis is out of reach, the lease is ended once Redis is back.
 */
void store_release(struct store *store, struct request_lease *lease, enum request_outcome outcome);

/* Ends the leases that are kept for another request (see store/spares.h). Call it before store_tick if no turn may follow. */
void store_end_spares(struct store *store);

/* A model that live workers have loaded. */
struct model_count {
    struct str normal; /* the normal form of the workers' names for it */
    struct str name;   /* of these names, the first in the order of bytes */
    int64_t workers;
};
typedef void store_model_callback(void *data, const struct model_count *model);

/* Names each model that live workers have loaded, in the order of the normal forms. Reads the whole fleet in pages. */
MUST_CHECK enum err store_models(struct store *store, store_model_callback *row, store_callback *done, void *data);

/* The requests of a service, by the leases of all instances; those without a lease are not counted. */
struct request_count {
    struct str service;
    int64_t in_flight, served; /* those under way; those that have ever ended */
};
typedef void store_request_count_callback(void *data, const struct request_count *count);

/* Names each service that has or had requests, in the order of the names. */
MUST_CHECK enum err store_request_counts(struct store *store, store_request_count_callback *row, store_callback *done, void *data);

/* Whether a worker may be chosen for a service and a model, and if not, why. */
enum route_standing {
    ROUTE_ELIGIBLE,    /* it may be chosen */
    ROUTE_SUSPECT,     /* it may be chosen if no better one can: a connection to it failed just now */
    ROUTE_NO_MODEL,    /* it may be chosen if no better one can: the model is not loaded */
    ROUTE_OTHERS,      /* it tells of other loaded models, and the service loads none on demand */
    ROUTE_TRIAL,       /* it failed too often, and a request that tries it is under way */
    ROUTE_OPEN,        /* it failed too often, and gets no requests for a while */
    ROUTE_UNWELL,      /* it reports the service as unhealthy */
    ROUTE_DRAINING,    /* it drains */
    ROUTE_OFFLINE,     /* it is silent, or reports itself offline */
    ROUTE_NOT_SERVICE, /* it does not provide the service */
};

struct route_row {
    struct str worker_id, status;
    enum route_standing standing;
    bool has_model;
    bool is_near;                      /* it is in this instance's region */
    double load;                       /* 0 to 1 */
    int64_t in_flight;                 /* its requests, by leases */
    int64_t active_requests;           /* the greater of in_flight and what it reports */
    int64_t failures;                  /* of the service's requests, in a row */
    int64_t left_ms;                   /* how long ROUTE_OPEN or ROUTE_SUSPECT still lasts */
    const struct endpoints *endpoints; /* its URLs; NULL: not read, since it gets no requests whatever they are */
};
typedef void store_route_callback(void *data, const struct route_row *row);

#define STORE_ROUTE_MAX 200 /* rows */

/*
 * Tells how each worker stands for a service and a model (absent: any), the best choice first. *left_out, which must last until
 * `done`, becomes the number of workers beyond STORE_ROUTE_MAX. Reads the whole fleet in pages, then the URLs of these workers.
 */
MUST_CHECK enum err store_explain_route(struct store *store, struct str service, struct str model, int64_t *left_out,
                                        store_route_callback *row, store_callback *done, void *data);

#endif
