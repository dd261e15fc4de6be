/*
 * Makes the head of the request to the worker from the head of the client's request.
 */
#include "api/proxy_headers.h"
#include "api/proxy_internal.h"
#include "auth/secret.h"
#include "base/digits.h"
#include "http/client.h"

#define HEAD_USUAL 1024 /* bytes */

/* Returns a random number that is good enough for a trace id, which is no secret (splitmix64 of Steele, Lea and Flood). */
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

/* Makes the traceparent of a new trace, in `room`. */
static struct str begin_trace(char room[55])
{
    room[0] = room[1] = '0';
    room[2] = '-';
    digits_hex(next_random() | 1, room + 3); /* an id of zeros is invalid */
    digits_hex(next_random(), room + 19);
    room[35] = room[52] = '-';
    digits_hex(next_random() | 1, room + 36);
    room[53] = '0';
    room[54] = '1';
    return (struct str){room, 55};
}

bool proxy_expects_body(struct str method)
{
    return str_eq(method, STR("POST")) || str_eq(method, STR("PUT")) || str_eq(method, STR("PATCH"));
}

/* Sets the length of the body, or that it comes in chunks. */
static void set_length(const struct proxy *proxy, struct proxy_head *head, char room[DIGITS_MAX])
{
    const struct proxy_order *order = proxy->order;
    struct str body = order->body.ptr != NULL ? order->body : proxy->request->body;
    size_t length = body.len;
    if (proxy->intake != NULL)
        length = intake_length(proxy->intake);
    head->chunked = length == INTAKE_LENGTH_UNKNOWN;
    /* "Content-Length: 0" is for the methods that usually have a body (RFC 9110, section 8.6) */
    if (!head->chunked && (length > 0 || proxy_expects_body(head->method)))
        head->length = (struct str){room, digits_decimal(length, room)};
}

/* Returns what the public path has in front of the worker's path: "/llm" if "/llm/v1" leads to "/v1". */
static struct str prefix_of(const struct proxy_order *order)
{
    struct str prefix = order->prefix, to = order->target.to;
    if (to.len > 0 && prefix.len >= to.len && memcmp(prefix.ptr + prefix.len - to.len, to.ptr, to.len) == 0)
        prefix.len -= to.len;
    return prefix;
}

struct str proxy_front(const struct request *request)
{
    const struct api *api = request_app(request);
    struct str rest = api->config->public_url;
    const char *scheme_end = rest.len > 0 ? memmem(rest.ptr, rest.len, "://", 3) : NULL;
    if (scheme_end == NULL)
        return STR("");
    rest = (struct str){scheme_end + 3, rest.len - (size_t)(scheme_end + 3 - rest.ptr)};
    struct str authority = str_cut(&rest, '/');
    if (rest.ptr == NULL || !str_eq_nocase(authority, client_asked_host(request)))
        return STR("");
    return (struct str){rest.ptr - 1, rest.len + 1};
}

/* Sets the client's address, the public URL and the request's id. The texts are in `room`, `address` and the request. */
static void set_origin(const struct proxy *proxy, struct proxy_head *head, char room[512], char address[INET_TEXT_MAX])
{
    struct str url = client_base_url(proxy->request, room, 512);
    head->scheme = str_cut(&url, ':');
    head->host = url.len > 2 ? (struct str){url.ptr + 2, url.len - 2} : STR("");
    head->address = client_address(proxy->request, address);
    head->front = proxy_front(proxy->request);
    head->prefix = prefix_of(proxy->order);
    head->request_id = proxy->request->id;
}

/* Reads the client's headers, and what its Connection headers name. proxy_check_request has refused too many of these. */
static size_t read_fields(const struct request *request, struct request_field fields[REQUEST_FIELDS_MAX],
                          struct proxy_connection *connection)
{
    size_t count = request_fields(request, fields);
    connection->count = 0;
    for (size_t i = 0; i < count; i++)
        if (str_eq_nocase(fields[i].name, STR("connection")))
            (void)proxy_add_connection(connection, fields[i].value);
    return count;
}

bool proxy_has_key(const struct request *request)
{
    struct request_field fields[REQUEST_FIELDS_MAX];
    struct proxy_connection connection;
    const struct proxy_trust none = {.cookies = false};
    if (request_header(request, "idempotency-key").len == 0)
        return false;
    (void)read_fields(request, fields, &connection);
    return proxy_goes_up(STR("idempotency-key"), &connection, &none);
}

void proxy_compose(struct proxy *proxy, const struct target *target)
{
    const struct proxy_order *order = proxy->order;
    struct request_field fields[REQUEST_FIELDS_MAX];
    struct proxy_connection connection;
    struct proxy_trust trust = {.cookies = proxy->passing->set_cookie};
    trust.authorization = proxy->passing->pass_authorization && proxy_authorization_is_foreign(proxy->request);
    struct buffer token = BUFFER_INIT;
    char length[DIGITS_MAX], url[512], address[INET_TEXT_MAX], trace[55], authority[TARGET_AUTHORITY_MAX];
    struct proxy_head head = {.fields = fields, .connection = &connection, .trust = &trust, .type = order->type};
    head.count = read_fields(proxy->request, fields, &connection);
    head.authority = target_authority(target, authority);
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
    proxy->authority_at = proxy->head.len + sizeof("Host: ") - 1;
    proxy->authority_len = head.authority.len;
    proxy_write_head(&proxy->head, &head);
    buffer_fini(&token);
}
