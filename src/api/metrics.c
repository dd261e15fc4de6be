/*
 * GET /metrics: what this instance has counted, and the fleet's numbers, for Prometheus.
 *
 * The fleet's numbers are counters that the scripts keep, so a scrape costs the same for a fleet of any size. If Redis is down, the
 * answer comes within a second all the same. It then has this instance's numbers, and says that Redis is down.
 */
#include "api/api.h"
#include "api/proxy.h"
#include "api/queue_metrics.h"
#include "base/exposition.h"
#include "base/process.h"
#include "http/reply.h"
#include "model/catalogue.h"
#include "model/id.h"
#include "store/counters.h"

#include <stdio.h>
#include <stdlib.h>

#define US_PER_SECOND 1e6
#define MS_PER_SECOND 1e3
#define NAMED_MAX 100     /* so many services outside the catalogue have series of their own: anybody may make up names */
#define OTHERS "(others)" /* the label of all other services; no service can have this name */

/* The live workers of a service. */
struct live {
    int64_t healthy, degraded, draining;
};

/* A scrape that waits for Redis. */
struct scrape {
    struct pending *pending;
    struct store *store;
    struct fleet fleet;
    struct live *catalogue; /* in the catalogue's order */
    struct live others;
    struct buffer named; /* samples of services outside the catalogue */
    size_t named_count;
    struct queue_metrics *queues;
};

/* --- this instance's numbers --- */

static void write_process(struct buffer *out)
{
    exposition_single(out, "process_cpu_seconds_total", "counter", "CPU time that the coordinator has used, user and system.",
                      process_cpu_seconds());
    exposition_single(out, "process_resident_memory_bytes", "gauge", "Memory of the coordinator, without its private Redis.",
                      (double)process_resident_bytes());
    exposition_single(out, "process_open_fds", "gauge", "Open file descriptors.", (double)process_open_descriptors());
    exposition_single(out, "process_max_fds", "gauge", "File descriptors that may be open.", (double)process_max_descriptors());
    exposition_single(out, "process_start_time_seconds", "gauge", "When the coordinator was started, in seconds since 1970.",
                      process_start_seconds());
}

/* Appends a sample for each result that has a name in `names`. */
static void write_results(struct buffer *out, const char *name, const char *help, const struct metric results[RESULT_COUNT],
                          const char *const names[RESULT_COUNT])
{
    exposition_family(out, name, "counter", help);
    for (int i = 0; i < RESULT_COUNT; i++)
        if (names[i] != NULL)
            exposition_sample(out, name, LABELS({"result", str_from(names[i])}), (double)metric_read(&results[i]));
}

static void write_refusals(struct buffer *out, const struct metrics *sum)
{
    exposition_family(
        out, "rma_auth_refusals_total", "counter",
        "Requests without a good credential, by the reason; enforced=\"0\": served all the same, since AUTH is warn.");
    for (size_t place = 0; place < 2 * ADMIT_REASONS; place++)
        exposition_sample(out, "rma_auth_refusals_total",
                          LABELS({"enforced", place < ADMIT_REASONS ? STR("0") : STR("1")},
                                 {"reason", str_from(admit_reason(place % ADMIT_REASONS))}),
                          (double)metric_read(&sum->counters[ADMIT_COUNTERS + place]));
}

static void write_operations(struct buffer *out, const struct metrics *sum)
{
    static const char *const registrations[RESULT_COUNT] = {
        [RESULT_DONE] = "new", [RESULT_AGAIN] = "again", [RESULT_FAILED] = "failed"};
    static const char *const heartbeats[RESULT_COUNT] = {"taken", "revived", "unknown", "failed"};
    static const char *const unregistrations[RESULT_COUNT] = {
        [RESULT_DONE] = "removed", [RESULT_UNKNOWN] = "unknown", [RESULT_FAILED] = "failed"};
    write_results(out, "rma_registrations_total", "Registrations that were valid, by what came of them.",
                  &sum->counters[COUNTER_REGISTRATIONS], registrations);
    write_results(out, "rma_heartbeats_total", "Heartbeats that were valid, by what came of them.",
                  &sum->counters[COUNTER_HEARTBEATS], heartbeats);
    exposition_family(out, "rma_heartbeats_ignored_total", "counter",
                      "Heartbeats that were taken, but for a part that could not be used as it came.");
    exposition_sample(out, "rma_heartbeats_ignored_total", NULL, (double)metric_read(&sum->counters[COUNTER_HEARTBEATS_IGNORED]));
    write_results(out, "rma_unregistrations_total", "Requests to remove a worker, by what came of them.",
                  &sum->counters[COUNTER_UNREGISTRATIONS], unregistrations);
    exposition_family(
        out, "rma_heartbeat_lateness_seconds", "histogram",
        "How much later than it was due a heartbeat came: an interval after the one before it, or when that announced.");
    exposition_histogram(out, "rma_heartbeat_lateness_seconds", NULL, &sum->histograms[HISTOGRAM_HEARTBEAT_LATE_MS],
                         store_lateness_bounds, MS_PER_SECOND);
}

