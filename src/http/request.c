#include "http/request.h"

#include "base/percent.h"
#include "http/thread.h"

#include <arpa/inet.h>
#include <stdio.h>

/* Whether `path` matches `pattern`; *parameter is then what stands for its {…}, still encoded, or absent. */
static bool path_matches(struct str path, const char *pattern, struct str *parameter)
{
    *parameter = (struct str){NULL, 0};
    const char *open = strchr(pattern, '{');
    if (open == NULL)
        return str_eq(path, str_from(pattern));
    struct str before = {pattern, (size_t)(open - pattern)};
    struct str after = str_from(strchr(open, '}') + 1);
    if (path.len <= before.len + after.len || memcmp(path.ptr, before.ptr, before.len) != 0 ||
        (after.len > 0 && memcmp(path.ptr + path.len - after.len, after.ptr, after.len) != 0))
        return false;
    *parameter = (struct str){path.ptr + before.len, path.len - before.len - after.len};
    return memchr(parameter->ptr, '/', parameter->len) == NULL;
}

enum err request_route(struct request *request, const struct route *routes, char allow[64])
{
    h2o_req_t *req = request->h2o;
    struct str path = {req->path.base, req->query_at != SIZE_MAX ? req->query_at : req->path.len};
    if (req->query_at != SIZE_MAX)
        request->query = (struct str){req->path.base + req->query_at + 1, req->path.len - req->query_at - 1};
    struct str method = {req->method.base, req->method.len};
    if (str_eq(method, STR("HEAD")))
        method = STR("GET");
    enum err err = ERR_NOT_FOUND;
    bool literal = false; /* a literal path that matched hides patterns that do */
    size_t allow_len = 0;
    for (const struct route *route = routes; route->path != NULL; route++) {
        struct str parameter;
        if (!path_matches(path, route->path, &parameter) || (literal && parameter.ptr != NULL))
            continue;
        literal = literal || parameter.ptr == NULL;
        if (str_eq(method, str_from(route->method))) {
            request->route = route;
            if (parameter.ptr == NULL)
                return ERR_NONE;
            char *room = h2o_mem_alloc_pool(&req->pool, parameter.len);
            /* badly encoded, it stays as it is: no valid id either way */
            if (!percent_decode(parameter, false, room, parameter.len, &request->parameter))
                request->parameter = parameter;
            return ERR_NONE;
        }
        int len =
            snprintf(allow + allow_len, 64 - allow_len, "%s%s, ", route->method, strcmp(route->method, "GET") == 0 ? ", HEAD" : "");
        allow_len += len > 0 ? (size_t)len : 0;
        err = ERR_METHOD;
    }
    if (err == ERR_METHOD)
        snprintf(allow + allow_len, 64 - allow_len, "OPTIONS");
    return err;
}

/* Whether a Host is visible ASCII: it goes into the URL that agents are told. */
static bool host_is_plain(struct str host)
{
    while (host.len > 0 && (host.ptr[0] == ' ' || host.ptr[0] == '\t')) {
        host.ptr++;
        host.len--;
    }
    for (size_t i = 0; i < host.len; i++)
        if (host.ptr[i] <= ' ' || host.ptr[i] > '~')
            return host.ptr[i] == ' ' && i + 1 == host.len;
    return true;
}

/* What a head has of the headers that say where a request goes and where it ends. */
struct framing {
    int hosts, lengths, encodings;
};

/* Takes in one header line; the reason to refuse it, or NULL. */
static const char *take_header(struct framing *framing, struct str line)
{
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        return "A header line is folded; send each header in one line.";
    struct str value = line;
    struct str name = str_cut(&value, ':');
    if (name.len == 4 && str_eq_nocase(name, STR("host"))) {
        framing->hosts++;
        if (!host_is_plain(value))
            return "The Host header holds more than a host and a port.";
    }
    framing->lengths += name.len == 14 && str_eq_nocase(name, STR("content-length"));
    framing->encodings += name.len == 17 && str_eq_nocase(name, STR("transfer-encoding"));
    return NULL;
}

/* Likewise for all of them together. */
static const char *check_framing(const struct framing *framing, bool host_required)
{
    if (framing->hosts == 0 && host_required)
        return "The Host header is missing.";
    if (framing->hosts > 1)
        return "The Host header is repeated.";
    if (framing->lengths > 1)
        return "The Content-Length header is repeated.";
    if (framing->encodings > 1)
        return "The Transfer-Encoding header is repeated.";
    if (framing->lengths > 0 && framing->encodings > 0)
        return "Content-Length and Transfer-Encoding exclude each other.";
    return NULL;
}

