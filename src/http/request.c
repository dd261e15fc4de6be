#include "http/request.h"

#include "base/ascii.h"
#include "base/percent.h"
#include "http/thread.h"

#include <stdio.h>
#include <stdlib.h>

void request_take_target(struct request *request)
{
    h2o_req_t *req = request->h2o;
    struct str target = {req->path.base, req->path.len};
    /* without a Host, h2o puts in the name of its configuration */
    if (req->authority.base != req->hostconf->authority.hostport.base)
        request->host = str_trim((struct str){req->authority.base, req->authority.len});
    h2o_url_t url;
    if (target.len > 0 && target.ptr[0] != '/' && h2o_url_parse(target.ptr, target.len, &url) == 0) {
        /* "GET http://host/path": this host counts rather than the header's (RFC 9112, section 3.2.2) */
        request->host = (struct str){url.authority.base, url.authority.len};
        target = (struct str){url.path.base, url.path.len};
    }
    request->query = target;
    request->path = str_cut(&request->query, '?');
}

/* Decodes the value of a parameter of the path. One that can't be an id becomes absent; a rest ("{name...}") stays as it came. */
static void decode_parameter(struct request *request, struct route_parameter *parameter)
{
    if (parameter->is_rest)
        return;
    char *room = h2o_mem_alloc_pool(&request->h2o->pool, parameter->value.len);
    if (!percent_decode(parameter->value, false, room, parameter->value.len, &parameter->value))
        parameter->value = (struct str){NULL, 0};
    for (size_t i = 0; i < parameter->value.len; i++)
        if (parameter->value.ptr[i] <= ' ' || parameter->value.ptr[i] > '~')
            parameter->value = (struct str){NULL, 0};
}

/* Returns `path` with single slashes, and none at its end, in the request's pool. */
static struct str without_slashes(struct request *request, struct str path)
{
    char *room = h2o_mem_alloc_pool(&request->h2o->pool, path.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < path.len; i++)
        if (path.ptr[i] != '/' || len == 0 || room[len - 1] != '/')
            room[len++] = path.ptr[i];
    if (len > 1 && room[len - 1] == '/')
        len--;
    return (struct str){room, len};
}

static bool has_rest(const struct route_match *match)
{
    for (size_t i = 0; i < ROUTE_PARAMETERS_MAX && match->parameters[i].name.ptr != NULL; i++)
        if (match->parameters[i].is_rest)
            return true;
    return false;
}

/*
 * Finds the row of a request. Clients that join a base URL and a path often write a slash too many. So a path that no row has is
 * looked up again: first without extra slashes at its beginning, then without any extra slashes. The second step ignores rows with
 * a rest ("{path...}"), in which each slash may mean something.
 */
static enum err find_row(struct request *request, const struct route *routes, struct route_match *match)
{
    struct str method = {request->h2o->method.base, request->h2o->method.len}, path = request->path;
    enum err err = route_find(routes, method, path, match);
    for (int step = 1; step <= 2 && err == ERR_PATH_NOT_FOUND; step++) {
        while (step == 1 && path.len > 1 && path.ptr[0] == '/' && path.ptr[1] == '/')
            path = (struct str){path.ptr + 1, path.len - 1};
        if (step == 2)
            path = without_slashes(request, path);
        if (path.len == request->path.len)
            continue;
        err = route_find(routes, method, path, match);
        if (err == ERR_NONE && (match->route->exact || (step == 2 && has_rest(match))))
            return ERR_PATH_NOT_FOUND;
    }
    if (err != ERR_PATH_NOT_FOUND)
        request->path = path;
    return err;
}

enum err request_route(struct request *request, const struct route *routes, char allow[ROUTE_ALLOW_SIZE])
{
    struct route_match match;
    enum err err = find_row(request, routes, &match);
    if (err == ERR_METHOD)
        memcpy(allow, match.allow, sizeof(match.allow));
    if (err != ERR_NONE)
        return err;
    request->route = match.route;
    for (size_t i = 0; i < ROUTE_PARAMETERS_MAX && match.parameters[i].name.ptr != NULL; i++) {
        request->parameters[i] = match.parameters[i];
        decode_parameter(request, &request->parameters[i]);
    }
    return ERR_NONE;
}

static struct route_parameter *find_parameter(struct request *request, struct str name)
{
    for (size_t i = 0; i < ROUTE_PARAMETERS_MAX; i++)
        if (request->parameters[i].name.ptr != NULL && str_eq(request->parameters[i].name, name))
            return &request->parameters[i];
    return NULL;
}

struct str request_parameter(const struct request *request, const char *name)
{
    for (size_t i = 0; i < ROUTE_PARAMETERS_MAX; i++)
        if (request->parameters[i].name.ptr != NULL && str_eq(request->parameters[i].name, str_from(name)))
            return request->parameters[i].value;
    return (struct str){NULL, 0};
}

void request_forget_parameter(struct request *request, const char *name)
{
    struct route_parameter *parameter = find_parameter(request, str_from(name));
    if (parameter != NULL)
        parameter->value = (struct str){NULL, 0};
}

bool request_is_made_of(struct str text, const char *marks)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool letter = ascii_is_alphanumeric(c);
        if (!letter && (c == '\0' || strchr(marks, c) == NULL))
            return false;
    }
    return true;
}

/* Whether `encoded` is `name`, percent-encoded or not. */
static bool is_name(struct str encoded, const char *name)
{
    char room[32]; /* no name of ours is longer */
    struct str decoded;
    return percent_decode(encoded, true, room, sizeof(room), &decoded) && str_eq(decoded, str_from(name));
}

