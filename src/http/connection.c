#include "http/connection.h"

#include "base/clock.h"
#include "base/inet.h"
#include "base/log_repeat.h"
#include "http/reply.h"
#include "http/thread.h"

#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define REQUESTS_PER_TURN 32    /* of one connection */
#define WRITE_TIMEOUT_MS 15000  /* of a client that stopped reading */
#define SILENT_MS 10000         /* before the first byte */
#define IDLE_GRACE_MS 1000      /* longer than clients are told, so that one that keeps to it never meets our closing */
#define ROOM_AFTER_MS 4000      /* of idleness, from which on a connection may make room for a new one: others are in use */
#define RECEIVE_MS 10000        /* for a whole request, and without a byte of one */
#define RECEIVE_MS_PER_KIB 1000 /* more for a whole request, for each KiB that has come */
#define RECEIVE_CHECK_MS 250
#define BODIES_MAX (32 << 20) /* bytes of requests that a thread may hold before they are complete */
#define BODIES_CHECK_MS 50
#define LINGER_MS 2000
#define DRAIN_IDLE_MS 300 /* to begin a request, and to end it, when the program ends */
#define FLOOD 256         /* connections at a time that leave something worth giving back */

static void count(struct connection *connection, int by)
{
    struct server_thread *thread = connection->thread;
    connection->listener->connections += by;
    thread->connections += by;
    if (thread->connections > thread->connections_peak)
        thread->connections_peak = thread->connections;
    metric_set(&metrics->connections, (uint64_t)thread->connections);
}

/* After a flood, the heap is full of holes that malloc keeps for the next one: gives them back to the system. */
static void give_back_memory(struct server_thread *thread)
{
    if (thread->connections_peak < FLOOD || thread->connections > thread->connections_peak / 8)
        return;
    thread->connections_peak = thread->connections;
    malloc_trim(0);
}

static void leave_busy(struct connection *connection)
{
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else if (connection->thread->first_busy == connection)
        connection->thread->first_busy = connection->next;
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    connection->previous = connection->next = NULL;
}

static void join_busy(struct connection *connection)
{
    struct server_thread *thread = connection->thread;
    if (thread->first_busy == connection || connection->previous != NULL)
        return;
    connection->next = thread->first_busy;
    if (connection->next != NULL)
        connection->next->previous = connection;
    thread->first_busy = connection;
}

/* The one place where a connection changes its state, and with it the lists that it is on. */
static void move(struct connection *connection, enum connection_state state)
{
    struct server_thread *thread = connection->thread;
    struct listener *listener = connection->listener;
    h2o_timeout_unlink(&connection->timeout);
    connection->state = state;
    if (state == CONNECTION_IDLE || state == CONNECTION_ANSWERING)
        connection->begun_at = 0;
    if (state == CONNECTION_RECEIVING || state == CONNECTION_ANSWERING)
        join_busy(connection);
    else
        leave_busy(connection);
    if (state == CONNECTION_SILENT || state == CONNECTION_IDLE)
        h2o_timeout_link(thread->context.loop, state == CONNECTION_IDLE ? &listener->idle : &listener->silent,
                         &connection->timeout);
    else if (state == CONNECTION_RECEIVING)
        h2o_timeout_link(thread->context.loop, &thread->receiving, &connection->timeout);
}

static struct str peer_address(const struct connection *connection, char room[INET_TEXT_MAX])
{
    struct sockaddr_storage name;
    socklen_t len = h2o_socket_getpeername(connection->socket, (struct sockaddr *)&name);
    return inet_text(&name, len, room);
}

/* An answer that libh2o or we have made without a request that could be handed on. */
static void note_refusal(int status, enum metrics_closing why, const char *detail, struct str address)
{
    metric_add(&metrics->closings[why], 1);
    metric_add(&metrics->requests[0][METHOD_OTHER][status_place(status)], 1);
    log_repeatable(LOG_INFO, "request", "refused", 2, log_number("status", status), log_text("detail", detail),
                   log_str("address", address));
}

/* --- what is no request ------------------------------------------------------------------------------------------------------ */

static bool begins_with(struct str text, struct str start)
{
    return text.len >= start.len && memcmp(text.ptr, start.ptr, start.len) == 0;
}

