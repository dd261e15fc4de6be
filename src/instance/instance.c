#include "instance/instance.h"

#include "api/proxy.h"
#include "api/watch.h"
#include "base/clock.h"
#include "base/log_repeat.h"
#include "base/metrics.h"
#include "http/offload.h"
#include "instance/upstreams.h"
#include "model/catalogue.h"
#include "redis/keys.h"
#include "redis/link.h"
#include "store/requests.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SWEEP_INTERVAL_MS 1000
#define SERVE_INTERVAL_MS 10000
#define HISTORY_INTERVAL_MS 10000 /* several times a minute, so that an instance that ends leaves no gap */
#define COUNT_INTERVAL_MS 2600    /* longer than an answer may take */
#define FOUND_WITHIN_MS 400       /* how long the log's line "listening" waits for the number of workers */

/* One serving thread and what belongs to it. */
struct serving_thread {
    struct instance *instance;
    int index;
    pthread_t id;
    struct server_thread *server;
    struct link *link, *replica_link; /* the second is NULL if there is no replica to read from */
    struct store *store;
    struct api api;
    int64_t serve_at;             /* clock_ms, when to look at the format again */
    int64_t sweep_at, history_at; /* clock_ms; 0: another thread does it */
    int64_t count_at;             /* when to count the workers at the start; 0: they are counted, or another thread does it */
};

enum err instance_take_catalogue(struct instance *instance)
{
    struct str path = instance->config.text[CONFIG_SERVICE_CATALOG];
    struct catalogue_file *file = &instance->catalogue;
    struct buffer faults = BUFFER_INIT;
    enum err err =
        path.len > 0 ? catalogue_file_load(path.ptr, getenv, file, &faults) : catalogue_file_built_in(getenv, file, &faults);
    if (err != ERR_NONE) {
        fprintf(stderr, "%.*s", STR_PRINTF(buffer_str(&faults)));
        buffer_fini(&faults);
        return ERR_INVALID;
    }
    catalogue_use(file->services, file->count);
    api_routes = proxy_make_routes(api_routes, &faults);
    if (faults.len > 0) {
        fprintf(stderr, "%.*s", STR_PRINTF(buffer_str(&faults)));
        buffer_fini(&faults);
        return ERR_INVALID;
    }
    instance->server_config.routes = api_routes;
    if (path.len > 0)
        log_event(LOG_INFO, "catalogue", "the service catalogue is that of a file", log_str("file", path),
                  log_number("services", (double)catalogue_count));
    return ERR_NONE;
}

static bool is_ready(void *data)
{
    const struct api *api = data;
    return store_is_up(api->store);
}

/*
 * Does the work that the fleet needs now and then, and that any instance may do. Each thread looks at the format of the data, since
 * each has a connection of its own. Returns the ms until the next time.
 */
static int32_t keep_house(struct serving_thread *thread)
{
    int64_t now = clock_ms();
    if (thread->instance->store_config.sweeps && now >= thread->serve_at && store_serve(thread->store) == ERR_NONE)
        thread->serve_at = now + SERVE_INTERVAL_MS;
    if (thread->sweep_at == 0)
        return 1000;
    if (now >= thread->sweep_at) {
        thread->sweep_at = now + SWEEP_INTERVAL_MS;
        store_sweep(thread->store);
    }
    if (now >= thread->history_at && store_keep_history(thread->store) == ERR_NONE &&
        store_ready(thread->store, NULL, NULL) == ERR_NONE) /* which logs what is not permitted */
        thread->history_at = now + HISTORY_INTERVAL_MS;
    return (int32_t)(thread->sweep_at - now);
}

static void on_directory(void *data, enum err err)
{
    const struct serving_thread *thread = data;
    if (err == ERR_NONE && !directory_has_anybody(thread->api.directory))
        log_event(LOG_WARN, "nobody_may",
                  "AUTH asks for credentials, and there is no user and no token yet: the first admin is made by "
                  "rma-coordinator users add NAME --role admin");
}

