#include "api/proxy_internal.h"

#include "api/signing.h"
#include "base/clock.h"
#include "http/reply.h"
#include "store/credentials.h"

#include <stdlib.h>

#define PATIENCE_MS (24 * 3600 * 1000)

static void choose(struct proxy *proxy);
static void go_to_other(struct proxy *proxy);

struct proxies *proxies_new(void)
{
    struct proxies *proxies = calloc(1, sizeof(*proxies));
    if (proxies == NULL)
        abort();
    return proxies;
}

struct proxy_order *proxy_order_new(struct request *request)
{
    return request_alloc(request, sizeof(struct proxy_order));
}

/* Returns the place of a service in the metrics; names that are not in the catalogue share the last one. */
static size_t place_of(struct str service)
{
    return catalogue_place(service, PASSING_SERVICES_MAX);
}

/* The request is gone. This is the last call for it, whatever its outcome; only a tunnel lives longer. */
static void on_gone(void *data)
{
    struct proxy *proxy = data;
    proxy->gone = true;
    if (proxy->pending != NULL)
        pending_release(proxy->pending, ERR_INTERNAL);
    proxy->pending = NULL;
    if (!proxy->in_tunnel)
        proxy_finish(proxy);
    proxy_let_go(proxy);
}

/* Why a request gets no answer when the wait is over. A worker may have a request that is on its way. */
static enum err late_err(const struct proxy *proxy)
{
    if (!proxy->hurried)
        return proxy->is_parked ? ERR_CLIENT_LEFT : ERR_DEADLINE;
    return proxy->exchange != NULL && !proxy->safe ? ERR_OUTCOME_UNKNOWN : ERR_STOPPING;
}

/*
 * The wait is over. Before a worker is asked: Redis is late. After that: the client has left, or the program ends; a request gets
 * a moment more when the program ends.
 */
static void on_late(struct request *request)
{
    struct proxy *proxy = request->waiting;
    if (server_thread_stopping(request->thread) && !proxy->hurried) {
        pending_release(proxy->pending, ERR_INTERNAL);
        proxy->hurried = true;
        proxy->pending = pending_new(request, on_late, 0);
        return;
    }
    enum err err = late_err(proxy);
    const char *detail = err == ERR_DEADLINE ? "Redis did not answer in time; the request was sent to no worker."
                         : err == ERR_OUTCOME_UNKNOWN
                             ? "This coordinator is shutting down; whether the request took effect is unknown."
                             : NULL;
    proxy_end_exchange(proxy);
    proxy_release(proxy, REQUEST_UNKNOWN);
    pending_release(proxy->pending, ERR_INTERNAL);
    proxy->pending = NULL;
    metric_add(&passing_counts_own(proxy->place)->requests[status_place(err_status(err))], 1);
    if (err == ERR_CLIENT_LEFT)
        metric_add(&passing_counts_own(proxy->place)->clients_gone, 1);
    reply_error(request, err, detail, NULL);
}

/* Whether another worker may be asked after this failure. */
static bool may_try_again(const struct proxy *proxy, bool delivered)
{
    return proxy->attempt < PROXY_ATTEMPTS_MAX && !proxy->taken && (!delivered || proxy->safe);
}

/* -- the exchange's events ---------------------------------------------------------------------------------------------------- */

/*
 * Whether the worker's status means that another worker might do better, and another one may be asked. Not if the body comes in
 * pieces: the exchange that is set aside would ask for them, too.
 */
static bool asks_for_another(const struct proxy *proxy)
{
    bool is_busy = proxy->status == 429 || (proxy->status >= 502 && proxy->status <= 504);
    return is_busy && !proxy->was_busy && proxy->intake == NULL && may_try_again(proxy, true);
}

/* Whether the same request may get another status later. */
static bool may_change(int status)
{
    return status == 408 || status == 425 || status == 429 || (status >= 500 && status != 501);
}

/* Answers with a problem in place of the worker's error, because the coordinator made the worker's request, not the client. */
static void refuse_answer(struct proxy *proxy)
{
    proxy->detail.len = 0;
    buffer_printf(&proxy->detail, "%sworker %s answered %d %s.", proxy->order->failed, proxy->worker_id, proxy->status,
                  status_reason(proxy->status));
    buffer_append(&proxy->detail, (struct str){"", 1});
    proxy_end_exchange(proxy);
    proxy_release(proxy, proxy_outcome(proxy));
    proxy_fail(proxy, may_change(proxy->status) ? ERR_WORKER_FAILED : ERR_WORKER_REFUSED, proxy->detail.ptr);
}

