/*
 * The endpoints: the only place where HTTP and Redis meet. One function for each row of the route table.
 */
#ifndef API_API_H
#define API_API_H

#include "api/common.h"
#include "api/events.h"
#include "api/reading.h"
#include "api/shared.h"
#include "http/request.h"
#include "http/server.h"
#include "store/store.h"

struct api_config {
    struct str coordinator_id;
    struct str region;
    struct str version;
    struct str public_url; /* empty: the request's own base URL */
    bool trust_proxy;
    struct str workers_array_hosts; /* names under which all workers are listed as a bare array; see base/hosts.h */
    int heartbeat_interval_s;       /* told to agents */
    int max_replica_lag_ms;         /* a replica that is further behind is not read from */
};

/* What the handlers of one thread share. */
struct api {
    const struct api_config *config;
    struct server_thread *thread;
    struct store *store;
    struct store *replica_store; /* NULL: there is none near by */
    struct writers *writers;
    struct events *events;
    size_t listed; /* bytes of long answers in the making */
    struct shared *shared;
    struct shared_queue waiting[SHARED_COUNT];
};

/* All paths. */
extern const struct route api_routes[];

/*
 * Who may ask for a route: .access of its row has the least role, which includes those after it; or, or besides, workers. A row without any
 * is for nobody. ACCESS_FIELD marks the paths that agents, dashboards and front-ends in the field use without credentials.
 */
enum access {
    ACCESS_ANYONE = 1,
    ACCESS_VIEWER = 2,
    ACCESS_USER = 4,
    ACCESS_OPERATOR = 8,
    ACCESS_ADMIN = 16,
    ACCESS_WORKER = 32,
    ACCESS_FIELD = 64,
};

/* workers.c */
request_handler api_register, api_heartbeat, api_unregister, api_worker, api_drain, api_undrain;

/* bulk.c */
request_handler api_heartbeats;

/* fleet.c */
request_handler api_workers, api_live_workers, api_coordinators, api_dht_bootstrap, api_stats, api_fleet_health;

/* services.c */
request_handler api_services, api_services_list, api_gaps, api_discover, api_find;

/* edge.c */
request_handler api_edge_register, api_edge_heartbeat, api_dht_stats, api_dht_topology;

/* events.c */
request_handler api_events;

/* history.c */
request_handler api_history;

/* service.c */
request_handler api_root, api_health, api_livez, api_readyz;

/* metrics.c */
#define API_METRICS_PATH "/metrics"
request_handler api_metrics;

/* pages.c */
request_handler api_openapi, api_docs, api_dashboard, api_front;

/* tasks.c */
request_handler api_tasks, api_task_complete;

#define API_LISTED_MAX                                                                                                             \
    (32 << 20) /* bytes of a thread's long answers, in the making or on their way to clients that may be slow to read */

/* Whether there is no room for another long answer. */
static inline bool api_is_crowded(const struct api *api)
{
    return api->listed + server_thread_unread(api->thread) + shared_bytes(api->shared) > API_LISTED_MAX;
}

#endif