/* Returns the path of a route, the label of its counters. Place 0 is for requests that match no route. */
static struct str route_name(size_t place)
{
    return str_from(place == 0 ? "none" : api_routes[place - 1].path);
}

static bool has_observations(const struct histogram *histogram)
{
    for (size_t i = 0; i <= HISTOGRAM_BUCKETS; i++)
        if (metric_read(&histogram->buckets[i]) > 0)
            return true;
    return false;
}

static void write_requests_of(struct buffer *out, const struct metrics *sum, size_t place)
{
    for (int method = 0; method < METHOD_COUNT; method++)
        for (size_t i = 0; i <= STATUS_COUNT; i++) {
            uint64_t count = metric_read(&sum->requests[place][method][i]);
            char code[16] = "other";
            if (count == 0)
                continue;
            if (status_at(i) != 0)
                snprintf(code, sizeof(code), "%d", status_at(i));
            exposition_sample(out, "rma_http_requests_total",
                              LABELS({"route", route_name(place)},
                                     {"method", str_from(metrics_method_name((enum metrics_method)method))},
                                     {"code", str_from(code)}),
                              (double)count);
        }
}

static const char *const closing_names[CLOSING_COUNT] = {
    [CLOSING_IDLE] = "idle",     [CLOSING_FULL] = "full",         [CLOSING_LATE] = "late",
    [CLOSING_BODIES] = "bodies", [CLOSING_TLS] = "tls",           [CLOSING_PROXY] = "proxy_protocol",
    [CLOSING_HTTP2] = "http2",   [CLOSING_TOO_LONG] = "too_long", [CLOSING_MALFORMED] = "malformed",
};

static void write_http(struct buffer *out, const struct metrics *sum)
{
    size_t places = 1;
    while (api_routes[places - 1].path != NULL)
        places++;
    exposition_family(out, "rma_http_requests_total", "counter", "Requests that were answered.");
    for (size_t place = 0; place < places; place++)
        write_requests_of(out, sum, place);
    exposition_family(out, "rma_http_request_duration_seconds", "histogram",
                      "Time from when a request was read to when its answer was handed to the connection.");
    for (size_t place = 0; place < places; place++)
        if (has_observations(&sum->request_us[place]))
            exposition_histogram(
                out, "rma_http_request_duration_seconds",
                LABELS({"route", route_name(place)}, {"method", str_from(place == 0 ? "any" : api_routes[place - 1].method)}),
                &sum->request_us[place], metrics_latency_bounds, US_PER_SECOND);
    exposition_family(out, "rma_http_connections_closed_total", "counter",
                      "Connections that the coordinator closed by itself, other than after an answer.");
    for (int i = 0; i < CLOSING_COUNT; i++)
        exposition_sample(out, "rma_http_connections_closed_total", LABELS({"reason", str_from(closing_names[i])}),
                          (double)metric_read(&sum->closings[i]));
    exposition_single(out, "rma_http_connections", "gauge", "Open client connections.", (double)metric_read(&sum->connections));
    exposition_single(out, "rma_http_requests_waiting", "gauge", "Requests that wait for Redis, the scrape itself among them.",
                      (double)metric_read(&sum->waiting));
    exposition_single(out, "rma_http_event_streams", "gauge", "Clients that follow the live events.",
                      (double)metric_read(&sum->event_streams));
}

