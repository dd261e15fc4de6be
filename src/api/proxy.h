/*
 * Passes a request on to a worker, and the answer back.
 *
 *     proxy_pass ──▶ a worker is chosen and leased ──▶ the request goes out ──▶ answer ──▶ stream, whole answer, or tunnel
 *                         ▲                                 │ failed
 *                         └──────── another worker ◀────────┤ if that is safe
 *                                                           └──▶ a problem: 502, 503, 504
 *
 * A request goes to another worker if it can't have been delivered; and if it may be done twice, as long as no answer has
 * begun. Once an answer has begun to reach the client, no other worker is asked.
 */
#ifndef API_PROXY_H
#define API_PROXY_H

#include "api/proxy_target.h"
#include "http/request.h"

struct api;

/* What to pass on, and to which services. The texts last as long as the request. */
struct proxy_order {
    struct str services; /* the catalogue's names with commas between: one of them */
    struct str loaders;  /* those of them that can load the model, asked if no worker has it; absent: any worker may serve it */
    struct str model;    /* its normal form; absent: any */
    struct str session;  /* keeps a conversation on its worker; absent: none */
    struct str prefix;   /* the public path that stands for target.to */
    struct proxy_target target;
    struct str method, type, body; /* of a request that is made here; absent: the client's own */
    const char *nobody;            /* the sentence if no worker can serve; NULL: the usual one */
    const char *failed;            /* the beginning of the sentence about a failure; NULL: the usual one */
};

/* Returns an order of zeros, in the request's memory. */
struct proxy_order *proxy_order_new(struct request *request);

/* Passes the request on, on behalf of the caller that proxy_know_caller has found. It is answered later. */
void proxy_pass(struct request *request, const struct proxy_order *order);

/* Finds out who sent the request, whatever AUTH says, since the worker is told. Then calls `then`, now or later. */
void proxy_know_caller(struct request *request, request_handler *then);

/* Checks the rules for all requests that are passed on. False: the request breaks one and has been answered. */
bool proxy_check_request(struct request *request);

/* A thread's state for the requests that it passes on. Lives as long as the program. */
struct proxies;
struct proxies *proxies_new(void);

/*
 * Adds to a problem what clients of services read beside its own members: error, message, service and available_services, or,
 * under /v1, OpenAI's error object. To be called for all problems (server_config.describe).
 */
void proxy_describe(const struct request *request, enum err err, const char *detail, const struct faults *faults,
                    struct buffer *out);

/* Returns the service as the request's path names it; absent: the path leads to no service. */
struct str proxy_service_of(const struct request *request);

/*
 * Returns the rows of the table `own` (see routes.c) and the rows of the catalogue's routes, which come before the rows for all
 * services. They last as long as the program. `faults` gets a line for each route that would hide a path of the coordinator, the
 * paths of all services, or those of another service. Call it once, after catalogue_use and before any thread starts.
 */
const struct route *proxy_make_routes(const struct route *own, struct buffer *faults);

/* Appends the metrics of requests that were passed on, of all threads together. */
struct metrics;
void proxy_write_metrics(struct buffer *out, const struct metrics *sum);

/* To be called in each turn of the loop; `data` is the api. Returns the ms until the next call. */
int32_t proxy_tick(void *data);

#endif
