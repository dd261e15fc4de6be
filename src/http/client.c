#include "http/client.h"

#include "base/digits.h"
#include "http/forwarded.h"
#include "http/thread.h"

#define HOST_MARKS "-._:[]" /* besides letters and digits, in a host that answers repeat: nothing that a shell or HTML obeys */
#define HOST_MAX 259        /* a name of 253 characters, a colon and a port */

static int count_proxies(const struct request *request)
{
    return request->thread->server->config.proxies;
}

/* Finds the lines of a header, at most the last FORWARDED_LINES_MAX: our proxies have written the last ones. */
static size_t find_lines(const struct request *request, const char *name, struct str lines[FORWARDED_LINES_MAX])
{
    size_t count = 0;
    const h2o_headers_t *headers = &request->h2o->headers;
    for (size_t i = 0; i < headers->size; i++) {
        const h2o_header_t *header = &headers->entries[i];
        if (!str_eq((struct str){header->name->base, header->name->len}, str_from(name)))
            continue;
        if (count == FORWARDED_LINES_MAX)
            memmove(lines, lines + 1, --count * sizeof(*lines));
        lines[count++] = (struct str){header->value.base, header->value.len};
    }
    return count;
}

/* Returns what the outermost proxy says in a header; absent if no proxy is trusted. */
static struct str find_first(const struct request *request, const char *name)
{
    struct str lines[FORWARDED_LINES_MAX];
    if (count_proxies(request) == 0)
        return (struct str){NULL, 0};
    return forwarded_first(lines, find_lines(request, name, lines));
}

struct str client_address(const struct request *request, char room[INET_TEXT_MAX])
{
    struct str lines[FORWARDED_LINES_MAX], said = {NULL, 0};
    int proxies = count_proxies(request);
    /* if Fly's proxy is the only one, it names the address in a header that clients can't set */
    if (proxies == 1 && request->thread->server->config.on_fly)
        said = forwarded_address(find_first(request, "fly-client-ip"));
    if (proxies > 0 && said.ptr == NULL)
        said = forwarded_client(lines, find_lines(request, "x-forwarded-for", lines), proxies);
    if (said.ptr != NULL) {
        char plain[INET_TEXT_MAX];
        said = inet_normal(said, plain);
        memcpy(room, said.ptr, said.len);
        return (struct str){room, said.len};
    }
    struct sockaddr_storage peer;
    h2o_conn_t *conn = request->h2o->conn;
    socklen_t len = conn->callbacks->get_peername(conn, (struct sockaddr *)&peer);
    return inet_text(&peer, len, room);
}

static bool is_plain(struct str host)
{
    return host.len > 0 && host.len <= HOST_MAX && request_is_made_of(host, HOST_MARKS);
}

struct str client_asked_host(const struct request *request)
{
    struct str said = find_first(request, "x-forwarded-host");
    return is_plain(said) ? said : request->host;
}

static bool has_port(struct str host)
{
    const char *bracket = memrchr(host.ptr, ']', host.len);
    size_t from = bracket != NULL ? (size_t)(bracket - host.ptr) : 0;
    return memchr(host.ptr + from, ':', host.len - from) != NULL;
}

/* Writes as much of a text as fits into `room` at `at`. Returns the place after it. */
static size_t put(char *room, size_t size, size_t at, struct str text)
{
    size_t len = text.len < size - 1 - at ? text.len : size - 1 - at;
    memcpy(room + at, text.ptr, len);
    return at + len;
}

struct str client_base_url(const struct request *request, char *room, size_t size)
{
    bool https = str_eq_nocase(find_first(request, "x-forwarded-proto"), STR("https")), brackets = false;
    struct str host = client_asked_host(request);
    char address_room[INET_TEXT_MAX], digits[DIGITS_MAX];
    int port = 0;
    if (is_plain(host)) {
        /* a proxy may remove the port from the host; a port in the host was written by the client */
        if (!has_port(host))
            port = forwarded_port(find_first(request, "x-forwarded-port"));
        if (port == (https ? 443 : 80))
            port = 0;
    } else {
        struct sockaddr_storage name = {.ss_family = AF_UNSPEC};
        h2o_conn_t *conn = request->h2o->conn;
        host = inet_text(&name, conn->callbacks->get_sockname(conn, (struct sockaddr *)&name), address_room);
        brackets = host.len > 0 && memchr(host.ptr, ':', host.len) != NULL;
        port = (int)h2o_socket_getport((struct sockaddr *)&name);
    }
    size_t at = put(room, size, 0, https ? STR("https://") : STR("http://"));
    at = put(room, size, put(room, size, at, brackets ? STR("[") : STR("")), host);
    at = put(room, size, at, brackets ? STR("]") : STR(""));
    if (port > 0)
        at = put(room, size, put(room, size, at, STR(":")), (struct str){digits, digits_decimal((uint64_t)port, digits)});
    return (struct str){room, at};
}