/* The errors of Redis commands that have a series. A worker or task that was not found is no error here. */
static const char *const error_kinds[ERR_COUNT] = {
    [ERR_INTERNAL] = "refused",
    [ERR_UNAVAILABLE] = "unavailable",
    [ERR_OVERLOADED] = "overloaded",
    [ERR_LOADING] = "loading",
    [ERR_BUSY] = "busy",
    [ERR_NO_SCRIPT] = "no_script",
    [ERR_READONLY] = "read_only",
    [ERR_MASTER_DOWN] = "master_down",
    [ERR_NO_REPLICAS] = "no_replicas",
    [ERR_CLUSTER_DOWN] = "cluster_down",
    [ERR_MOVED] = "moved",
    [ERR_ASK] = "ask",
    [ERR_TRY_AGAIN] = "try_again",
    [ERR_FULL] = "out_of_memory",
    [ERR_NOT_PERMITTED] = "not_permitted",
    [ERR_NO_PASSWORD] = "no_password",
    [ERR_WRONG_PASSWORD] = "wrong_password",
    [ERR_DISK] = "disk",
    [ERR_NEWER] = "newer_format",
    [ERR_OLDER] = "older_served",
};

static void write_redis(struct buffer *out, const struct metrics *sum)
{
    exposition_family(out, "rma_redis_command_duration_seconds", "histogram",
                      "Time from when a command was sent to when its reply was read, by script; none: other commands.");
    for (size_t i = 0; i < METRICS_SCRIPTS_MAX; i++) {
        const char *script = store_script_name(i);
        if (has_observations(&sum->command_us[i]))
            exposition_histogram(out, "rma_redis_command_duration_seconds",
                                 LABELS({"script", str_from(script != NULL ? script : "none")}), &sum->command_us[i],
                                 metrics_latency_bounds, US_PER_SECOND);
    }
    exposition_family(out, "rma_redis_command_errors_total", "counter", "Commands that failed or could not be sent.");
    for (int i = 0; i < ERR_COUNT; i++)
        if (error_kinds[i] != NULL)
            exposition_sample(out, "rma_redis_command_errors_total", LABELS({"kind", str_from(error_kinds[i])}),
                              (double)metric_read(&sum->command_errors[i]));
    uint64_t connects = metric_read(&sum->redis_connects), disconnects = metric_read(&sum->redis_disconnects);
    exposition_single(out, "rma_redis_connects_total", "counter",
                      "Connections to Redis that came up, one for each thread at first.", (double)connects);
    exposition_single(out, "rma_redis_disconnects_total", "counter", "Connections to Redis that were lost.", (double)disconnects);
    exposition_single(out, "rma_redis_connections", "gauge", "Connections to Redis that are up.", (double)(connects - disconnects));
}

/* --- the fleet's numbers, the same on every instance --- */

static const struct {
    const char *kind, *reason;
} events[FLEET_EVENT_COUNT] = {
#define X(kind, reason) {#kind, #reason},
    FLEET_EVENTS(X)
#undef X
};

static void write_workers(struct buffer *out, const struct fleet *fleet)
{
    exposition_family(out, "rma_workers", "gauge", "Workers of the fleet.");
    for (int tier = 1; tier <= TIER_COUNT; tier++)
        for (int status = 0; status < WORKER_STATUS_COUNT; status++)
            exposition_sample(out, "rma_workers", LABELS({"tier", {&"01234"[tier], 1}}, {"status", worker_status_words[status]}),
                              (double)fleet->workers[tier][status]);
    exposition_family(out, "rma_workers_load", "gauge", "Sum of the loads, each 0 to 1, of the workers that are not offline.");
    for (int tier = 1; tier <= TIER_COUNT; tier++)
        exposition_sample(out, "rma_workers_load", LABELS({"tier", {&"01234"[tier], 1}}), fleet->load[tier]);
    exposition_family(out, "rma_worker_events_total", "counter", "What happened to the fleet's workers, by kind and reason.");
    for (int event = 0; event < FLEET_EVENT_COUNT; event++)
        exposition_sample(out, "rma_worker_events_total",
                          LABELS({"event", str_from(events[event].kind)}, {"reason", str_from(events[event].reason)}),
                          (double)fleet->events[event]);
    exposition_single(out, "rma_tasks_completed_total", "counter", "Tasks that workers of the fleet have completed.",
                      (double)fleet->tasks_completed);
}

static void write_live(struct buffer *out, struct str service, const struct live *live)
{
    exposition_sample(out, "rma_service_workers", LABELS({"service", service}, {"status", worker_status_words[WORKER_HEALTHY]}),
                      (double)live->healthy);
    exposition_sample(out, "rma_service_workers", LABELS({"service", service}, {"status", worker_status_words[WORKER_DEGRADED]}),
                      (double)live->degraded);
    exposition_sample(out, "rma_service_workers", LABELS({"service", service}, {"status", worker_status_words[WORKER_DRAINING]}),
                      (double)live->draining);
}

