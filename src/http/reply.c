#include "http/reply.h"

#include "base/clock.h"
#include "base/json_writer.h"
#include "base/log_repeat.h"
#include "base/metrics.h"
#include "http/client.h"
#include "http/connection.h"
#include "http/intake.h"
#include "http/thread.h"

#include <assert.h>

#define REQUESTED_HEADERS_MAX 1024 /* bytes of what a preflight asks for */

/*
 * Returns the level of the log line about an answer. A refused write gets at least LOG_INFO, even on a route whose successful
 * writes get less.
 */
static enum log_level level_of(const struct route *route, int status)
{
    if (status >= 500)
        return status == 500 ? LOG_ERROR : LOG_WARN;
    if (route == NULL)
        return LOG_DEBUG;
    return status >= 400 && route->effect == WRITES && route->log_level < LOG_INFO ? LOG_INFO : route->log_level;
}

/*
 * Failures come by the thousand when Redis is away, or when a client repeats an error in a loop. So similar lines are counted
 * instead of written: those with the same route and status, and for a 5xx with the same sentence, which no client can influence.
 * LOG_DEBUG shows every request.
 */
static void log_request(const struct request *request, int status, const char *detail, const struct faults *faults)
{
    const struct route *route = request->route;
    enum log_level level = level_of(route, status);
    if (!log_enabled(level))
        return;
    h2o_req_t *req = request->h2o;
    int64_t ms = (clock_us() - request->received_at) / 1000;
    char names[ROUTE_PARAMETERS_MAX][32], room[64];
    bool is_refused = status >= 400 && status < 500;
    struct log_field fields[ROUTE_PARAMETERS_MAX + 9] = {
        log_number("status", status),
        log_str("method", (struct str){req->method.base, req->method.len}),
        log_text("route", route != NULL ? route->path : "none"),
        log_text("detail", detail != NULL ? detail : ""),
        log_text("field", faults != NULL && faults->count > 0 ? faults->items[0].field : ""),
        log_number("ms", (double)ms),
    };
    size_t count = 6;
    if (is_refused)
        fields[count++] = log_str("address", client_address(request, room));
    for (size_t i = 0; i < ROUTE_PARAMETERS_MAX && request->parameters[i].name.ptr != NULL; i++) {
        snprintf(names[i], sizeof(names[i]), "%.*s", STR_PRINTF(request->parameters[i].name));
        fields[count++] = log_str(names[i], request->parameters[i].value);
    }
    fields[count++] = log_str("request_id", request->id);
    fields[count] = (struct log_field)LOG_END;
    if (status < 400)
        log_write(level, "request", "answered", fields);
    else if (log_enabled(LOG_DEBUG))
        log_write(level, "request", status >= 500 ? "failed" : "refused", fields);
    else
        log_write_repeatable(level, "request", status >= 500 ? "failed" : "refused", status >= 500 ? 4 : 3, fields);
}

/* Counts an answer in the metrics. */
static void count(const struct request *request, int status)
{
    const h2o_req_t *req = request->h2o;
    size_t route = request->route != NULL ? (size_t)(request->route - request->thread->server->config.routes) + 1 : 0;
    enum metrics_method method = metrics_method_of((struct str){req->method.base, req->method.len});
    metric_add(&metrics->requests[route][method][status_place(status)], 1);
    histogram_observe(&metrics->request_us[route], metrics_latency_bounds, clock_us() - request->received_at);
}

/* Does what every answer begins with. */
static void begin(struct request *request, int status)
{
    h2o_req_t *req = request->h2o;
    assert(request->thread->inside);
    if (request->before_answer != NULL)
        request->before_answer(request);
    count(request, status);
    req->res.status = status;
    req->res.reason = status_reason(status);
}

/* Begins the answer. Returns whether it must have no body (HEAD). */
static bool start(struct request *request, int status, struct str type, h2o_generator_t *generator)
{
    h2o_req_t *req = request->h2o;
    begin(request, status);
    intake_before_answer(req);
    if (req->conn->ctx->shutdown_requested)
        req->http1_is_persistent = 0;
    if (req->http1_is_persistent) {
        const h2o_iovec_t *said = &request->thread->server->keep_alive;
        h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("keep-alive"), 0, "Keep-Alive", said->base, said->len);
    }
    if (type.len > 0)
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, type.ptr, type.len);
    h2o_start_response(req, generator);
    return h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD"));
}

/* Ends the request with the headers and `body`, which must last until the request is disposed of. */
static void finish(struct request *request, int status, struct str type, struct str body)
{
    static h2o_generator_t generator = {NULL, NULL};
    h2o_req_t *req = request->h2o;
    if (status != 204 && status != 304)
        req->res.content_length = body.len;
    bool headers_only = start(request, status, type, &generator) || body.len == 0;
    h2o_iovec_t bytes = {(char *)(uintptr_t)body.ptr, body.len};
    h2o_socket_t *socket = req->conn->callbacks->get_socket(req->conn);
    intake_after_answer(req);
    h2o_send(req, &bytes, headers_only ? 0 : 1, H2O_SEND_STATE_FINAL);
    connection_answered(socket);
}

bool reply_begin(struct request *request, int status, struct str type, struct st_h2o_generator_t *generator)
{
    log_request(request, status, NULL, NULL);
    return start(request, status, type, generator);
}