static void on_counted(void *data, enum err err, const struct fleet *fleet)
{
    struct serving_thread *thread = data;
    struct instance *instance = thread->instance;
    if (err != ERR_NONE)
        return;
    thread->count_at = 0;
    if (instance->api_config.auth != AUTH_OFF)
        directory_refresh(thread->api.directory, on_directory, thread);
    int64_t unknown = INSTANCE_WORKERS_UNKNOWN;
    if (atomic_compare_exchange_strong(&instance->workers_found, &unknown, fleet_total(fleet))) {
        sem_post(&instance->counted);
        return;
    }
    char message[64];
    snprintf(message, sizeof(message), "loaded %" PRId64 " workers", fleet_total(fleet));
    log_event(LOG_INFO, "loaded", message, log_number("workers", (double)fleet_total(fleet)));
}

/* Counts the workers that Redis has, once, as soon as Redis answers. */
static void count_workers(struct serving_thread *thread)
{
    if (thread->count_at == 0 || clock_ms() < thread->count_at || !store_is_up(thread->store))
        return;
    thread->count_at = clock_ms() + COUNT_INTERVAL_MS;
    if (store_fleet(thread->store, on_counted, thread) != ERR_NONE)
        return; /* it tries again after the interval */
}

int64_t instance_workers_found(struct instance *instance)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += FOUND_WITHIN_MS * 1000000L;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    while (sem_clockwait(&instance->counted, CLOCK_MONOTONIC, &end) != 0 && errno == EINTR)
        ;
    int64_t found = INSTANCE_WORKERS_UNKNOWN;
    atomic_compare_exchange_strong(&instance->workers_found, &found, INSTANCE_WORKERS_LATE);
    return found;
}

/* --- what a serving thread does in each turn of its loop, in this order --- */

static int32_t tick_house(void *data)
{
    struct serving_thread *thread = data;
    count_workers(thread);
    if (link_is_up(thread->link) && link_endpoint(thread->link)->host[0] != '\0')
        atomic_store(&thread->instance->upstream_rules.redis_port_now, link_endpoint(thread->link)->port);
    log_repeat_tick(clock_ms());
    return keep_house(thread);
}

static int32_t tick_proxy(void *data)
{
    return proxy_tick(data);
}

static void wake_for_upstream(void *data)
{
    server_thread_wants_ticks(data);
}

static int32_t tick_upstream(void *data)
{
    return upstream_tick(data);
}

static int32_t tick_events(void *data)
{
    return events_tick(data);
}

static int32_t tick_polls(void *data)
{
    return polls_tick(data);
}

static int32_t tick_shared(void *data)
{
    return shared_tick(data);
}

static int32_t tick_directory(void *data)
{
    return directory_tick(data);
}

static int32_t tick_store(void *data)
{
    struct serving_thread *thread = data;
    if (server_thread_stopping(thread->server))
        store_end_spares(thread->store);
    return store_tick(thread->store);
}

static int32_t tick_replica(void *data)
{
    return store_follow(data);
}

static int32_t tick_link(void *data)
{
    return link_tick(data);
}

static int32_t tick_watches(void *data)
{
    return watch_tick(data);
}

/* Adds the ticks of a thread. Those of the links come last, since they send what the others ask for. */
static void add_ticks(struct serving_thread *thread)
{
    server_thread_add_tick(thread->server, tick_house, thread);
    server_thread_add_tick(thread->server, tick_upstream, thread->api.upstream);
    server_thread_add_tick(thread->server, tick_proxy, &thread->api);
    server_thread_add_tick(thread->server, tick_events, thread->api.events);
    server_thread_add_tick(thread->server, tick_shared, &thread->api);
    server_thread_add_tick(thread->server, tick_watches, &thread->api);
    server_thread_add_tick(thread->server, tick_directory, thread->api.directory);
    server_thread_add_tick(thread->server, tenure_tick, &thread->api);
    server_thread_add_tick(thread->server, tick_polls, thread->api.polls);
    server_thread_add_tick(thread->server, tick_store, thread);
    if (thread->replica_link != NULL) {
        server_thread_add_tick(thread->server, tick_replica, thread->api.replica_store);
        server_thread_add_tick(thread->server, tick_link, thread->replica_link);
    }
    server_thread_add_tick(thread->server, tick_link, thread->link);
}