static void write_services(struct buffer *out, const struct scrape *scrape)
{
    exposition_family(out, "rma_service_workers", "gauge",
                      "Live workers that provide a service; (others): those of all services beyond the first hundred by name.");
    for (size_t i = 0; i < catalogue_count; i++)
        write_live(out, catalogue[i].name, &scrape->catalogue[i]);
    buffer_append(out, buffer_str(&scrape->named));
    write_live(out, STR(OTHERS), &scrape->others);
}

/* --- the scrape --- */

/* Answers a scrape. `scrape` NULL: Redis has not told the fleet's numbers. */
static void scrape_answer(struct request *request, const struct scrape *scrape)
{
    const struct api *api = request_app(request);
    struct metrics *sum = metrics_sum();
    struct buffer body = BUFFER_INIT;
    exposition_family(&body, "rma_build_info", "gauge", "Which coordinator this is; always 1.");
    exposition_sample(&body, "rma_build_info", LABELS({"version", api->config->version}), 1);
    exposition_single(&body, "rma_redis_up", "gauge", "Whether Redis answered this scrape.", scrape != NULL);
    if (scrape != NULL) {
        write_workers(&body, &scrape->fleet);
        write_services(&body, scrape);
        queue_metrics_write(&body, scrape->queues);
    }
    write_operations(&body, sum);
    write_refusals(&body, sum);
    write_http(&body, sum);
    proxy_write_metrics(&body, sum);
    write_redis(&body, sum);
    write_process(&body);
    free(sum);
    reply_body(request, STR(EXPOSITION_TYPE), &body);
}

static void answer_without_redis(struct request *request)
{
    scrape_answer(request, NULL);
}

static void scrape_end(struct scrape *scrape, enum err err)
{
    struct scrape own = *scrape;
    struct request *request = api_resume(scrape->pending, ERR_NONE); /* without Redis there is an answer all the same */
    if (request != NULL)
        scrape_answer(request, err == ERR_NONE ? &own : NULL);
    buffer_fini(&own.named);
    free(own.catalogue);
    free(own.queues);
}

static void on_service(void *data, const struct service *service)
{
    struct scrape *scrape = data;
    struct live live = {service->healthy, service->degraded, service->draining};
    const struct catalogue_service *known = catalogue_find(service->name);
    if (known != NULL) {
        scrape->catalogue[known - catalogue] = live;
    } else if (scrape->named_count < NAMED_MAX) {
        scrape->named_count++;
        write_live(&scrape->named, service->name, &live);
    } else {
        scrape->others.healthy += live.healthy;
        scrape->others.degraded += live.degraded;
        scrape->others.draining += live.draining;
    }
}

static void on_queue(void *data, const struct queue *queue)
{
    struct scrape *scrape = data;
    queue_metrics_add(scrape->queues, queue);
}

static void on_queues(void *data, enum err err)
{
    scrape_end(data, err);
}

static void on_services(void *data, enum err err)
{
    struct scrape *scrape = data;
    if (err == ERR_NONE)
        err = store_queues(scrape->store, (struct str){NULL, 0}, on_queue, on_queues, scrape);
    if (err != ERR_NONE)
        scrape_end(scrape, err);
}

static void on_fleet(void *data, enum err err, const struct fleet *fleet)
{
    struct scrape *scrape = data;
    if (err == ERR_NONE) {
        scrape->fleet = *fleet;
        err = store_services(scrape->store, false, on_service, on_services, scrape);
        if (err == ERR_NONE)
            return;
    }
    scrape_end(scrape, err);
}

void api_metrics(struct request *request)
{
    const struct api *api = request_app(request);
    struct pending *pending = pending_new(request, answer_without_redis, sizeof(struct scrape));
    struct scrape *scrape = pending_payload(pending);
    scrape->pending = pending;
    scrape->store = api->store;
    scrape->catalogue = calloc(catalogue_count + 1, sizeof(*scrape->catalogue));
    if (scrape->catalogue == NULL)
        abort();
    scrape->queues = queue_metrics_new();
    enum err err = store_fleet(api->store, on_fleet, scrape);
    if (err != ERR_NONE)
        scrape_end(scrape, err);
}
