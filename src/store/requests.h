/*
 * Which worker gets a client's request. A worker that is chosen is leased for the request in the same script call, so that all
 * instances know how many requests each has. As in store.h, no operation blocks, and a callback runs exactly once, unless the
 * operation itself returns an error; it may run before the operation returns. Texts that a callback gets are valid during the
 * call alone.
 */
#ifndef STORE_REQUESTS_H
#define STORE_REQUESTS_H

#include "store/store.h"

#define REQUEST_SERVICES_MAX 8 /* of one wish */
#define REQUEST_EXCLUDED_MAX 8 /* workers */

/* What a request needs. */
struct request_wish {
    struct str services; /* the catalogue's names with commas between, 1 to REQUEST_SERVICES_MAX: one of them */
    struct str model;    /* its normal form (model_name.h): those that have it loaded first; absent: any */
    bool silent;         /* of those that have not, only those that tell of no loaded models at all */
    struct str session;  /* of any length: the worker that had its last request first, but for `unleased`; absent: none */
    struct str excluded; /* ids with blanks between: these are not chosen, since they were tried; absent: none */
    bool unleased;       /* at random among those that take work, without a lease, as of the last second ("spread": "random") */
};

/* A worker that a request may be sent to; it counts until request_release. */
struct request_lease;

struct request_choice {
    struct str worker_id;
    struct str service; /* which of the wish's */
    struct str url;     /* "http://10.0.0.7:8102", "https://gpu.example/llm": as it was told, checked by nobody but endpoint.h */
    struct str tls_fingerprint; /* SHA-256 of its certificate as 64 hex digits; absent: it is checked against the name */
    bool has_model;             /* it has the wish's model loaded */
    struct request_lease *lease;
};

/* Why nobody was chosen. */
enum request_refusal {
    REQUEST_NO_WORKERS, /* no live worker provides it */
    REQUEST_NONE_TAKES, /* those that do are draining, or say that it is not well */
    REQUEST_ALL_TRIED,  /* all others are excluded */
    REQUEST_ALL_OPEN,   /* all others have failed too often lately */
    REQUEST_NO_ADDRESS, /* nobody knows where they are */
};

/* With ERR_NO_WORKER `choice` is NULL and `refusal` says why; with other errors neither says anything. */
typedef void store_choice_callback(void *data, enum err err, const struct request_choice *choice, enum request_refusal refusal);

/* Chooses a worker and leases it. Calls of one turn share a script call. Whoever gets a lease must release it, once. */
MUST_CHECK enum err store_choose(struct store *store, const struct request_wish *wish, store_choice_callback *callback, void *data);

/* What became of a request: other requests learn of it. */
enum request_outcome {
    REQUEST_UNKNOWN,     /* it says nothing of the worker: the client left, it was never sent */
    REQUEST_SERVED,      /* the worker has answered; also with a 4xx */
    REQUEST_FAILED,      /* it has answered 5xx, too late, not to the end, or nonsense */
    REQUEST_UNREACHABLE, /* no connection: refused, timed out, not looked up, not allowed, no TLS */
};

/*
 * Ends a lease, and frees it. To be called as soon as the worker's answer has ended, before the client gets the last of it: the
 * client's next request then finds the worker free. It succeeds later when Redis is out of reach now.
 */
void store_release(struct store *store, struct request_lease *lease, enum request_outcome outcome);

/* Ends the leases that wait for another request (see store/spares.h). To be called before store_tick when no turn may follow. */
void store_end_spares(struct store *store);

/* A model that live workers have loaded. */
struct model_count {
    struct str normal; /* the form that their names for it have in common */
    struct str name;   /* the first of these names in the order of bytes */
    int64_t workers;
};
typedef void store_model_callback(void *data, const struct model_count *model);

/* Names each model that live workers have loaded, in the order of the normal forms. Reads the whole fleet in pages. */
MUST_CHECK enum err store_models(struct store *store, store_model_callback *row, store_callback *done, void *data);

/* The requests of a service, by the leases of all instances; those without a lease are not counted. */
struct request_count {
    struct str service;
    int64_t in_flight, served; /* under way; those that have ended, ever */
};
typedef void store_request_count_callback(void *data, const struct request_count *count);

/* Names each service that has or had requests, in the order of the names. */
MUST_CHECK enum err store_request_counts(struct store *store, store_request_count_callback *row, store_callback *done, void *data);

/* How a worker stands when a worker is chosen for a service. */
enum route_standing {
    ROUTE_ELIGIBLE,    /* it may be chosen */
    ROUTE_SUSPECT,     /* it may, when no other is: a connection to it failed just now */
    ROUTE_NO_MODEL,    /* it may, when no other is: the model is not loaded */
    ROUTE_OTHERS,      /* it has loaded other models, and loads none on demand */
    ROUTE_TRIAL,       /* it failed too often, and is tried with one request: that is under way */
    ROUTE_OPEN,        /* it failed too often, and is left alone for a while */
    ROUTE_UNWELL,      /* it says that the service is not well */
    ROUTE_DRAINING,    /* it drains */
    ROUTE_OFFLINE,     /* it is silent, or says so */
    ROUTE_NOT_SERVICE, /* it does not provide the service */
};

struct route_row {
    struct str worker_id, status;
    enum route_standing standing;
    bool has_model;
    bool is_near;            /* it is in this instance's region */
    double load;             /* 0 to 1 */
    int64_t in_flight;       /* requests, by leases */
    int64_t active_requests; /* the larger of these and what it reports */
    int64_t failures;        /* in a row, of the service's requests */
    int64_t left_ms;         /* of ROUTE_OPEN, ROUTE_SUSPECT: until it is over */
};
typedef void store_route_callback(void *data, const struct route_row *row);

#define STORE_ROUTE_MAX 200 /* rows */

/*
 * Says of each worker how it stands for a service, and a model (absent: any): the first one would be chosen next. *left_out, which
 * must last until `done`, becomes the number of workers beyond STORE_ROUTE_MAX. Reads the whole fleet in pages.
 */
MUST_CHECK enum err store_explain_route(struct store *store, struct str service, struct str model, int64_t *left_out,
                                        store_route_callback *row, store_callback *done, void *data);

#endif
