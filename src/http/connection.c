#include "http/connection.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/inet.h"
#include "base/log_repeat.h"
#include "http/intake.h"
#include "http/refusal.h"
#include "http/reply.h"
#include "http/thread.h"

#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define REQUESTS_PER_TURN 32   /* requests that one connection may have in a turn of the loop */
#define WRITE_TIMEOUT_MS 15000 /* after which a client that has stopped reading is given up */
#define RECEIVE_ROOM 4096      /* bytes: the least room for one read */
#define FLOOD 256              /* connections at a time after which giving back memory is worth it */

static void count(struct connection *connection, int by)
{
    struct server_thread *thread = connection->thread;
    connection->listener->connections += by;
    thread->connections += by;
    if (thread->connections > thread->connections_peak)
        thread->connections_peak = thread->connections;
    metric_set(&metrics->connections, (uint64_t)thread->connections);
}

/* Gives free memory back to the system after a flood of connections. malloc alone would keep it. */
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

void connection_move(struct connection *connection, enum connection_state state)
{
    struct server_thread *thread = connection->thread;
    struct listener *listener = connection->listener;
    if (h2o_linklist_is_linked(&connection->place))
        h2o_linklist_unlink(&connection->place);
    connection->state = state;
    if (state != CONNECTION_ANSWERING)
        connection->since = clock_ms();
    if (state == CONNECTION_IDLE)
        connection->begun_at = 0;
    if (state == CONNECTION_RECEIVING || state >= CONNECTION_ANSWERING)
        join_busy(connection);
    else
        leave_busy(connection);
    if (state == CONNECTION_SILENT)
        h2o_linklist_insert(&listener->silent, &connection->place);
    else if (state == CONNECTION_IDLE)
        h2o_linklist_insert(&listener->idle, &connection->place);
    else if (state == CONNECTION_RECEIVING || state == CONNECTION_BODY)
        h2o_linklist_insert(&thread->receiving, &connection->place);
}

struct str connection_peer(const struct connection *connection, char room[INET_TEXT_MAX])
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
    if (connection->closed != NULL)
        *connection->closed = true;
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

void connection_drop(struct connection *connection)
{
    connection->read(connection->socket, "ended by us"); /* tells libh2o that the client has gone, so it closes */
}

void connection_end(struct connection *connection)
{
    linger_begin(connection->thread, connection->socket, &connection->lingering);
    connection_drop(connection);
}

/* --- its states -------------------------------------------------------------------------------------------------------------- */

static void on_readable(h2o_socket_t *socket, const char *err);
static void on_written(h2o_socket_t *socket, const char *err);

/*
 * Reads the head that begins `from` bytes after the start of the input, if it is whole. We must then read its body ourselves,
 * unless libh2o gathers it.
 */
static void look_for_head(struct connection *connection, size_t from)
{
    const h2o_buffer_t *input = connection->socket->input;
    struct str bytes = {input->bytes + from, input->size - from};
    size_t size = head_find_end(bytes, connection->searched);
    connection->searched = bytes.len > 2 ? bytes.len - 2 : 0;
    if (size > 0)
        head_read(input->bytes + from, size, INTAKE_WHOLE_MAX, &connection->head);
}

/* Prepares for the next request: the answer has been sent, and libh2o goes on with the bytes after the request. */
static void begin_next(struct connection *connection)
{
    const struct head *head = &connection->head;
    size_t end = head->size + (head->hidden ? 0 : head->length);
    connection->head = (struct head){.size = 0};
    connection->searched = 0;
    connection->state = CONNECTION_IDLE; /* unless libh2o goes on with a request that has come meanwhile */
    connection->begun_at = 0;
    if (connection->socket->input->size > end)
        look_for_head(connection, end);
}

/* Finds out in which state libh2o has left a connection on which it answers nothing. */
static void settle(struct connection *connection)
{
    h2o_socket_t *socket = connection->socket;
    size_t received = socket->input->size;
    if (!h2o_socket_is_reading(socket)) {
        connection->suspicion = refusal_suspect((struct str){socket->input->bytes, received});
        connection->written = socket->_cb.write;
        socket->_cb.write = on_written;
        connection_move(connection, CONNECTION_UNDECIDED);
        return;
    }
    connection->read = socket->_cb.read;
    socket->_cb.read = on_readable;
    if (received == 0 && connection->state != CONNECTION_SILENT)
        connection_move(connection, CONNECTION_IDLE);
    if (received > 0 && connection->state != CONNECTION_RECEIVING) {
        connection->progress_at = clock_ms();
        if (connection->begun_at == 0)
            connection->begun_at = connection->progress_at;
        connection->received = received;
        connection_move(connection, CONNECTION_RECEIVING);
    }
}

