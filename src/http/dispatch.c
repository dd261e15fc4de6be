#include "base/clock.h"
#include "base/digits.h"
#include "base/inet.h"
#include "base/log_repeat.h"
#include "http/connection.h"
#include "http/intake.h"
#include "http/reply.h"
#include "http/thread.h"

#include <inttypes.h>
#include <stdio.h>

#define ENCODING_SHOWN 32    /* bytes of a Content-Encoding that an answer repeats */
#define HELD_MAX (128 << 20) /* bytes of gathered bodies whose requests wait for their answers, for each thread */
#define PATH_LOGGED 200      /* bytes that are logged of a path that no route has checked */

/* Whether a client's X-Request-Id may be used: 1 to 128 visible ASCII characters. */
static bool id_is_usable(struct str id)
{
    if (id.len == 0 || id.len > REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (id.ptr[i] <= ' ' || id.ptr[i] > '~')
            return false;
    return true;
}

static struct str request_id(struct server_thread *thread, h2o_req_t *req)
{
    ssize_t at = h2o_find_header_by_str(&req->headers, H2O_STRLIT("x-request-id"), -1);
    if (at != -1) {
        h2o_iovec_t value = req->headers.entries[at].value;
        if (id_is_usable((struct str){value.base, value.len}))
            return (struct str){value.base, value.len};
    }
    char *room = h2o_mem_alloc_pool(&req->pool, 16);
    /* a counter that starts at random, times an odd factor (Knuth, 6.4): ids are unique, and successive ones look different */
    uint64_t spread = thread->next_id++ * 0x9e3779b97f4a7c15u;
    digits_hex(spread, room);
    return (struct str){room, 16};
}

/* Whether `origin` is `listed`; if that has "*." before its name: one of its subdomains, with the same scheme and port. */
static bool origin_matches(struct str origin, struct str listed)
{
    const char *star = memchr(listed.ptr, '*', listed.len);
    if (star == NULL || listed.len == 1)
        return str_eq_nocase(origin, listed);
    size_t before = (size_t)(star - listed.ptr), after = listed.len - before - 1;
    if (origin.len <= before + after)
        return false;
    struct str name = {origin.ptr + before, origin.len - before - after};
    return str_eq_nocase((struct str){origin.ptr, before}, (struct str){listed.ptr, before}) &&
           str_eq_nocase((struct str){origin.ptr + origin.len - after, after}, (struct str){star + 1, after}) &&
           name.ptr[0] != '.' && request_is_made_of(name, "-._");
}

/* Whether `origin` is one of the comma list `origins`. */
static bool is_listed(struct str origins, struct str origin)
{
    while (origins.len > 0)
        if (origin_matches(origin, str_cut(&origins, ',')))
            return true;
    return false;
}

/* Adds the headers that every answer carries. */
static void add_common_headers(struct server_thread *thread, h2o_req_t *req, struct str id)
{
    h2o_headers_t *headers = &req->res.headers;
    h2o_add_header_by_str(&req->pool, headers, H2O_STRLIT("x-request-id"), 0, "X-Request-Id", id.ptr, id.len);
    h2o_add_header_by_str(&req->pool, headers, H2O_STRLIT("access-control-expose-headers"), 0, NULL,
                          H2O_STRLIT("X-Request-Id, Retry-After, Age, X-Replica-Lag, Content-Disposition, X-RMA-Worker, "
                                     "X-RMA-Attempt, X-RMA-Model, X-Should-Retry, Idempotency-Replayed"));
    struct str allowed = thread->server->config.allowed_origins;
    if (is_listed(allowed, STR("*"))) {
        h2o_add_header(&req->pool, headers, H2O_TOKEN_ACCESS_CONTROL_ALLOW_ORIGIN, NULL, H2O_STRLIT("*"));
        return;
    }
    h2o_add_header(&req->pool, headers, H2O_TOKEN_VARY, NULL, H2O_STRLIT("Origin"));
    ssize_t at = h2o_find_header_by_str(&req->headers, H2O_STRLIT("origin"), -1);
    if (at == -1)
        return;
    h2o_iovec_t origin = req->headers.entries[at].value;
    if (is_listed(allowed, (struct str){origin.base, origin.len}))
        h2o_add_header(&req->pool, headers, H2O_TOKEN_ACCESS_CONTROL_ALLOW_ORIGIN, NULL, origin.base, origin.len);
}

/* Whether a Content-Type says that the body is no JSON. */
static bool type_is_foreign(const struct request *request)
{
    struct str type = request_header(request, "content-type");
    if (type.len == 0)
        return false;
    type = str_trim(str_cut(&type, ';'));
    bool suffix = type.len > 5 && str_eq_nocase((struct str){type.ptr + type.len - 5, 5}, STR("+json"));
    return !suffix && !str_eq_nocase(type, STR("application/json"));
}

/* Returns the first coding of the Content-Encoding headers that is not "identity"; absent if there is none. */
static struct str find_encoding(const h2o_req_t *req)
{
    ssize_t at = -1;
    while ((at = h2o_find_header(&req->headers, H2O_TOKEN_CONTENT_ENCODING, at)) != -1) {
        h2o_iovec_t value = req->headers.entries[at].value;
        for (struct str rest = {value.base, value.len}; rest.len > 0;) {
            struct str coding = str_trim(str_cut(&rest, ','));
            if (coding.len > 0 && !str_eq_nocase(coding, STR("identity")))
                return coding;
        }
    }
    return (struct str){NULL, 0};
}

/* Refuses a body with a coding: names it, if it looks like a name, and what is accepted (RFC 9110, section 12.5.3). */
static void refuse_encoding(struct request *request, struct str coding)
{
    char detail[128];
    bool is_name = coding.len <= ENCODING_SHOWN && request_is_made_of(coding, "-._");
    snprintf(detail, sizeof(detail), "The body has the Content-Encoding %.*s; send it without one.",
             STR_PRINTF(is_name ? coding : STR("(unknown)")));
    request_set_header(request, "Accept-Encoding", "identity");
    reply_error(request, ERR_ENCODED, detail, NULL);
}

/*
 * Whether the request came to the wrong port. If there is a port for metrics, it serves the metrics alone, and the other port
 * everything else.
 */
static bool is_at_wrong_port(const struct request *request)
{
    const struct server *server = request->thread->server;
    if (server->metrics_host == NULL)
        return false;
    return str_eq(request->path, str_from(server->config.metrics_path)) != (request->h2o->hostconf == server->metrics_host);
}

static void log_refusal(h2o_req_t *req, int status, const char *detail)
{
    char room[INET_TEXT_MAX];
    struct sockaddr_storage name;
    socklen_t len = req->conn->callbacks->get_peername(req->conn, (struct sockaddr *)&name);
    struct str path = {req->input.path.base, req->input.path.len < PATH_LOGGED ? req->input.path.len : PATH_LOGGED};
    log_repeatable(LOG_INFO, "request", "refused", 3, log_number("status", status),
                   log_str("method", (struct str){req->method.base, req->method.len}), log_text("detail", detail),
                   log_str("path", str_cut(&path, '?')), log_str("address", inet_text(&name, len, room)));
}

/*
 * Refuses a request whose head or body is not proper HTTP, or whose body is far too large for any handler. It is then not
 * certain where the next request begins.
 */
static void refuse(struct request *request, enum err err, const char *why)
{
    if (why == NULL)
        why = reply_sentence(request->thread, err);
    request->route = NULL;
    request->h2o->http1_is_persistent = 0;
    log_refusal(request->h2o, err_status(err), why);
    connection_linger(request->h2o);
    reply_error(request, err, why, NULL);
}

/* Removes the headers that head_read has renamed: handlers must not see them. */
static void remove_hidden(h2o_headers_t *headers)
{
    for (size_t i = headers->size; i-- > 0;)
        if (head_is_hidden_name((struct str){headers->entries[i].name->base, headers->entries[i].name->len}))
            h2o_delete_header(headers, (ssize_t)i);
}

/* --- a body that is gathered whole -------------------------------------------------------------------------------------------- */

static void admit(struct request *request)
{
    if (request->thread->server->config.admit != NULL)
        request->thread->server->config.admit(request);
    else
        request->route->handler(request);
}

/* Goes on with a request whose whole body is there, or that has none. */
static void dispatch_whole(struct request *request)
{
    struct str coding = request->body.len > 0 ? find_encoding(request->h2o) : (struct str){NULL, 0};
    if (coding.len > 0)
        refuse_encoding(request, coding);
    else if (request->body.len > 0 && type_is_foreign(request))
        reply_error(request, ERR_MEDIA_TYPE, NULL, NULL);
    else
        admit(request);
}

/* A body that is being gathered. Lives in the request's pool. */
struct gathering {
    struct request *request;
    struct server_thread *thread;
    struct buffer body;
    size_t held; /* bytes of it in thread->held, once it is whole */
};

static void gathering_end(void *cell)
{
    struct gathering *gathering = cell;
    gathering->thread->held -= gathering->held;
    buffer_fini(&gathering->body);
}

/* Whether the thread may hold `more` bytes of bodies of requests under way. If not, refuses the request. */
static bool has_room(struct request *request, size_t more)
{
    if (request->thread->held + more <= HELD_MAX)
        return true;
    connection_of(request->h2o)->gathered = NULL;
    reply_error(request, ERR_OVERLOADED, "This coordinator holds as many long request bodies as it takes; try again shortly.",
                NULL);
    return false;
}

static void on_piece(struct intake *intake, struct str bytes, void *data)
{
    struct gathering *gathering = data;
    (void)intake;
    if (has_room(gathering->request, gathering->body.len + bytes.len))
        buffer_append(&gathering->body, bytes);
}

static void on_whole(struct intake *intake, void *data)
{
    struct gathering *gathering = data;
    (void)intake;
    connection_of(gathering->request->h2o)->gathered = NULL;
    gathering->held = gathering->body.capacity;
    gathering->thread->held += gathering->held;
    gathering->request->body = buffer_str(&gathering->body);
    dispatch_whole(gathering->request);
}

static void on_failed(struct intake *intake, enum err err, const char *why, bool left, void *data)
{
    struct gathering *gathering = data;
    struct connection *connection = connection_of(gathering->request->h2o);
    (void)intake;
    connection->gathered = NULL;
    if (left)
        connection_drop(connection);
    else if (err == ERR_LATE)
        connection_refuse_late(connection);
    else
        refuse(gathering->request, err, why);
}

static void gather(struct request *request, struct intake *intake, size_t most)
{
    static const struct intake_taker taker = {on_piece, on_whole, on_failed};
    struct gathering *gathering = h2o_mem_alloc_shared(&request->h2o->pool, sizeof(*gathering), gathering_end);
    *gathering = (struct gathering){.request = request, .thread = request->thread};
    connection_of(request->h2o)->gathered = &gathering->body;
    intake_limit(intake, most, NULL);
    intake_take(intake, &taker, gathering);
}

/* --- a request ---------------------------------------------------------------------------------------------------------------- */

static void dispatch_body(struct request *request, struct intake *intake)
{
    const struct server *server = request->thread->server;
    const struct route *route = request->route;
    bool streamed = route->body == STREAMED;
    size_t most = streamed ? server->config.upload_max : route->body_max > 0 ? route->body_max : SERVER_BODY_MAX;
    bool is_known = intake == NULL || intake_length(intake) != INTAKE_LENGTH_UNKNOWN;
    size_t length = intake == NULL ? request->body.len : is_known ? intake_length(intake) : 0;
    const struct connection *connection = connection_of(request->h2o);
    if (streamed && connection != NULL && connection->head.odd != NULL) {
        refuse(request, ERR_BAD_REQUEST, connection->head.odd);
    } else if (length > most && !streamed && length > SERVER_BULK_BODY_MAX) {
        refuse(request, ERR_TOO_LARGE, NULL);
    } else if (length > most) {
        reply_error(request, ERR_TOO_LARGE, streamed ? server->too_large : NULL, NULL);
    } else if (streamed) {
        if (intake != NULL)
            intake_limit(intake, most, server->too_large);
        request->intake = intake;
        admit(request);
    } else if (intake == NULL) {
        dispatch_whole(request);
    } else if (has_room(request, length)) {
        gather(request, intake, most);
    }
}

/* Checks the head, which we have read before libh2o, and makes the intake of a hidden body. *intake NULL: there is none. */
static enum err begin_body(struct request *request, struct intake **intake, const char **why)
{
    struct connection *connection = connection_of(request->h2o);
    *intake = NULL;
    *why = NULL;
    if (connection == NULL)
        return ERR_NONE;
    const struct head *head = &connection->head;
    *why = head->why;
    if (head->size == 0 || head->err != ERR_NONE)
        return head->size == 0 ? ERR_BAD_REQUEST : head->err;
    if (head->hidden)
        remove_hidden(&request->h2o->headers);
    return head->hidden && head->body != HEAD_NO_BODY ? intake_new(request, connection, intake, why) : ERR_NONE;
}

/* Whether an OPTIONS goes to the handler: on a route for all methods, if it is no CORS preflight. */
static bool wants_own_options(const struct request *request)
{
    return request->route != NULL && str_eq(str_from(request->route->method), STR(ROUTE_ANY)) &&
           request_header(request, "access-control-request-method").ptr == NULL;
}

/* Checks a request and hands it to its route's handler. */
static void dispatch(struct request *request)
{
    h2o_req_t *req = request->h2o;
    struct intake *intake;
    const char *why;
    request_take_target(request); /* first, since problems depend on the path */
    enum err err = begin_body(request, &intake, &why);
    if (err != ERR_NONE) {
        refuse(request, err, why);
        return;
    }
    char allow[ROUTE_ALLOW_SIZE];
    err = request_route(request, request->thread->server->config.routes, allow);
    if (is_at_wrong_port(request)) {
        request->route = NULL;
        reply_error(request, ERR_PATH_NOT_FOUND, "Not on this port: metrics are on METRICS_PORT, everything else is on PORT.",
                    NULL);
        return;
    }
    if (h2o_memis(req->method.base, req->method.len, H2O_STRLIT("OPTIONS")) && !wants_own_options(request)) {
        reply_preflight(request);
        return;
    }
    if (err == ERR_METHOD)
        request_set_header(request, "Allow", h2o_strdup(&req->pool, allow, SIZE_MAX).base);
    if (err != ERR_NONE)
        reply_error(request, err, NULL, NULL);
    else
        dispatch_body(request, intake);
}

static int on_request(h2o_handler_t *self, h2o_req_t *req)
{
    (void)self;
    struct server_thread *thread = H2O_STRUCT_FROM_MEMBER(struct server_thread, context, req->conn->ctx);
    struct request *request = h2o_mem_alloc_pool(&req->pool, sizeof(*request));
    *request = (struct request){.h2o = req, .thread = thread, .received_at = clock_us()};
    request->id = request_id(thread, req);
    request->body = (struct str){req->entity.base, req->entity.len};
    add_common_headers(thread, req, request->id);
    connection_begin_request(req);
    server_thread_wants_ticks(thread);
    if (connection_may_go_on(req))
        dispatch(request);
    else
        pending_defer(request, dispatch);
    return 0;
}

void dispatch_register(h2o_pathconf_t *path)
{
    h2o_handler_t *handler = h2o_create_handler(path, sizeof(*handler));
    handler->on_req = on_request;
}