void reply_begin_upgrade(struct request *request)
{
    log_request(request, 101, NULL, NULL);
    begin(request, 101);
}

/* The bytes of an answer, in the request's pool. */
struct body {
    char *bytes;
    size_t size;
    struct server_thread *thread;
};

static void free_body(void *cell)
{
    struct body *body = cell;
    body->thread->unread -= body->size;
    free(body->bytes);
}

/* Hands a buffer's bytes to the request's pool. */
static struct str give_to_pool(struct request *request, struct buffer *body)
{
    struct body *cell = h2o_mem_alloc_shared(&request->h2o->pool, sizeof(*cell), free_body);
    *cell = (struct body){body->ptr, body->capacity, request->thread};
    request->thread->unread += body->capacity;
    struct str text = buffer_str(body);
    *body = BUFFER_INIT;
    return text;
}

void reply_json(struct request *request, int status, struct buffer *body)
{
    log_request(request, status, NULL, NULL);
    finish(request, status, STR("application/json"), give_to_pool(request, body));
}

void reply_body(struct request *request, struct str type, struct buffer *body)
{
    log_request(request, 200, NULL, NULL);
    finish(request, 200, type, give_to_pool(request, body));
}

void reply_constant(struct request *request, int status, struct str body)
{
    log_request(request, status, NULL, NULL);
    finish(request, status, STR("application/json"), body);
}

/* An answer that requests share, in the pool of one of them. */
struct share {
    void (*release)(void *owner);
    void *owner;
};

static void release_share(void *cell)
{
    const struct share *share = cell;
    share->release(share->owner);
}

void reply_bytes(struct request *request, int status, struct str type, struct str body)
{
    log_request(request, status, NULL, NULL);
    finish(request, status, type, body);
}

void reply_shared(struct request *request, struct str body, int age_s, void (*release)(void *owner), void *owner)
{
    h2o_req_t *req = request->h2o;
    struct share *share = h2o_mem_alloc_shared(&req->pool, sizeof(*share), release_share);
    *share = (struct share){release, owner};
    char *age = h2o_mem_alloc_pool(&req->pool, 16);
    snprintf(age, 16, "%d", age_s);
    request_set_header(request, "Age", age);
    request_set_header(request, "Cache-Control", "no-cache"); /* caches must not make it older */
    log_request(request, 200, NULL, NULL);
    finish(request, 200, STR("application/json"), body);
}

const char *reply_sentence(const struct server_thread *thread, enum err err)
{
    const struct server_config *config = &thread->server->config;
    return config->explain != NULL ? config->explain(err) : status_reason(err_status(err));
}

/* Begins a problem. The caller may add members, and ends the object. */
static void begin_problem(struct buffer *out, enum err err, const char *detail, const struct faults *faults)
{
    json_begin_object(out, NULL);
    json_add_text(out, "type", STR("about:blank"));
    json_add_text(out, "title", str_from(status_reason(err_status(err))));
    json_add_integer(out, "status", err_status(err));
    json_add_text(out, "code", err_code(err));
    json_add_bool(out, "retryable", err_is_retryable(err));
    json_add_text(out, "detail", str_from(detail));
    if (faults != NULL)
        faults_write(out, "errors", faults);
}

void reply_write_problem(struct buffer *out, enum err err, const char *detail, const struct faults *faults)
{
    begin_problem(out, err, detail, faults);
    json_end_object(out);
}

void reply_error(struct request *request, enum err err, const char *detail, const struct faults *faults)
{
    if (detail == NULL)
        detail = reply_sentence(request->thread, err);
    int status = err_status(err);
    if (err_is_retryable(err))
        request_set_header(request, "Retry-After", RETRY_AFTER_SECONDS);
    else if (status >= 500)
        request_set_header(request, "X-Should-Retry", "false");
    struct buffer body = BUFFER_INIT;
    begin_problem(&body, err, detail, faults);
    if (request->thread->server->config.describe != NULL)
        request->thread->server->config.describe(request, err, detail, faults, &body);
    json_end_object(&body);
    log_request(request, status, detail, faults);
    finish(request, status, STR("application/problem+json"), give_to_pool(request, &body));
}

void reply_preflight(struct request *request)
{
    h2o_req_t *req = request->h2o;
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("access-control-allow-methods"), 1, NULL,
                          H2O_STRLIT("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    struct str wanted = request_header(request, "access-control-request-headers");
    if (wanted.len == 0 || wanted.len > REQUESTED_HEADERS_MAX)
        wanted = STR("Authorization, Content-Type, X-Request-Id, Last-Event-ID");
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("access-control-allow-headers"), 1, NULL, wanted.ptr,
                          wanted.len);
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("access-control-max-age"), 1, NULL, H2O_STRLIT("86400"));
    log_request(request, 204, NULL, NULL);
    finish(request, 204, STR(""), STR(""));
}

void reply_html(struct request *request, struct str html)
{
    log_request(request, 200, NULL, NULL);
    finish(request, 200, STR("text/html; charset=utf-8"), html);
}

void reply_not_modified(struct request *request)
{
    log_request(request, 304, NULL, NULL);
    finish(request, 304, STR(""), STR(""));
}