/* Begins to answer the client with what the worker has answered. */
static void begin_answer(struct proxy *proxy, struct str bytes, bool last)
{
    proxy_drop_busy(proxy);
    if (proxy->order->failed != NULL && proxy->status >= 300)
        refuse_answer(proxy);
    else if (proxy->status == 101)
        proxy_begin_tunnel(proxy, bytes, last);
    else
        proxy_answer(proxy, bytes, last);
}

/* No other worker answers: the client gets the answer that was set aside, or else the last failure. */
static void end_unserved(struct proxy *proxy)
{
    struct str bytes;
    bool last;
    if (proxy->busy == NULL) {
        proxy_fail(proxy, proxy->err, proxy->detail.ptr);
        return;
    }
    proxy_bring_back(proxy, &bytes, &last);
    begin_answer(proxy, bytes, last);
}

static void on_answer(void *data, struct str bytes, bool last)
{
    struct proxy *proxy = data;
    proxy->holders++;
    if (proxy->status == 0) {
        proxy->status = proxy->exchange->head.status;
        proxy->arrived = true;
        if (asks_for_another(proxy)) {
            proxy_set_aside(proxy, bytes, last);
            choose(proxy);
        } else {
            begin_answer(proxy, bytes, last);
        }
    } else if (proxy->tunnel != NULL) {
        proxy_tunnel_go_on(proxy, bytes, last);
    } else {
        proxy_go_on(proxy, bytes, last);
    }
    proxy_let_go(proxy);
}

/*
 * Whether to ask the worker that failed at its other URL, where another program may listen. Not if the worker was silent: then all
 * of the machine may be.
 */
static bool may_go_to_other(const struct proxy *proxy, const struct exchange_failure *failure)
{
    bool is_silent = failure->fault == EXCHANGE_CONNECT_TIMEOUT || failure->fault == EXCHANGE_TLS_TIMEOUT ||
                     failure->fault == EXCHANGE_LOOKUP_TIMEOUT || failure->fault == EXCHANGE_OVERLOADED;
    return proxy->other_url.len > 0 && !is_silent && proxy_is_waited_for(proxy) && may_try_again(proxy, failure->delivered);
}

static void on_failed(void *data, const struct exchange_failure *failure)
{
    struct proxy *proxy = data;
    proxy->holders++;
    if (proxy->tunnel != NULL && proxy->held_last) {
        proxy_tunnel_drop(proxy);
        proxy_let_go(proxy);
        return;
    }
    proxy_note_failure(proxy, failure);
    proxy_end_exchange(proxy);
    if (may_go_to_other(proxy, failure)) {
        go_to_other(proxy);
        proxy_let_go(proxy);
        return;
    }
    enum request_outcome outcome = failure->fault == EXCHANGE_OVERLOADED ? REQUEST_UNKNOWN
                                   : failure->delivered                  ? REQUEST_FAILED
                                                                         : REQUEST_UNREACHABLE;
    proxy_release(proxy, outcome);
    if (proxy->pending == NULL)
        proxy_break_off(proxy);
    else if (failure->fault != EXCHANGE_OVERLOADED && may_try_again(proxy, failure->delivered))
        choose(proxy);
    else
        end_unserved(proxy);
    proxy_let_go(proxy);
}

static void on_writable(void *data)
{
    struct proxy *proxy = data;
    proxy->holders++;
    if (proxy->tunnel != NULL)
        proxy_tunnel_drained(proxy);
    else
        proxy_send_more(proxy);
    proxy_let_go(proxy);
}

/* -- a worker ----------------------------------------------------------------------------------------------------------------- */

static struct str method_of(const struct proxy *proxy)
{
    return proxy->order->method.ptr != NULL ? proxy->order->method : request_method(proxy->request);
}

/* Sends the request to the worker that proxy->head is for. */
static void dial(struct proxy *proxy, const struct target *target)
{
    static const struct exchange_events events = {.writable = on_writable, .answer = on_answer, .failed = on_failed};
    const struct proxy_order *order = proxy->order;
    struct exchange_request request = {
        .target = target,
        .head = buffer_str(&proxy->head),
        .body = order->body.ptr != NULL ? order->body : proxy->request->body,
        .more = proxy->intake != NULL,
        .chunked = proxy->intake != NULL && intake_length(proxy->intake) == INTAKE_LENGTH_UNKNOWN,
        .is_head = request_is_head(proxy->request),
        .odd_body = !proxy_expects_body(method_of(proxy)),
        .upgrade = proxy->upgrades,
        .safe = proxy->safe,
        .head_ms = proxy->passing->head_timeout_s * 1000,
        .silence_ms = proxy->upgrades ? PROXY_TUNNEL_IDLE_MS : proxy->passing->silence_timeout_s * 1000,
    };
    if (!proxy->is_parked) { /* the exchange has deadlines of its own */
        proxy->is_parked = true;
        pending_park(proxy->pending, PATIENCE_MS);
    }
    proxy->sent_at = clock_us();
    proxy->exchange = exchange_dial(proxy->api->upstream, &request, &events, proxy);
}