static enum metrics_closing suspect(struct str bytes)
{
    if (bytes.len >= H2O_MAX_REQLEN)
        return CLOSING_TOO_LONG;
    if (begins_with(bytes, STR("\x16\x03")))
        return CLOSING_TLS;
    if (begins_with(bytes, STR("PROXY ")) || begins_with(bytes, STR("\r\n\r\n\0\r\nQUIT\n")))
        return CLOSING_PROXY;
    return begins_with(bytes, STR("PRI * HTTP/2")) ? CLOSING_HTTP2 : CLOSING_MALFORMED;
}

static const char *describe(enum metrics_closing suspicion)
{
    switch (suspicion) {
    case CLOSING_TLS:
        return "TLS came to a port that speaks plain HTTP: use http://, or a proxy that ends TLS.";
    case CLOSING_PROXY:
        return "The PROXY protocol is not spoken here: let the proxy set X-Forwarded-For instead.";
    case CLOSING_HTTP2:
        return "HTTP/2 is not spoken here: use HTTP/1.1.";
    case CLOSING_TOO_LONG:
        return "The head of the request is too long.";
    default:
        return "What came is no HTTP/1.1 request, or has more than 100 headers.";
    }
}

/* --- its end ----------------------------------------------------------------------------------------------------------------- */

static void on_close(void *data)
{
    struct connection *connection = data;
    struct server_thread *thread = connection->thread;
    struct listener *listener = connection->listener;
    if (thread->calling == connection)
        thread->calling = NULL;
    if (connection->lingering != NULL)
        linger_alone(connection->lingering);
    leave_busy(connection);
    h2o_timeout_unlink(&connection->timeout);
    count(connection, -1);
    free(connection);
    give_back_memory(thread);
    listener_resume(listener);
}

/* Ends a connection on which libh2o waits for a request. */
static void end(struct connection *connection)
{
    linger_begin(connection->thread, connection->socket, &connection->lingering);
    connection->read(connection->socket, "ended by us"); /* what libh2o does when the client has gone: it closes */
}

