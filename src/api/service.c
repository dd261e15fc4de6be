/*
 * The coordinator about itself.
 */
#include "api/api.h"
#include "base/clock.h"
#include "http/reply.h"

#include <inttypes.h>

static void write_identity(struct buffer *out, const struct api_config *config)
{
    buffer_append(out, STR("\"coordinator\":"));
    buffer_json_string(out, config->coordinator_id);
    buffer_append(out, STR(",\"region\":"));
    buffer_json_string(out, config->region.len > 0 ? config->region : (struct str){NULL, 0});
    buffer_append(out, STR(",\"version\":"));
    buffer_json_string(out, config->version);
    buffer_append(out, STR(",\"timestamp\":"));
    buffer_json_time(out, clock_wall_ms());
}

/* GET /health when Redis does not answer: for load balancers the status, for people the words. */
static void answer_unhealthy(struct request *request)
{
    const struct api *api = request_app(request);
    struct buffer body = BUFFER_INIT;
    buffer_append(&body, STR("{\"status\":\"unhealthy\","));
    write_identity(&body, api->config);
    buffer_append(&body, STR(",\"redis\":{\"status\":\"down\",\"latency_ms\":null},\"detail\":"));
    buffer_json_string(&body, str_from(api_explain(ERR_UNAVAILABLE)));
    buffer_append(&body, STR("}"));
    request_set_header(request, "Retry-After", RETRY_AFTER_SECONDS);
    reply_json(request, 503, &body);
}

static void on_health(void *data, enum err err, const struct fleet *fleet)
{
    struct pending *pending = data;
    struct request *request = api_resume(pending, ERR_NONE); /* an error is an answer, too */
    if (request != NULL && err != ERR_NONE) {
        answer_unhealthy(request);
    } else if (request != NULL) {
        const struct api *api = request_app(request);
        const int64_t *asked_at = pending_payload(pending);
        struct buffer body = BUFFER_INIT;
        buffer_append(&body, STR("{\"status\":\"healthy\","));
        write_identity(&body, api->config);
        buffer_append(&body, STR(",\"redis\":{\"status\":\"up\",\"latency_ms\":"));
        buffer_json_number(&body, (double)(clock_us() - *asked_at) / 1000);
        buffer_append(&body, STR("},"));
        fleet_write_summary(&body, fleet);
        buffer_append(&body, STR("}"));
        reply_json(request, 200, &body);
    }
}

void api_health(struct request *request)
{
    const struct api *api = request_app(request);
    struct pending *pending = api_wait_or(request, answer_unhealthy, sizeof(int64_t));
    int64_t *asked_at = pending_payload(pending);
    *asked_at = clock_us();
    enum err err = store_fleet(api->store, on_health, pending);
    if (err != ERR_NONE)
        on_health(pending, err, NULL);
}

static void on_root(void *data, enum err err, const struct fleet *fleet)
{
    struct request *request = api_resume(data, err);
    if (request != NULL) {
        const struct api *api = request_app(request);
        struct buffer body = BUFFER_INIT;
        buffer_append(&body, STR("{\"status\":\"healthy\",\"service\":\"RMA Distributed Coordinator\",\"version\":"));
        buffer_json_string(&body, api->config->version);
        buffer_printf(&body, ",\"active_workers\":%" PRId64 ",\"docs\":\"/docs\",\"api\":\"/api\",\"endpoints\":[",
                      fleet_total(fleet) - fleet_by_status(fleet, WORKER_OFFLINE));
        for (const struct route *route = api_routes; route->path != NULL; route++)
            buffer_printf(&body, "%s\"%s %s\"", route > api_routes ? "," : "", route->method, route->path);
        buffer_append(&body, STR("]}"));
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

static void on_ready(void *data, enum err err)
{
    struct request *request = api_resume(data, err);
    if (request != NULL)
        reply_constant(request, 200, STR("{\"status\":\"ready\"}"));
}

void api_readyz(struct request *request)
{
    const struct api *api = request_app(request);
    if (server_thread_stopping(api->thread)) {
        reply_error(request, ERR_STOPPING, NULL, NULL);
        return;
    }
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_ping(api->store, on_ready, pending));
}
