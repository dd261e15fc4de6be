/*
 * The endpoints: the only place where HTTP and Redis meet. One function for each row of the route table.
 */
#ifndef API_API_H
#define API_API_H

#include "api/admit.h"
#include "api/common.h"
#include "api/directory.h"
#include "api/events.h"
#include "api/polls.h"
#include "api/principal.h"
#include "api/reading.h"
#include "api/shared.h"
#include "api/tenure.h"
#include "http/request.h"
#include "http/server.h"
#include "store/store.h"

/*
 * Whether requests need credentials: never; always, but on the paths that the field uses without any their lack is only logged;
 * always. In the order of AUTH's words.
 */
enum auth_mode { AUTH_OFF, AUTH_WARN, AUTH_ON };

struct api_config {
    enum auth_mode auth;
    struct str private_token; /* the one credential that counts, and that of an admin; empty: those of the fleet count */
    const struct signing_key *signing_key; /* of JWT_KEY_FILE; NULL: the one that is kept in Redis */
    struct str coordinator_id;
    struct str region;
    struct str version;
    struct str public_url;          /* empty: the request's own base URL */
    struct str shared_secret;       /* JWT_SECRET, which workers check tokens with; empty: there is none */
    struct str client;              /* who asks, where that is known; empty: it is told by its address */
    struct str workers_array_hosts; /* names under which all workers are listed as a bare array; see base/hosts.h */
    int heartbeat_interval_s;       /* told to agents */
    int edge_interval_s;            /* told to those of edge nodes */
    int max_replica_lag_ms;         /* a replica that is further behind is not read from */
};

/* What the handlers of one thread share. */
struct api {
    const struct api_config *config;
    struct server_thread *thread;
    struct store *store;
    struct store *replica_store; /* NULL: there is none near by */
    struct writers *writers;
    struct directory *directory;
    struct verified *verified;
    struct offload *offload;
    struct upstream *upstream; /* what requests are passed on with */
    struct events *events;
    struct polls *polls;
    size_t listed; /* bytes of long answers in the making */
    struct shared *shared;
    struct shared_queue waiting[SHARED_COUNT];
    struct proxies *proxies;
    struct tenures tenures;
    struct watch *watches; /* requests that wait for the end of a task, see watch.h */
};

/*
 * All paths. Their handlers are declared by the table itself. proxy_make_routes adds the paths of the catalogue, before any
 * thread starts.
 */
extern const struct route *api_routes;

/* health.c */
request_handler api_root;

/* proxy_routes.c */
request_handler api_service;

#define API_METRICS_PATH "/metrics"

#define API_LISTED_MAX                                                                                                             \
    (32 << 20) /* bytes of a thread's long answers, in the making or on their way to clients that may be slow to read */

/* Whether there is no room for another long answer. */
static inline bool api_is_crowded(const struct api *api)
{
    return api->listed + server_thread_unread(api->thread) + shared_bytes(api->shared) > API_LISTED_MAX;
}

#endif