/* Whether something has come that libh2o was not told of yet. */
static bool has_unread(const struct connection *connection)
{
    char byte;
    return recv(h2o_socket_get_fd(connection->socket), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* The connection of a list that has been there for longest, and for long enough, without anything unread; NULL: none. */
static struct connection *find_longest(h2o_linklist_t *list, uint64_t since)
{
    for (h2o_linklist_t *at = list->next; at != list; at = at->next) {
        h2o_timeout_entry_t *entry = H2O_STRUCT_FROM_MEMBER(h2o_timeout_entry_t, _link, at);
        struct connection *connection = H2O_STRUCT_FROM_MEMBER(struct connection, timeout, entry);
        if (entry->registered_at > since)
            return NULL;
        if (!has_unread(connection))
            return connection;
    }
    return NULL;
}

bool connection_make_room(struct listener *listener)
{
    uint64_t since = h2o_now(listener->thread->context.loop) - ROOM_AFTER_MS;
    struct connection *idle = find_longest(&listener->idle._entries, since);
    struct connection *silent = find_longest(&listener->silent._entries, since);
    if (idle == NULL || (silent != NULL && silent->timeout.registered_at < idle->timeout.registered_at))
        idle = silent;
    if (idle == NULL)
        return false;
    metric_add(&metrics->closings[CLOSING_FULL], 1);
    end(idle);
    return true;
}

/* Answers 408 past libh2o, which waits for the rest of the request and has sent nothing. */
static void refuse_late(struct connection *connection)
{
    const char *detail = reply_sentence(connection->thread, ERR_LATE);
    struct buffer body = BUFFER_INIT, answer = BUFFER_INIT;
    reply_write_problem(&body, ERR_LATE, detail, NULL);
    buffer_printf(&answer,
                  "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
                  "Content-Length: %zu\r\n\r\n%.*s",
                  body.len, STR_PRINTF(buffer_str(&body)));
    /* it fits the empty send buffer; should it not, the client gets what it would have got without it */
    (void)!send(h2o_socket_get_fd(connection->socket), answer.ptr, answer.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    buffer_fini(&body);
    buffer_fini(&answer);
    char room[INET_TEXT_MAX];
    note_refusal(408, CLOSING_LATE, detail, peer_address(connection, room));
    end(connection);
}

/* Whether a request that is not whole has had its time. */
static bool is_late(struct connection *connection)
{
    int64_t now = clock_ms();
    size_t received = connection->socket->input->size;
    if (received > connection->received)
        connection->progress_at = now;
    connection->received = received;
    if (server_thread_stopping(connection->thread))
        return now - connection->begun_at > DRAIN_IDLE_MS;
    return now - connection->progress_at > RECEIVE_MS ||
           now - connection->begun_at > RECEIVE_MS + (int64_t)(received / 1024) * RECEIVE_MS_PER_KIB;
}

static void on_timeout(h2o_timeout_entry_t *entry)
{
    struct connection *connection = H2O_STRUCT_FROM_MEMBER(struct connection, timeout, entry);
    bool receiving = connection->state == CONNECTION_RECEIVING;
    if (receiving ? !is_late(connection) : has_unread(connection)) {
        move(connection, connection->state); /* for another while */
    } else if (receiving) {
        refuse_late(connection);
    } else {
        metric_add(&metrics->closings[CLOSING_IDLE], 1);
        end(connection);
    }
}

/* --- its states -------------------------------------------------------------------------------------------------------------- */

static void on_readable(h2o_socket_t *socket, const char *err);
static void on_written(h2o_socket_t *socket, const char *err);

/* Finds out in which state libh2o has left a connection on which it answers nothing. */
static void settle(struct connection *connection)
{
    h2o_socket_t *socket = connection->socket;
    size_t received = socket->input->size;
    if (!h2o_socket_is_reading(socket)) {
        connection->suspicion = suspect((struct str){socket->input->bytes, received});
        connection->written = socket->_cb.write;
        socket->_cb.write = on_written;
        move(connection, CONNECTION_UNDECIDED);
        return;
    }
    connection->read = socket->_cb.read;
    socket->_cb.read = on_readable;
    if (received == 0 && connection->state != CONNECTION_SILENT)
        move(connection, CONNECTION_IDLE);
    if (received > 0 && connection->state != CONNECTION_RECEIVING) {
        connection->progress_at = clock_ms();
        if (connection->begun_at == 0)
            connection->begun_at = connection->progress_at;
        connection->received = received;
        move(connection, CONNECTION_RECEIVING);
    }
}

/* Calls back into libh2o, after which the connection may be gone, have a request, or wait for one. Whether it is still there. */
static bool call(struct connection *connection, h2o_socket_cb callback, const char *err)
{
    struct server_thread *thread = connection->thread;
    thread->calling = connection;
    callback(connection->socket, err);
    bool is_there = thread->calling != NULL;
    thread->calling = NULL;
    if (is_there && connection->state != CONNECTION_ANSWERING)
        settle(connection);
    return is_there;
}

static void on_readable(h2o_socket_t *socket, const char *err)
{
    struct connection *connection = socket->on_close.data;
    socket->_cb.read = connection->read;
    if (err == NULL)
        request_hide_expect(socket->input->bytes, socket->input->size);
    call(connection, connection->read, err);
}

static void on_written(h2o_socket_t *socket, const char *err)
{
    struct connection *connection = socket->on_close.data;
    enum connection_state state = connection->state;
    enum metrics_closing suspicion = connection->suspicion;
    char room[INET_TEXT_MAX];
    struct str address = state == CONNECTION_UNDECIDED ? peer_address(connection, room) : STR("");
    if (state == CONNECTION_ANSWERING)
        connection->state = CONNECTION_IDLE; /* unless libh2o goes on with a request that has come meanwhile */
    if (!call(connection, connection->written, err) && state == CONNECTION_UNDECIDED)
        note_refusal(400, suspicion, describe(suspicion), address);
}

void connection_answered(h2o_socket_t *socket)
{
    if (socket == NULL || socket->_cb.write == NULL)
        return;
    struct connection *connection = socket->on_close.data;
    connection->written = socket->_cb.write;
    socket->_cb.write = on_written;
}

void connection_new(struct listener *listener, h2o_socket_t *socket)
{
    struct connection *connection = h2o_mem_alloc(sizeof(*connection));
    *connection = (struct connection){.thread = listener->thread, .listener = listener, .socket = socket};
    connection->timeout.cb = on_timeout;
    socket->on_close.cb = on_close;
    socket->on_close.data = connection;
    count(connection, 1);
    unsigned timeout = WRITE_TIMEOUT_MS;
    setsockopt(h2o_socket_get_fd(socket), IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
    h2o_accept(&listener->accept, socket);
    move(connection, CONNECTION_SILENT);
    settle(connection);
}

void connection_init_thread(struct server_thread *thread)
{
    h2o_timeout_init(thread->context.loop, &thread->linger, LINGER_MS);
    h2o_timeout_init(thread->context.loop, &thread->receiving, RECEIVE_CHECK_MS);
}

void connection_init_listener(struct listener *listener)
{
    struct server_thread *thread = listener->thread;
    h2o_timeout_init(thread->context.loop, &listener->silent, SILENT_MS);
    h2o_timeout_init(thread->context.loop, &listener->idle, (uint64_t)thread->server->config.idle_timeout_ms + IDLE_GRACE_MS);
}

void connection_hurry(struct listener *listener)
{
    h2o_timeout_t *const timeouts[] = {&listener->idle, &listener->silent};
    for (size_t i = 0; i < 2; i++) {
        h2o_linklist_t *list = &timeouts[i]->_entries;
        timeouts[i]->timeout = DRAIN_IDLE_MS;
        for (h2o_linklist_t *at = list->next; at != list; at = at->next)
            H2O_STRUCT_FROM_MEMBER(h2o_timeout_entry_t, _link, at)->registered_at = h2o_now(listener->thread->context.loop);
    }
}

/* --- its requests ------------------------------------------------------------------------------------------------------------ */

static struct connection *connection_of(h2o_req_t *req)
{
    h2o_socket_t *socket = req->conn->callbacks->get_socket(req->conn);
    return socket != NULL ? socket->on_close.data : NULL;
}

void connection_begin_request(h2o_req_t *req)
{
    struct connection *connection = connection_of(req);
    if (connection != NULL)
        move(connection, CONNECTION_ANSWERING);
}

bool connection_may_go_on(h2o_req_t *req)
{
    struct connection *connection = connection_of(req);
    if (connection == NULL)
        return true;
    if (connection->turn != connection->thread->turn) {
        connection->turn = connection->thread->turn;
        connection->requests = 0;
    }
    return ++connection->requests <= REQUESTS_PER_TURN;
}

void connection_sends_no_more(h2o_req_t *req)
{
    struct connection *connection = connection_of(req);
    req->http1_is_persistent = 0;
    if (connection != NULL)
        leave_busy(connection);
}

void connection_linger(h2o_req_t *req)
{
    struct connection *connection = connection_of(req);
    if (connection != NULL)
        linger_begin(connection->thread, connection->socket, &connection->lingering);
}

/*
 * libh2o gathers a body whole before anybody is asked about it, and may do so for all connections at once: when it is too much
 * together, those that have sent the most are cut off.
 */
void connection_check_bodies(struct server_thread *thread)
{
    int64_t now = clock_ms();
    if (now - thread->bodies_checked_at < BODIES_CHECK_MS)
        return;
    thread->bodies_checked_at = now;
    size_t total = 0;
    for (const struct connection *each = thread->first_busy; each != NULL; each = each->next)
        total += each->cut_off ? 0 : each->socket->input->size;
    while (total > BODIES_MAX) {
        struct connection *largest = NULL;
        for (struct connection *each = thread->first_busy; each != NULL; each = each->next)
            if (!each->cut_off && each->socket->input->size > (largest != NULL ? largest->socket->input->size : SERVER_BODY_MAX))
                largest = each;
        if (largest == NULL)
            return; /* no more than MAX_CONNECTIONS bodies of the usual size */
        largest->cut_off = true;
        total -= largest->socket->input->size;
        metric_add(&metrics->closings[CLOSING_BODIES], 1);
        shutdown(h2o_socket_get_fd(largest->socket), SHUT_RDWR); /* libh2o then finds it closed */
    }
}
