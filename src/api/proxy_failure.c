/*
 * Answers and logs requests that no worker could serve.
 */
#include "api/proxy_internal.h"

#include "base/clock.h"
#include "base/json_writer.h"
#include "base/log_repeat.h"
#include "http/reply.h"

#include <stdio.h>
#include <stdlib.h>

#define SERVICES_KEPT_MS 1000

static bool is_late(enum exchange_fault fault)
{
    return fault == EXCHANGE_LOOKUP_TIMEOUT || fault == EXCHANGE_CONNECT_TIMEOUT || fault == EXCHANGE_TLS_TIMEOUT ||
           fault == EXCHANGE_SEND_TIMEOUT || fault == EXCHANGE_HEAD_TIMEOUT || fault == EXCHANGE_SILENCE;
}

/* Returns the error that the client is told. That it had no effect must be true of all attempts, not of the last one alone. */
static enum err err_of(const struct proxy *proxy, const struct exchange_failure *failure)
{
    if (failure->fault == EXCHANGE_OVERLOADED)
        return ERR_OVERLOADED;
    if (!failure->delivered && !proxy->arrived)
        return is_late(failure->fault) ? ERR_WORKER_LATE : ERR_UNREACHABLE;
    if (proxy->safe)
        return is_late(failure->fault) ? ERR_WORKER_LATE : ERR_WORKER_FAILED;
    return is_late(failure->fault) ? ERR_WORKER_LATE_UNKNOWN : ERR_OUTCOME_UNKNOWN;
}

void proxy_note_failure(struct proxy *proxy, const struct exchange_failure *failure)
{
    const char *sentence = exchange_fault_sentence(failure->fault), *begin = proxy->gone ? NULL : proxy->order->failed;
    struct str services = proxy->gone ? buffer_str(&proxy->service) : proxy->order->services;
    proxy->err = err_of(proxy, failure);
    proxy->arrived = proxy->arrived || failure->delivered;
    bool is_unknown = proxy->err == ERR_OUTCOME_UNKNOWN || proxy->err == ERR_WORKER_LATE_UNKNOWN;
    proxy->detail.len = 0;
    buffer_printf(&proxy->detail, "%s%s (worker %s)%s.", begin != NULL ? begin : "The request was not served: ", sentence,
                  proxy->worker_id, is_unknown ? "; whether the request took effect is unknown" : "");
    buffer_append(&proxy->detail, (struct str){"", 1});
    metric_add(&passing_counts_own(proxy->place)->faults[failure->fault], 1);
    log_repeatable(LOG_WARN, "passing", "a worker failed a request", 3, log_text("cause", exchange_fault_word(failure->fault)),
                   log_str("service", services), log_str("worker_id", str_from(proxy->worker_id)), log_text("why", failure->why),
                   log_number("attempt", proxy->attempt), log_text("delivered", failure->delivered ? "perhaps" : "no"),
                   log_str("request_id", proxy->gone ? STR("") : proxy->request->id));
}

/* -- the names of the services ----------------------------------------------------------------------------------------------- */

/* A failure that is answered when the names of the services have been read. */
struct naming {
    struct proxy *proxy;
    struct buffer names;
    enum err err;
    struct buffer detail; /* with a NUL; empty: the error's own sentence */
};

static void answer(struct proxy *proxy, enum err err, const char *detail)
{
    struct request *request = proxy_take(proxy, err_status(err));
    if (request != NULL && proxy->worker_id[0] != '\0')
        request_name_worker(request, str_from(proxy->worker_id));
    if (request != NULL)
        reply_error(request, err, detail, NULL);
}

static void on_service(void *data, const struct service *service)
{
    struct naming *naming = data;
    if (service->healthy + service->degraded > 0 && !catalogue_passing(service->name)->closed)
        json_add_text(&naming->names, NULL, service->name);
}

static void on_services(void *data, enum err err)
{
    struct naming *naming = data;
    struct proxy *proxy = naming->proxy;
    struct proxy_services *services = &proxy->api->proxies->services;
    if (err == ERR_NONE) {
        buffer_fini(&services->names);
        services->names = naming->names;
        services->read_at = clock_ms();
    } else {
        buffer_fini(&naming->names);
    }
    answer(proxy, naming->err, naming->detail.ptr);
    buffer_fini(&naming->detail);
    free(naming);
    proxy_let_go(proxy);
}

void proxy_fail(struct proxy *proxy, enum err err, const char *detail)
{
    const struct proxy_services *services = &proxy->api->proxies->services;
    if (services->read_at != 0 && clock_ms() - services->read_at < SERVICES_KEPT_MS) {
        answer(proxy, err, detail);
        return;
    }
    struct naming *naming = calloc(1, sizeof(*naming));
    if (naming == NULL)
        abort();
    *naming = (struct naming){.proxy = proxy, .err = err};
    if (detail != NULL)
        buffer_append(&naming->detail, (struct str){detail, strlen(detail) + 1});
    proxy->holders++;
    enum err sent = store_services(proxy->api->store, false, on_service, on_services, naming);
    if (sent != ERR_NONE)
        on_services(naming, sent);
}

/* -- the problem --------------------------------------------------------------------------------------------------------------- */

static bool begins(struct str path, struct str prefix)
{
    return path.len >= prefix.len && memcmp(path.ptr, prefix.ptr, prefix.len) == 0;
}

/* Adds OpenAI's error object. Its clients show nothing else, so it names the first of several faults. */
static void describe_openai(enum err err, const char *detail, const struct faults *faults, struct buffer *out)
{
    int status = err_status(err);
    const struct fault *fault = faults != NULL && faults->count > 0 ? &faults->items[0] : NULL;
    char message[sizeof(fault->field) + sizeof(fault->message) + 1];
    if (fault != NULL)
        snprintf(message, sizeof(message), "%s %s", fault->field, fault->message);
    json_begin_object(out, "error");
    json_add_text(out, "message", str_from(fault != NULL ? message : detail));
    json_add_text(out, "type",
                  status == 429   ? STR("rate_limit_error")
                  : status >= 500 ? STR("server_error")
                                  : STR("invalid_request_error"));
    if (fault != NULL)
        json_add_text(out, "param", str_from(fault->field));
    else
        json_add_null(out, "param");
    json_add_text(out, "code", err_code(err));
    json_end_object(out);
}

void proxy_describe(const struct request *request, enum err err, const char *detail, const struct faults *faults,
                    struct buffer *out)
{
    const struct api *api = request_app(request);
    if (begins(request->path, STR("/v1/"))) {
        describe_openai(err, detail, faults, out);
        return;
    }
    struct str service = proxy_service_of(request);
    if (service.ptr == NULL)
        return;
    int status = err_status(err);
    bool is_gateway = status == 502 || status == 504;
    const char *error = is_gateway ? "Service proxy error" : status == 503 ? "Service not available" : status_reason(status);
    json_add_text(out, "error", str_from(error));
    json_add_text(out, "message", str_from(detail));
    json_add_text(out, "service", service);
    if (!is_gateway && status != 503)
        return;
    json_begin_array(out, "available_services");
    if (api->proxies->services.names.len > 0)
        json_add_raw(out, NULL, buffer_str(&api->proxies->services.names));
    json_end_array(out);
}