enum err request_check_head(struct str head, bool host_required, const char **why)
{
    struct framing framing = {0, 0, 0};
    const char *wrong = NULL;
    bool is_request_line = true;
    while (head.ptr != NULL && wrong == NULL) {
        struct str line = str_cut(&head, '\n');
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0 && is_request_line)
            continue; /* empty lines before a request are allowed (RFC 9112, section 2.2) */
        if (line.len == 0)
            break;
        if (!is_request_line)
            wrong = take_header(&framing, line);
        is_request_line = false;
    }
    if (wrong == NULL)
        wrong = check_framing(&framing, host_required);
    if (wrong == NULL)
        return ERR_NONE;
    *why = wrong;
    return ERR_BAD_REQUEST;
}

struct str request_query(const struct request *request, const char *name, char *room, size_t size)
{
    struct str rest = request->query;
    while (rest.ptr != NULL) {
        struct str value = str_cut(&rest, '&');
        struct str key = str_cut(&value, '=');
        if (!str_eq(key, str_from(name)))
            continue;
        struct str decoded;
        if (value.ptr == NULL)
            return STR("");
        return percent_decode(value, true, room, size, &decoded) ? decoded : value;
    }
    return (struct str){NULL, 0};
}

struct str request_header(const struct request *request, const char *name)
{
    ssize_t at = h2o_find_header_by_str(&request->h2o->headers, name, strlen(name), -1);
    if (at == -1) { /* well-known names are tokens, found by address */
        const h2o_token_t *token = h2o_lookup_token(name, strlen(name));
        at = token != NULL ? h2o_find_header(&request->h2o->headers, token, -1) : -1;
    }
    if (at == -1)
        return (struct str){NULL, 0};
    h2o_iovec_t value = request->h2o->headers.entries[at].value;
    return (struct str){value.base, value.len};
}

void request_set_header(struct request *request, const char *name, const char *value)
{
    h2o_req_t *req = request->h2o;
    h2o_iovec_t lower = h2o_strdup(&req->pool, name, strlen(name));
    h2o_strtolower(lower.base, lower.len);
    h2o_add_header_by_str(&req->pool, &req->res.headers, lower.base, lower.len, 0, name, value, strlen(value));
}

void *request_app(const struct request *request)
{
    return request->thread->app;
}

static bool is_address(struct str text)
{
    char room[64];
    struct in6_addr address;
    if (text.len == 0 || text.len >= sizeof(room))
        return false;
    memcpy(room, text.ptr, text.len);
    room[text.len] = '\0';
    return inet_pton(AF_INET, room, &address) == 1 || inet_pton(AF_INET6, room, &address) == 1;
}

struct str request_client_address(const struct request *request, bool trust_proxy, char room[64])
{
    struct str found = {NULL, 0};
    if (trust_proxy) {
        found = request_header(request, "fly-client-ip");
        if (found.ptr == NULL) {
            struct str list = request_header(request, "x-forwarded-for");
            found = str_cut(&list, ',');
        }
    }
    if (is_address(found)) {
        memcpy(room, found.ptr, found.len);
        return (struct str){room, found.len};
    }
    struct sockaddr_storage peer;
    h2o_conn_t *conn = request->h2o->conn;
    socklen_t len = conn->callbacks->get_peername(conn, (struct sockaddr *)&peer);
    if (len == 0)
        return STR("");
    const char *text;
    if (peer.ss_family == AF_INET6) {
        const struct in6_addr *address = &((const struct sockaddr_in6 *)(const void *)&peer)->sin6_addr;
        text = IN6_IS_ADDR_V4MAPPED(address) ? inet_ntop(AF_INET, &address->s6_addr[12], room, 64)
                                             : inet_ntop(AF_INET6, address, room, 64);
    } else {
        text = inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)&peer)->sin_addr, room, 64);
    }
    return text != NULL ? str_from(text) : STR("");
}

struct str request_base_url(const struct request *request, bool trust_proxy, char *room, size_t size)
{
    struct str scheme = trust_proxy ? request_header(request, "x-forwarded-proto") : (struct str){NULL, 0};
    if (!str_eq(scheme, STR("https")))
        scheme = STR("http");
    h2o_iovec_t authority = request->h2o->authority;
    int len = snprintf(room, size, "%.*s://%.*s", STR_PRINTF(scheme), (int)authority.len, authority.base);
    return (struct str){room, (size_t)len < size ? (size_t)len : size - 1};
}
