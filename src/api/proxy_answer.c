/*
 * Passes a worker's answer on to the client.
 */
#include "api/proxy_headers.h"
#include "api/proxy_internal.h"
#include "base/digits.h"
#include "http/reply.h"

#define SANDBOX "sandbox allow-scripts allow-forms allow-popups allow-downloads allow-modals"

/* Writes `before` and the time in milliseconds with two decimals. Returns the end of the text, which has no NUL. */
static char *write_ms(char *at, struct str before, int64_t us)
{
    memcpy(at, before.ptr, before.len);
    at += before.len;
    at += digits_decimal(us > 0 ? (uint64_t)us / 1000 : 0, at);
    int64_t rest = us > 0 ? us % 1000 / 10 : 0;
    *at++ = '.';
    *at++ = (char)('0' + rest / 10);
    *at++ = (char)('0' + rest % 10);
    return at;
}

/* Adds the headers that are ours, not the worker's. Their texts live as long as the request. */
static void add_our_headers(const struct proxy *proxy, struct request *request, struct str type)
{
    static const struct str attempts[] = {STR("0"), STR("1"), STR("2"), STR("3")};
    struct str worker_id = str_from(proxy->worker_id);
    char *room = request_alloc(request, worker_id.len + sizeof("route;dur=, worker;dur=") + 2 * (DIGITS_MAX + 3));
    memcpy(room, worker_id.ptr, worker_id.len);
    char *timing = room + worker_id.len;
    char *end = write_ms(write_ms(timing, STR("route;dur="), proxy->sent_at - proxy->began_at), STR(", worker;dur="),
                         proxy->answered_at - proxy->sent_at);
    request_add_field(request, STR("X-RMA-Worker"), (struct str){room, worker_id.len});
    request_add_field(request, STR("X-RMA-Attempt"), attempts[proxy->attempt]);
    request_add_field(request, STR("Server-Timing"), (struct str){timing, (size_t)(end - timing)});
    request_add_field(request, STR("X-Content-Type-Options"), STR("nosniff"));
    if (proxy->order->model.len > 0)
        request_add_field(request, STR("X-RMA-Model"), proxy->has_model ? STR("loaded") : STR("not-loaded"));
    if (proxy_is_page(type) && !proxy->passing->set_cookie)
        request_add_field(request, STR("Content-Security-Policy"), STR(SANDBOX));
}

/*
 * Returns a Location that the client can use: one with the worker's own URL becomes a public path, others stay as they are. If the
 * route that the client took does not have the worker's path, /service/NAME has it.
 */
static struct str translate(const struct proxy *proxy, struct request *request, struct str location)
{
    const struct proxy_order *order = proxy->order;
    struct buffer room = BUFFER_INIT, all = BUFFER_INIT;
    struct str base = buffer_str(&proxy->base), authority = {proxy->head.ptr + proxy->authority_at, proxy->authority_len};
    struct str found = proxy_public_location(location, authority, base, order->target.to, order->prefix, &room);
    if (found.ptr == NULL && proxy_service_of(request).ptr != NULL) {
        buffer_append(&all, STR("/service/"));
        buffer_append(&all, order->services);
        found = proxy_public_location(location, authority, base, STR(""), buffer_str(&all), &room);
    }
    if (found.ptr != NULL) {
        struct str front = proxy_front(request);
        char *copy = request_alloc(request, front.len + found.len);
        memcpy(copy, front.ptr, front.len);
        memcpy(copy + front.len, found.ptr, found.len);
        location = (struct str){copy, front.len + found.len};
    }
    buffer_fini(&room);
    buffer_fini(&all);
    return location;
}

struct str proxy_set_headers(const struct proxy *proxy, struct request *request)
{
    const struct exchange_head *head = &proxy->exchange->head;
    struct proxy_trust trust = {proxy->passing->set_cookie, proxy->passing->pass_authorization};
    struct proxy_connection connection = {.count = 0};
    struct str type = {NULL, 0};
    for (size_t i = 0; i < head->count; i++)
        if (str_eq_nocase(head->headers[i].name, STR("connection")))
            (void)proxy_add_connection(&connection, head->headers[i].value);
    for (size_t i = 0; i < head->count; i++) {
        struct str name = head->headers[i].name, value = head->headers[i].value;
        if (str_eq_nocase(name, STR("content-type"))) {
            type = type.ptr == NULL ? value : type;
        } else if (str_eq_nocase(name, STR("x-content-type-options")) || !proxy_comes_down(name, value, &connection, &trust)) {
            continue;
        } else if (str_eq_nocase(name, STR("location")) || str_eq_nocase(name, STR("content-location"))) {
            request_add_field(request, name, translate(proxy, request, value));
        } else {
            request_add_field(request, name, value);
        }
    }
    if (proxy_is_replay(type))
        type = STR("application/json");
    add_our_headers(proxy, request, type);
    return type;
}

/* Ends the lease as soon as the worker's answer is whole, so that the client's next request finds the worker free. */
static void end_lease(struct proxy *proxy)
{
    proxy->ended = true;
    proxy_release(proxy, proxy_outcome(proxy));
}

static void on_drained(struct stream *stream, void *data)
{
    struct proxy *proxy = data;
    (void)stream;
    if (proxy->exchange != NULL && !proxy->ended)
        exchange_next(proxy->exchange);
}

static void on_stream_gone(void *data)
{
    struct proxy *proxy = data; /* on_gone of proxy.c comes next, and does the rest */
    proxy->stream = NULL;
}

void proxy_answer(struct proxy *proxy, struct str bytes, bool last)
{
    static const struct stream_maker maker = {.drained = on_drained, .gone = on_stream_gone, .socket_buffer = STREAM_SOCKET_BUFFER};
    struct request *request = proxy_take(proxy, proxy->status);
    if (request == NULL)
        return;
    request_name_worker(request, str_from(proxy->worker_id));
    struct str type = proxy_set_headers(proxy, request);
    if (last)
        end_lease(proxy);
    if (last && !request_is_head(request) && proxy->status != 204 && proxy->status != 304) {
        reply_bytes(request, proxy->status, type, bytes);
        return;
    }
    int64_t length = proxy->exchange->head.length;
    proxy->stream = stream_begin(request, proxy->status, type, length >= 0 ? (size_t)length : STREAM_LENGTH_UNKNOWN, &maker, proxy);
    buffer_fini(&proxy->head);
    if (proxy->gone)
        proxy->stream = NULL;
    else if (!last)
        stream_write(proxy->stream, &bytes, 1);
}

void proxy_go_on(struct proxy *proxy, struct str bytes, bool last)
{
    struct stream *stream = proxy->stream;
    if (last)
        end_lease(proxy);
    if (stream == NULL)
        return;
    if (bytes.len > 0)
        stream_write(stream, &bytes, 1);
    if (last && proxy->stream != NULL)
        stream_end(stream);
}

void proxy_break_off(struct proxy *proxy)
{
    if (proxy->tunnel != NULL)
        tunnel_abort(proxy->tunnel);
    else if (proxy->stream != NULL)
        stream_abort(proxy->stream);
}