/* A call into libh2o: one of its callbacks, or, if that is NULL, the end of a request. */
struct call {
    h2o_socket_cb callback;
    const char *err;
    h2o_req_t *ended;
};

/* Calls into libh2o. Afterwards the connection may have a request, wait for one, or be gone. False if it is gone. */
static bool call(struct connection *connection, struct call what)
{
    bool closed = false, *outer = connection->closed;
    connection->closed = &closed;
    if (what.callback != NULL)
        what.callback(connection->socket, what.err);
    else
        h2o_send(what.ended, NULL, 0, H2O_SEND_STATE_FINAL);
    if (closed) {
        if (outer != NULL)
            *outer = true;
        return false;
    }
    connection->closed = outer;
    if (connection->state < CONNECTION_ANSWERING)
        settle(connection);
    return true;
}

/* Reads the available bytes. Returns NULL, or the reason why nothing more comes; *nothing: there was nothing to read. */
static const char *receive(h2o_socket_t *socket, bool *nothing)
{
    h2o_iovec_t room = h2o_buffer_reserve(&socket->input, RECEIVE_ROOM);
    ssize_t got = recv(h2o_socket_get_fd(socket), room.base, room.len, 0);
    *nothing = got == -1 && (errno == EAGAIN || errno == EINTR);
    if (got <= 0)
        return got == 0 ? h2o_socket_error_closed : h2o_socket_error_io;
    socket->input->size += (size_t)got;
    return NULL;
}

static void on_readable(h2o_socket_t *socket, const char *err)
{
    struct connection *connection = socket->on_close.data;
    bool nothing = false;
    if (err == NULL)
        err = receive(socket, &nothing);
    if (nothing)
        return;
    socket->_cb.read = connection->read;
    if (err == NULL && connection->head.size == 0)
        look_for_head(connection, 0);
    call(connection, (struct call){connection->read, err, NULL});
}

static void on_written(h2o_socket_t *socket, const char *err)
{
    struct connection *connection = socket->on_close.data;
    enum connection_state state = connection->state;
    enum metrics_closing suspicion = connection->suspicion;
    char room[INET_TEXT_MAX];
    struct str address = state == CONNECTION_UNDECIDED ? connection_peer(connection, room) : STR("");
    if (state == CONNECTION_ANSWERING)
        begin_next(connection);
    if (!call(connection, (struct call){connection->written, err, NULL}) && state == CONNECTION_UNDECIDED)
        refusal_note(400, suspicion, refusal_describe(suspicion), address);
}

void connection_end_request(h2o_req_t *req)
{
    struct connection *connection = connection_of(req);
    if (connection == NULL) {
        h2o_send(req, NULL, 0, H2O_SEND_STATE_FINAL);
        return;
    }
    begin_next(connection);
    call(connection, (struct call){NULL, NULL, req});
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
    h2o_socket_dont_read(socket, 1); /* we read it */
    h2o_accept(&listener->accept, socket);
    connection_move(connection, CONNECTION_SILENT);
    settle(connection);
}

/* --- its requests ------------------------------------------------------------------------------------------------------------ */

struct connection *connection_of(h2o_req_t *req)
{
    h2o_socket_t *socket = req->conn->callbacks->get_socket(req->conn);
    return socket != NULL ? socket->on_close.data : NULL;
}

void connection_begin_request(h2o_req_t *req)
{
    struct connection *connection = connection_of(req);
    if (connection == NULL)
        return;
    connection->paused_at = clock_ms();
    connection_move(connection, CONNECTION_ANSWERING);
}

void connection_begin_body(struct connection *connection)
{
    int64_t now = clock_ms();
    connection->progress_at = now;
    connection->begun_at = connection->begun_at == 0 ? now : connection->begun_at + now - connection->paused_at;
    connection_move(connection, CONNECTION_BODY);
}

void connection_end_body(struct connection *connection)
{
    connection->paused_at = clock_ms();
    if (connection->state == CONNECTION_BODY)
        connection_move(connection, CONNECTION_ANSWERING);
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
