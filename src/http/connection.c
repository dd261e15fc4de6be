#include "http/connection.h"

#include "base/clock.h"
#include "base/inet.h"
#include "base/log_repeat.h"
#include "http/refusal.h"
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
    if (h2o_linklist_is_linked(&connection->place))
        h2o_linklist_unlink(&connection->place);
    connection->state = state;
    if (state != CONNECTION_ANSWERING)
        connection->since = clock_ms();
    if (state == CONNECTION_IDLE || state == CONNECTION_ANSWERING)
        connection->begun_at = 0;
    if (state == CONNECTION_RECEIVING || state == CONNECTION_ANSWERING)
        join_busy(connection);
    else
        leave_busy(connection);
    if (state == CONNECTION_SILENT)
        h2o_linklist_insert(&listener->silent, &connection->place);
    else if (state == CONNECTION_IDLE)
        h2o_linklist_insert(&listener->idle, &connection->place);
    else if (state == CONNECTION_RECEIVING)
        h2o_linklist_insert(&thread->receiving, &connection->place);
}

static struct str peer_address(const struct connection *connection, char room[INET_TEXT_MAX])
{
    struct sockaddr_storage name;
    socklen_t len = h2o_socket_getpeername(connection->socket, (struct sockaddr *)&name);
    return inet_text(&name, len, room);
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
    if (h2o_linklist_is_linked(&connection->place))
        h2o_linklist_unlink(&connection->place);
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

static struct connection *of_place(h2o_linklist_t *place)
{
    return H2O_STRUCT_FROM_MEMBER(struct connection, place, place);
}

/* The connection of a list that has been there for longest, and for long enough, without anything unread; NULL: none. */
static struct connection *find_longest(h2o_linklist_t *list)
{
    int64_t since = clock_ms() - ROOM_AFTER_MS;
    for (h2o_linklist_t *at = list->next; at != list && of_place(at)->since <= since; at = at->next)
        if (!has_unread(of_place(at)))
            return of_place(at);
    return NULL;
}

bool connection_make_room(struct listener *listener)
{
    struct connection *idle = find_longest(&listener->idle);
    struct connection *silent = find_longest(&listener->silent);
    if (idle == NULL || (silent != NULL && silent->since < idle->since))
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
    refusal_note(408, CLOSING_LATE, detail, peer_address(connection, room));
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

/*
 * libh2o gathers a body whole before anybody is asked about it, and may do so for all connections at once: when it is too much
 * together, those that have sent the most are cut off.
 */
static void check_bodies(struct server_thread *thread)
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

/* A connection has been in its state for as long as it may, or as long as nobody has looked. */
static void end_time(struct connection *connection)
{
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

/*
 * Ends the time of those that have been in the list for `most_ms`. Returns the ms until the next one's is over, WAIT_MAX_MS:
 * nobody's.
 */
static int32_t end_times(h2o_linklist_t *list, int32_t most_ms)
{
    int64_t now = clock_ms();
    while (!h2o_linklist_is_empty(list)) {
        struct connection *first = of_place(list->next);
        int64_t left = first->since + most_ms - now;
        if (left > 0)
            return left < WAIT_MAX_MS ? (int32_t)left : WAIT_MAX_MS;
        end_time(first);
    }
    return WAIT_MAX_MS;
}

int32_t connection_tick_listener(struct listener *listener)
{
    bool hurry = listener->socket == NULL; /* see connection_hurry */
    int32_t idle_ms = listener->thread->server->config.idle_timeout_ms + IDLE_GRACE_MS;
    int32_t idle = end_times(&listener->idle, hurry ? DRAIN_IDLE_MS : idle_ms);
    int32_t silent = end_times(&listener->silent, hurry ? DRAIN_IDLE_MS : SILENT_MS);
    return idle < silent ? idle : silent;
}

int32_t connection_tick_thread(struct server_thread *thread)
{
    check_bodies(thread);
    return end_times(&thread->receiving, RECEIVE_CHECK_MS);
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
        connection->suspicion = refusal_suspect((struct str){socket->input->bytes, received});
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
        refusal_note(400, suspicion, refusal_describe(suspicion), address);
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
    socket->on_close.cb = on_close;
    socket->on_close.data = connection;
    count(connection, 1);
    unsigned timeout = WRITE_TIMEOUT_MS;
    setsockopt(h2o_socket_get_fd(socket), IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
    h2o_accept(&listener->accept, socket);
    move(connection, CONNECTION_SILENT);
    settle(connection);
}

void connection_hurry(struct listener *listener)
{
    h2o_linklist_t *const lists[] = {&listener->idle, &listener->silent};
    for (size_t i = 0; i < 2; i++)
        for (h2o_linklist_t *at = lists[i]->next; at != lists[i]; at = at->next)
            of_place(at)->since = clock_ms();
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