/* Notes the chosen worker. */
static void take_choice(struct proxy *proxy, const struct request_choice *choice)
{
    proxy->attempt++;
    proxy->is_noted = false;
    proxy->status = 0;
    proxy->lease = choice->lease;
    proxy->has_model = choice->has_model;
    proxy->passing = catalogue_passing(choice->service);
    size_t len = choice->worker_id.len < ID_MAX ? choice->worker_id.len : ID_MAX;
    memcpy(proxy->worker_id, choice->worker_id.ptr, len);
    proxy->worker_id[len] = '\0';
    proxy_count(proxy, place_of(choice->service));
    proxy->other_url.len = proxy->fingerprint.len = 0;
    buffer_append(&proxy->other_url, choice->other_url);
    buffer_append(&proxy->fingerprint, choice->tls_fingerprint);
    if (proxy->attempt > 1)
        metric_add(&passing_counts_own(proxy->place)->retries, 1);
    struct str method = method_of(proxy);
    proxy->safe = proxy->passing->idempotent || str_eq(method, STR("GET")) || str_eq(method, STR("HEAD")) ||
                  str_eq(method, STR("OPTIONS")) || proxy_has_key(proxy->request);
}

/* Sends the request to a URL of the chosen worker. */
static void go_to(struct proxy *proxy, struct str url)
{
    struct target target;
    struct str fingerprint = buffer_str(&proxy->fingerprint);
    const char *why = target_read(url, &target);
    if (why == NULL && target.tls && fingerprint.len > 0 && !target_pin(&target, fingerprint))
        why = "has an unusable certificate fingerprint";
    if (why != NULL) {
        const struct exchange_failure failure = {.fault = EXCHANGE_FORBIDDEN, .why = why};
        on_failed(proxy, &failure);
        return;
    }
    proxy_compose(proxy, &target);
    dial(proxy, &target);
}

/* Asks the same worker again, under the same lease. */
static void go_to_other(struct proxy *proxy)
{
    struct buffer url = proxy->other_url;
    proxy->other_url = BUFFER_INIT;
    proxy->attempt++;
    proxy->status = 0;
    metric_add(&passing_counts_own(proxy->place)->retries, 1);
    go_to(proxy, buffer_str(&url));
    buffer_fini(&url);
}

/* No worker can be chosen. */
static void give_up(struct proxy *proxy, enum err err, enum request_refusal refusal)
{
    static const char *const sentences[] = {
        [REQUEST_NO_WORKERS] = "No live worker provides this service.",
        [REQUEST_NONE_TAKES] = "All workers of this service are draining, or report that it is not well.",
        [REQUEST_ALL_TRIED] = "All workers of this service have been tried.",
        [REQUEST_ALL_OPEN] = "All workers of this service have failed too often lately; they are tried again soon.",
        [REQUEST_NO_ADDRESS] = "Nobody knows where the workers of this service can be reached.",
    };
    static const char no_model[] =
        "No worker that takes requests has this model loaded, or can load it; GET /v1/models lists the models that are loaded.";
    bool lacks_model = proxy->among == SILENT && (refusal == REQUEST_NO_WORKERS || refusal == REQUEST_NONE_TAKES);
    if (err == ERR_NO_WORKER)
        metric_add(&passing_counts_own(proxy->place)->refusals[refusal], 1);
    if (proxy->attempt > 0) {
        end_unserved(proxy);
    } else if (err == ERR_NO_WORKER) {
        proxy_fail(proxy, err, proxy->order->nobody != NULL ? proxy->order->nobody : lacks_model ? no_model : sentences[refusal]);
    } else {
        proxy_fail(proxy, err, NULL);
    }
}

/*
 * Whether to look for a better worker, because this one has not loaded the model. Better is a worker that can load it, or else a
 * worker that reports no loaded models at all, since its agent may leave them out. A worker that reports other models would answer
 * that it does not know this one.
 */
static bool wants_other(const struct proxy *proxy, const struct request_choice *choice)
{
    return proxy->among == ALL && proxy->order->loaders.ptr != NULL && !choice->has_model;
}