struct str request_query(const struct request *request, const char *name, char *room, size_t size)
{
    struct str rest = request->query;
    while (rest.ptr != NULL) {
        struct str value = str_cut(&rest, '&');
        struct str key = str_cut(&value, '=');
        if (value.len == 0 || !is_name(key, name))
            continue;
        struct str decoded;
        return percent_decode(value, true, room, size, &decoded) ? decoded : value;
    }
    return (struct str){NULL, 0};
}

bool request_is_head(const struct request *request)
{
    return h2o_memis(request->h2o->method.base, request->h2o->method.len, H2O_STRLIT("HEAD"));
}

/* Returns the index of the next header of that name after `at`; -1: there is none. */
static ssize_t find_header(const struct request *request, const char *name, ssize_t at)
{
    const h2o_headers_t *headers = &request->h2o->headers;
    const h2o_token_t *token = h2o_lookup_token(name, strlen(name)); /* well-known names are tokens, found by address */
    return token != NULL ? h2o_find_header(headers, token, at) : h2o_find_header_by_str(headers, name, strlen(name), at);
}

bool request_has_twice(const struct request *request, const char *name)
{
    ssize_t at = find_header(request, name, -1);
    return at != -1 && find_header(request, name, at) != -1;
}

struct str request_header(const struct request *request, const char *name)
{
    ssize_t at = find_header(request, name, -1);
    if (at == -1)
        return (struct str){NULL, 0};
    h2o_iovec_t value = request->h2o->headers.entries[at].value;
    return (struct str){value.base, value.len};
}

size_t request_fields(const struct request *request, struct request_field fields[REQUEST_FIELDS_MAX])
{
    const h2o_headers_t *headers = &request->h2o->headers;
    size_t count = headers->size < REQUEST_FIELDS_MAX ? headers->size : REQUEST_FIELDS_MAX;
    for (size_t i = 0; i < count; i++) {
        const h2o_header_t *header = &headers->entries[i];
        const char *name = header->orig_name != NULL ? header->orig_name : header->name->base;
        fields[i] = (struct request_field){{name, header->name->len}, {header->value.base, header->value.len}};
    }
    return count;
}

struct str request_upgrade(const struct request *request)
{
    return (struct str){request->h2o->upgrade.base, request->h2o->upgrade.len};
}

struct str request_method(const struct request *request)
{
    return (struct str){request->h2o->method.base, request->h2o->method.len};
}

void request_add_field(struct request *request, struct str name, struct str value)
{
    h2o_req_t *req = request->h2o;
    h2o_iovec_t lower = h2o_strdup(&req->pool, name.ptr, name.len);
    h2o_strtolower(lower.base, lower.len);
    h2o_add_header_by_str(&req->pool, &req->res.headers, lower.base, lower.len, 0, name.ptr, value.ptr, value.len);
}

/* Whom to tell when a request is disposed of; in its pool. */
struct listener_of_end {
    void (*gone)(void *data);
    void *data;
};

static void on_gone(void *cell)
{
    const struct listener_of_end *listener = cell;
    listener->gone(listener->data);
}

void request_tell_when_gone(struct request *request, void (*gone)(void *data), void *data)
{
    struct listener_of_end *listener = h2o_mem_alloc_shared(&request->h2o->pool, sizeof(*listener), on_gone);
    *listener = (struct listener_of_end){gone, data};
}

void request_set_header(struct request *request, const char *name, const char *value)
{
    h2o_req_t *req = request->h2o;
    h2o_iovec_t lower = h2o_strdup(&req->pool, name, strlen(name));
    h2o_strtolower(lower.base, lower.len);
    h2o_add_header_by_str(&req->pool, &req->res.headers, lower.base, lower.len, 0, name, value, strlen(value));
}

void request_replace_header(struct request *request, const char *name, const char *value)
{
    h2o_req_t *req = request->h2o;
    h2o_iovec_t lower = h2o_strdup(&req->pool, name, strlen(name));
    h2o_strtolower(lower.base, lower.len);
    ssize_t at = h2o_find_header_by_str(&req->res.headers, lower.base, lower.len, -1);
    if (at != -1)
        h2o_delete_header(&req->res.headers, at);
    if (value[0] != '\0')
        request_set_header(request, name, h2o_strdup(&req->pool, value, strlen(value)).base);
}

void request_name_worker(struct request *request, struct str worker_id)
{
    struct route_parameter *parameter = find_parameter(request, STR("worker_id"));
    if (worker_id.len == 0)
        return;
    for (size_t i = 0; parameter == NULL && i < ROUTE_PARAMETERS_MAX; i++)
        if (request->parameters[i].name.ptr == NULL)
            parameter = &request->parameters[i];
    if (parameter == NULL)
        abort();
    h2o_iovec_t copy = h2o_strdup(&request->h2o->pool, worker_id.ptr, worker_id.len);
    *parameter = (struct route_parameter){STR("worker_id"), {copy.base, copy.len}, false};
}

void *request_app(const struct request *request)
{
    return request->thread->app;
}

void *request_alloc(struct request *request, size_t size)
{
    void *memory = h2o_mem_alloc_pool(&request->h2o->pool, size);
    memset(memory, 0, size);
    return memory;
}

bool request_is_at_metrics_port(const struct request *request)
{
    const struct server *server = request->thread->server;
    return server->metrics_host != NULL && request->h2o->hostconf == server->metrics_host;
}
