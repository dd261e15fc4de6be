/*
 * The health of the coordinator: GET /api, /health, /livez and /readyz.
 */
#include "api/api.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "http/reply.h"

#include <stdio.h>

#define DOWNTIME_SHOWN_MS 86400000

static void write_identity(struct buffer *out, const struct api_config *config)
{
    json_add_text(out, "coordinator", config->coordinator_id);
    json_add_text(out, "region", config->region.len > 0 ? config->region : (struct str){NULL, 0});
    json_add_text(out, "version", config->version);
    json_add_time(out, "timestamp", clock_wall_ms());
}

/* Adds why all or some requests fail: the error's code and sentence, with the commands that Redis does not permit. */
static void write_cause(struct buffer *out, const struct api *api, enum err err)
{
    const char *missing = store_missing(api->store);
    json_add_text(out, "code", err_code(err));
    struct buffer detail = BUFFER_INIT;
    buffer_append(&detail, str_from(api_explain(err)));
    if (err == ERR_NOT_PERMITTED && missing[0] != '\0')
        buffer_printf(&detail, " Not permitted: %s.", missing);
    if (err == ERR_NEWER || err == ERR_OLDER)
        buffer_printf(&detail, " %s.", store_why(api->store));
    json_add_text(out, "detail", buffer_str(&detail));
    buffer_fini(&detail);
}

/* Adds the last downtime of Redis, for a day after it. The workers' deadlines were moved by it. */
static void write_downtime(struct buffer *out, const struct downtime *downtime)
{
    if (downtime->at == 0 || clock_wall_ms() - downtime->at > DOWNTIME_SHOWN_MS)
        return;
    struct buffer detail = BUFFER_INIT;
    downtime_write(&detail, downtime);
    json_begin_object(out, "downtime");
    json_add_time(out, "ended_at", downtime->at);
    json_add_number(out, "seconds", (double)downtime->ms / 1000);
    json_add_integer(out, "workers", downtime->workers);
    json_add_text(out, "detail", buffer_str(&detail));
    json_end_object(out);
    buffer_fini(&detail);
}

/* Answers GET /health when requests fail: the status is for load balancers, the sentence for people. */
static void answer_unhealthy(struct request *request, enum err err)
{
    const struct api *api = request_app(request);
    struct buffer body = BUFFER_INIT;
    json_begin_object(&body, NULL);
    json_add_text(&body, "status", STR("unhealthy"));
    write_identity(&body, api->config);
    json_begin_object(&body, "redis");
    json_add_text(&body, "status", STR("down"));
    json_add_null(&body, "latency_ms");
    json_end_object(&body);
    write_cause(&body, api, err);
    json_end_object(&body);
    request_set_header(request, "Retry-After", RETRY_AFTER_SECONDS);
    reply_json(request, 503, &body);
}

static void answer_late(struct request *request)
{
    answer_unhealthy(request, ERR_DEADLINE);
}

static void on_health(void *data, enum err err, const struct fleet *fleet)
{
    struct pending *pending = data;
    struct request *request = api_resume(pending, ERR_NONE); /* with an error, too, since it is answered below */
    const struct api *api = request != NULL ? request_app(request) : NULL;
    enum err refusal = request != NULL && err == ERR_NONE ? store_refusal(api->store) : err; /* store_ready was answered before */
    if (request != NULL && (err != ERR_NONE || refusal == ERR_NOT_PERMITTED)) {
        answer_unhealthy(request, refusal);
    } else if (request != NULL) {
        const int64_t *asked_at = pending_payload(pending);
        struct buffer body = BUFFER_INIT;
        json_begin_object(&body, NULL);
        json_add_text(&body, "status", refusal == ERR_NONE ? STR("healthy") : STR("degraded"));
        write_identity(&body, api->config);
        json_begin_object(&body, "redis");
        json_add_text(&body, "status", STR("up"));
        json_add_number(&body, "latency_ms", (double)(clock_us() - *asked_at) / 1000);
        if (refusal != ERR_NONE)
            write_cause(&body, api, refusal);
        write_downtime(&body, store_downtime(api->store));
        json_end_object(&body);
        fleet_write_summary(&body, fleet);
        json_end_object(&body);
        reply_json(request, 200, &body);
    }
}

void api_health(struct request *request)
{
    const struct api *api = request_app(request);
    struct pending *pending = pending_new(request, answer_late, sizeof(int64_t));
    int64_t *asked_at = pending_payload(pending);
    *asked_at = clock_us();
    enum err err = store_ready(api->store, NULL, NULL);
    if (err == ERR_NONE)
        err = store_ask_downtime(api->store);
    if (err == ERR_NONE)
        err = store_fleet(api->store, on_health, pending);
    if (err != ERR_NONE)
        on_health(pending, err, NULL);
}

static void on_root(void *data, enum err err, const struct fleet *fleet)
{
    struct request *request = api_resume(data, err);
    if (request != NULL) {
        const struct api *api = request_app(request);
        const struct str modes[] = {[AUTH_OFF] = STR("off"), [AUTH_WARN] = STR("warn"), [AUTH_ON] = STR("on")};
        struct buffer body = BUFFER_INIT;
        json_begin_object(&body, NULL);
        json_add_text(&body, "status", STR("healthy"));
        json_add_text(&body, "service", STR("RMA Distributed Coordinator"));
        json_add_text(&body, "version", api->config->version);
        json_add_text(&body, "auth", modes[api->config->auth]);
        json_add_integer(&body, "active_workers", fleet_total(fleet) - fleet_by_status(fleet, WORKER_OFFLINE));
        json_add_text(&body, "docs", STR("/docs"));
        json_add_text(&body, "api", STR("/api"));
        json_begin_array(&body, "endpoints");
        for (const struct route *route = api_routes; route->path != NULL; route++) {
            char endpoint[128];
            snprintf(endpoint, sizeof(endpoint), "%s %s", route->method, route->path);
            json_add_text(&body, NULL, str_from(endpoint));
        }
        json_end_array(&body);
        json_end_object(&body);
        reply_json(request, 200, &body);
    }
}

void api_root(struct request *request)
{
    const struct api *api = request_app(request);
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_fleet(api->store, on_root, pending));
}

void api_livez(struct request *request)
{
    reply_constant(request, 200, STR("{\"status\":\"ok\"}"));
}

/* Whether the instance is ready. If Redis refuses only writes, no other instance could do better, so this one is. */
static bool is_ready(enum err err)
{
    return err == ERR_NONE || err == ERR_FULL || err == ERR_DISK || err == ERR_NO_REPLICAS;
}

static void on_ready(void *data, enum err err)
{
    struct request *request = api_resume(data, ERR_NONE);
    if (request != NULL && is_ready(err)) {
        reply_constant(request, 200, STR("{\"status\":\"ready\"}"));
    } else if (request != NULL) {
        const struct api *api = request_app(request);
        char detail[STORE_MISSING_MAX + 64];
        snprintf(detail, sizeof(detail), "Redis does not permit its user what requests need: %s.", store_missing(api->store));
        bool is_known = err == ERR_NOT_PERMITTED && store_missing(api->store)[0] != '\0';
        reply_error(request, err, is_known ? detail : NULL, NULL);
    }
}

void api_readyz(struct request *request)
{
    const struct api *api = request_app(request);
    if (server_thread_stopping(api->thread)) {
        reply_error(request, ERR_STOPPING, NULL, NULL);
        return;
    }
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_ready(api->store, on_ready, pending));
}