static void take_or_leave(struct proxy *proxy, const struct request_choice *choice)
{
    bool wanted = proxy_is_waited_for(proxy), leave = !wanted || wants_other(proxy, choice);
    if (leave)
        store_release(proxy->api->store, choice->lease, REQUEST_NOT_SENT);
    if (wanted && leave) {
        proxy->among = proxy->order->loaders.len > 0 ? LOADERS : SILENT;
        choose(proxy);
    } else if (wanted) {
        take_choice(proxy, choice);
        go_to(proxy, choice->url);
    }
}

static void on_choice(void *data, enum err err, const struct request_choice *choice, enum request_refusal refusal)
{
    struct proxy *proxy = data;
    if (err == ERR_NONE) {
        take_or_leave(proxy, choice);
    } else if (proxy_is_waited_for(proxy) && proxy->among == LOADERS && err == ERR_NO_WORKER) {
        proxy->among = SILENT;
        choose(proxy);
    } else if (proxy_is_waited_for(proxy)) {
        give_up(proxy, err, refusal);
    }
    proxy_let_go(proxy);
}

static void on_key(void *data, enum err err)
{
    struct proxy *proxy = data;
    (void)err; /* without a key, the worker is not told who sent the request */
    if (proxy_is_waited_for(proxy))
        choose(proxy);
    proxy_let_go(proxy);
}

/* Chooses a worker that has not been tried. */
static void choose(struct proxy *proxy)
{
    const struct proxy_order *order = proxy->order;
    if (proxy->worker_id[0] != '\0' && !proxy->is_noted) {
        buffer_append(&proxy->tried, proxy->tried.len > 0 ? STR(" ") : STR(""));
        buffer_append(&proxy->tried, str_from(proxy->worker_id));
        proxy->is_noted = true;
    }
    struct request_wish wish = {
        .services = proxy->among == LOADERS ? order->loaders : order->services,
        .model = order->model,
        .silent = proxy->among == SILENT,
        .session = order->session,
        .excluded = proxy->tried.len > 0 ? buffer_str(&proxy->tried) : (struct str){NULL, 0},
        .unleased = proxy->unleased,
    };
    proxy->holders++;
    enum err err = store_choose(proxy->api->store, &wish, on_choice, proxy);
    if (err != ERR_NONE)
        on_choice(proxy, err, NULL, REQUEST_NO_WORKERS);
}

/*
 * Breaks the request off, because the client's credential has ended. If the credential has only expired, the request goes on to the
 * end of its answer; but a tunnel, which might never end, is closed or not opened.
 */
static void on_over(void *data, enum err err)
{
    struct proxy *proxy = data;
    bool may_last = proxy->tunnel != NULL || (proxy->upgrades && proxy->pending != NULL);
    if (err == ERR_TOKEN_EXPIRED && !may_last)
        return;
    if (proxy->pending == NULL) {
        proxy_break_off(proxy);
        return;
    }
    proxy->holders++;
    proxy_end_exchange(proxy);
    proxy_release(proxy, REQUEST_UNKNOWN);
    struct request *request = proxy_take(proxy, err_status(err));
    if (request != NULL)
        reply_error(request, err, NULL, NULL);
    proxy_let_go(proxy);
}

void proxy_pass(struct request *request, const struct proxy_order *order)
{
    struct str rest = order->services, first = str_cut(&rest, ',');
    if (catalogue_passing(first)->closed) {
        reply_error(request, ERR_SERVICE_CLOSED, NULL, NULL);
        return;
    }
    struct proxy *proxy = calloc(1, sizeof(*proxy));
    if (proxy == NULL)
        abort();
    proxy->api = request_app(request);
    proxy->request = request;
    proxy->order = order;
    proxy->holders = 1;
    proxy->began_at = request->received_at;
    proxy->upgrades = order->method.ptr == NULL && tunnel_is_asked_for(request) &&
                      str_eq_nocase(request_upgrade(request), STR("websocket")); /* h2c could carry requests that we don't check */
    proxy->intake = order->method.ptr == NULL ? request->intake : NULL;
    proxy->unleased = catalogue_passing(first)->random;
    proxy_count(proxy, place_of(first));
    request_tell_when_gone(request, on_gone, proxy);
    tenure_begin(&proxy->tenure, request, on_over, proxy);
    request->waiting = proxy;
    proxy->pending = pending_new(request, on_late, 0);
    if (!proxy_token_needs_key(request)) {
        choose(proxy);
        return;
    }
    struct actor actor = admit_actor(request);
    proxy->holders++;
    signing_prepare(proxy->api, &actor, on_key, proxy);
}
