/*
 * The head of a request on its way to a worker, from that of the client.
 */
#include "api/proxy_headers.h"
#include "api/proxy_internal.h"
#include "auth/secret.h"
#include "http/client.h"

#include <inttypes.h>
#include <stdio.h>

#define HEAD_USUAL 1024 /* bytes */

/* Random enough for a trace id: nobody is kept out by it (Steele, Lea, Flood: splitmix64). */
static uint64_t next_random(void)
{
    static _Thread_local uint64_t state = 0;
    if (state == 0)
        secret_random(&state, sizeof(state));
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A traceparent of a trace that begins here. */
static struct str begin_trace(char room[56])
{
    int len =
        snprintf(room, 56, "00-%016" PRIx64 "%016" PRIx64 "-%016" PRIx64 "-01", next_random(), next_random(), next_random() | 1);
    return (struct str){room, (size_t)len};
}

/* Sets how the body's length is told. */
static void set_length(const struct proxy *proxy, struct proxy_head *head, char room[24])
{
    const struct proxy_order *order = proxy->order;
    struct str body = order->body.ptr != NULL ? order->body : proxy->request->body;
    size_t length = body.len;
    if (proxy->intake != NULL)
        length = intake_length(proxy->intake);
    head->chunked = length == INTAKE_LENGTH_UNKNOWN;
    /* without a body, only what is expected to have one says so (RFC 9110, section 8.6) */
    bool is_expected = str_eq(head->method, STR("POST")) || str_eq(head->method, STR("PUT")) || str_eq(head->method, STR("PATCH"));
    if (!head->chunked && (length > 0 || is_expected))
        head->length = (struct str){room, (size_t)snprintf(room, 24, "%zu", length)};
}

/* Sets who asks, and for what. `room` has the base URL. */
static void set_origin(const struct proxy *proxy, struct proxy_head *head, char room[512], char address[INET_TEXT_MAX])
{
    struct str url = client_base_url(proxy->request, room, 512);
    head->scheme = str_cut(&url, ':');
    head->host = url.len > 2 ? (struct str){url.ptr + 2, url.len - 2} : STR("");
    head->address = client_address(proxy->request, address);
    head->prefix = proxy->order->prefix;
    head->request_id = proxy->request->id;
}

void proxy_compose(struct proxy *proxy, const struct target *target)
{
    const struct proxy_order *order = proxy->order;
    struct request_field fields[REQUEST_FIELDS_MAX];
    struct proxy_connection connection = {.count = 0};
    struct proxy_trust trust = {.cookies = proxy->passing->set_cookie};
    trust.authorization = proxy->passing->pass_authorization && proxy_authorization_is_foreign(proxy->request);
    struct buffer token = BUFFER_INIT;
    char length[24], url[512], address[INET_TEXT_MAX], trace[56];
    struct proxy_head head = {.fields = fields, .connection = &connection, .trust = &trust, .type = order->type};
    head.count = request_fields(proxy->request, fields);
    for (size_t i = 0; i < head.count; i++)
        if (str_eq_nocase(fields[i].name, STR("connection")))
            (void)proxy_add_connection(&connection, fields[i].value); /* proxy_pass has counted them */
    proxy->authority_len = target_authority(target, proxy->authority).len;
    head.authority = (struct str){proxy->authority, proxy->authority_len};
    head.method = order->method.ptr != NULL ? order->method : request_method(proxy->request);
    head.trace = begin_trace(trace);
    set_origin(proxy, &head, url, address);
    set_length(proxy, &head, length);
    if (proxy->upgrades)
        head.upgrade = request_upgrade(proxy->request);
    proxy_write_token(&token, proxy->api->proxies, proxy->request, str_from(proxy->worker_id));
    head.authorization = buffer_str(&token);

    proxy->base.len = 0;
    buffer_append(&proxy->base, target->base);
    proxy->head.len = 0;
    buffer_reserve(&proxy->head, HEAD_USUAL);
    buffer_append(&proxy->head, head.method);
    buffer_append(&proxy->head, STR(" "));
    proxy_write_target(&proxy->head, target->base, &order->target);
    buffer_append(&proxy->head, STR(" HTTP/1.1\r\n"));
    proxy_write_head(&proxy->head, &head);
    buffer_fini(&token);
}
