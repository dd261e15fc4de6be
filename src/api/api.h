/*
 * The endpoints, the only place where HTTP and Redis meet. Each row of the route table has a function.
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
 * Whether requests need credentials, in the order of AUTH's words. AUTH_OFF: only those of an admin's routes do. AUTH_ON: all do,
 * except on routes for anyone. AUTH_WARN: as AUTH_ON, but on the paths that the field uses without credentials (ACCESS_FIELD) a
 * missing or bad credential is only logged.
 */
enum auth_mode { AUTH_OFF, AUTH_WARN, AUTH_ON };

struct api_config {
    enum auth_mode auth;
    struct str private_token;                /* the only valid credential, an admin's; empty: the fleet's credentials are valid */
    const struct signing_keys *signing_keys; /* of JWT_KEY_FILE; none: the one in Redis signs */
    struct str coordinator_id;
    struct str region;
    struct str version;
    struct str public_url;          /* empty: the request's own base URL */
    struct str shared_secret;       /* JWT_SECRET, with which workers check tokens; empty: there is none */
    struct str client;              /* the name of the only client; empty: clients are named by their addresses */
    struct str workers_array_hosts; /* names under which all workers are listed as a bare array; see base/hosts.h */
    int heartbeat_interval_s;       /* told to agents */
    int edge_interval_s;            /* told to edge nodes */
    int max_replica_lag_ms;         /* a replica that is further behind is not read from */
};

/* What the handlers of one thread share. */
struct api {
    const struct api_config *config;
    struct server_thread *thread;
    struct store *store;
    struct store *replica_store; /* NULL: there is no replica near by */
    struct writers *writers;
    struct directory *directory;
    struct verified *verified;
    struct offload *offload;
    struct upstream *upstream; /* the connections to workers */
    struct events *events;
    struct polls *polls;
    size_t listed; /* bytes of long answers that are being made */
    struct shared *shared;
    struct shared_queue waiting[SHARED_COUNT];
    struct proxies *proxies;
    struct tenures tenures;
    struct watches *watches; /* requests that wait for the end of a task, see watch.h */
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

#define API_LISTED_MAX (32 << 20) /* bytes of a thread's long answers that are being made or sent: clients may be slow to read */

/* Whether there is no room for another long answer. */
static inline bool api_is_crowded(const struct api *api)
{
    return api->listed + server_thread_unread(api->thread) + shared_bytes(api->shared) > API_LISTED_MAX;
}

#endif