/* Runs a serving thread. It makes all that it uses itself: libh2o keeps spare memory for each thread, which others must not use. */
static void *serve(void *data)
{
    struct serving_thread *thread = data;
    struct instance *instance = thread->instance;
    metrics_thread_start();
    thread->server = server_thread_new(instance->server, thread->index);
    thread->link = link_new(server_thread_loop(thread->server), server_thread_resolver(thread->server), &instance->address);
    thread->store = store_new(thread->link, &instance->store_config);
    store_look_first(thread->store);
    thread->api =
        (struct api){.config = &instance->api_config, .thread = thread->server, .store = thread->store, .shared = instance->shared};
    thread->api.writers = instance->writers;
    if (instance->has_replica) {
        thread->replica_link =
            link_new(server_thread_loop(thread->server), server_thread_resolver(thread->server), &instance->replica_address);
        thread->api.replica_store = store_new_replica(thread->replica_link, thread->link, &instance->store_config);
        store_look_first(thread->api.replica_store);
    }
    thread->api.directory = directory_new(thread->store, thread->api.replica_store);
    thread->api.verified = verified_new();
    thread->api.proxies = proxies_new();
    thread->api.offload = offload_new(thread->server);
    directory_use_keys(thread->api.directory, &instance->signing_keys);
    thread->api.upstream =
        upstream_new(server_thread_loop(thread->server), &instance->upstream_rules, wake_for_upstream, thread->server);
    tenures_init(&thread->api.tenures);
    thread->api.polls = polls_new(thread->store);
    watch_init(&thread->api);
    thread->api.events = events_new(thread->server, thread->store, instance->store_config.heartbeat_timeout_ms);
    thread->count_at = thread->index == 0;
    thread->sweep_at = thread->index == 0 && instance->store_config.sweeps;
    server_thread_set_app(thread->server, &thread->api, is_ready);
    add_ticks(thread);
    pthread_barrier_wait(&instance->threads_made);
    server_thread_run(thread->server);
    log_repeat_flush();
    return NULL;
}

enum err instance_start(struct instance *instance, char why[256])
{
    upstreams_forbid_own(instance);
    keys_init(instance->config.text[CONFIG_KEY_PREFIX]);
    scripts_init();
    instance->shared = shared_new();
    instance->writers = writers_new();
    atomic_init(&instance->workers_found, INSTANCE_WORKERS_UNKNOWN);
    sem_init(&instance->counted, 0, 0);
    instance->threads = calloc((size_t)instance->thread_count, sizeof(*instance->threads));
    if (instance->threads == NULL || pthread_barrier_init(&instance->threads_made, NULL, (unsigned)instance->thread_count + 1) != 0)
        abort();
    for (int i = 0; i < instance->thread_count; i++) {
        struct serving_thread *thread = &instance->threads[i];
        thread->instance = instance;
        thread->index = i;
        int cause = pthread_create(&thread->id, NULL, serve, thread);
        if (cause != 0) {
            snprintf(why, 256, "THREADS: %d of %d could be started: %s", i, instance->thread_count, strerror(cause));
            return ERR_INVALID;
        }
    }
    pthread_barrier_wait(&instance->threads_made);
    return ERR_NONE;
}

/* Frees nothing, since the program ends. What it has stays reachable until then, so that a leak checker finds real leaks alone. */
void instance_stop(struct instance *instance)
{
    for (int i = 0; i < instance->thread_count; i++)
        server_thread_stop(instance->threads[i].server);
    for (int i = 0; i < instance->thread_count; i++)
        pthread_join(instance->threads[i].id, NULL);
}

enum err instance_listen(struct instance *instance, char why[256])
{
    const char *cause;
    if (server_new(&instance->server_config, &instance->server, &instance->port, &cause) == ERR_NONE)
        return ERR_NONE;
    const struct config *config = &instance->config;
    char metrics_port[32] = "";
    if (config->number[CONFIG_METRICS_PORT] != 0)
        snprintf(metrics_port, sizeof(metrics_port), ", METRICS_PORT %d", config->number[CONFIG_METRICS_PORT]);
    int reason = errno;
    snprintf(why, 256, "HOST %.45s, PORT %d%s: %s%s%s", config->text[CONFIG_HOST].ptr, config->number[CONFIG_PORT], metrics_port,
             cause, reason != 0 ? ": " : "", reason != 0 ? strerror(reason) : "");
    return ERR_INVALID;
}
