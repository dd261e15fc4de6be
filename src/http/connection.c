#include "base/clock.h"
#include "base/log_repeat.h"
#include "base/metrics.h"
#include "http/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 16
#define REQUESTS_PER_TURN 32   /* of one connection */
#define PAUSE_MS 50            /* without descriptors, accept would fail in a busy loop */
#define WRITE_TIMEOUT_MS 15000 /* of a client that stopped reading */
#define BODIES_MAX (32 << 20)  /* bytes of requests that a thread may hold before they are complete */
#define BODIES_CHECK_MS 50
#define FLOOD 256 /* connections at a time that leave something worth giving back */
#define LINGER_MS 2000
#define LINGER_MAX 64 /* refused clients read at a time */
#define LINGER_BYTES_MAX (32 * 1024 * 1024)

/* What is known of a connection besides h2o's own. */
struct connection {
    struct server_thread *thread;
    struct listener *listener;
    struct connection *previous, *next;
    h2o_socket_t *socket;
    uint32_t turn; /* of its latest request, */
    int requests;  /* and how many it had in that one */
    bool cut_off;
    struct lingering *lingering; /* the rest of a refused client, which outlives the connection */
};

struct lingering {
    struct server_thread *thread;
    struct connection *connection; /* NULL once h2o has closed its side; either may end first */
    h2o_socket_t *socket;
    h2o_timeout_entry_t timeout;
    size_t bytes;
};

static void on_listener_readable(h2o_socket_t *listening, const char *err);

static void listener_resume(struct listener *listener)
{
    if (listener->socket != NULL && listener->connections < listener->connections_max &&
        !h2o_timeout_is_linked(&listener->pause_entry) && !h2o_socket_is_reading(listener->socket))
        h2o_socket_read_start(listener->socket, on_listener_readable);
}

static void on_pause_over(h2o_timeout_entry_t *entry)
{
    listener_resume(H2O_STRUCT_FROM_MEMBER(struct listener, pause_entry, entry));
}

static void count_connections(struct server_thread *thread, struct listener *listener, int by)
{
    listener->connections += by;
    thread->connections += by;
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

/* Takes a connection out of those that are looked at for what they have sent. */
static void unlist(struct connection *connection)
{
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else if (connection->thread->first_connection == connection)
        connection->thread->first_connection = connection->next;
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    connection->previous = connection->next = NULL;
}

static void on_connection_close(void *data)
{
    struct connection *connection = data;
    struct server_thread *thread = connection->thread;
    if (connection->lingering != NULL) {
        connection->lingering->connection = NULL;
        shutdown(h2o_socket_get_fd(connection->lingering->socket), SHUT_WR);
    }
    unlist(connection);
    struct listener *listener = connection->listener;
    free(connection);
    count_connections(thread, listener, -1);
    give_back_memory(thread);
    listener_resume(listener);
}

static void take(struct listener *listener, h2o_socket_t *socket)
{
    struct server_thread *thread = listener->thread;
    struct connection *connection = h2o_mem_alloc(sizeof(*connection));
    *connection = (struct connection){thread, listener, .next = thread->first_connection, .socket = socket};
    if (connection->next != NULL)
        connection->next->previous = connection;
    thread->first_connection = connection;
    socket->on_close.cb = on_connection_close;
    socket->on_close.data = connection;
    count_connections(thread, listener, 1);
    if (thread->connections > thread->connections_peak)
        thread->connections_peak = thread->connections;
    unsigned timeout = WRITE_TIMEOUT_MS;
    setsockopt(h2o_socket_get_fd(socket), IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
    h2o_accept(&listener->accept, socket);
}

static void on_listener_readable(h2o_socket_t *listening, const char *err)
{
    struct listener *listener = listening->data;
    struct server_thread *thread = listener->thread;
    if (err != NULL)
        return;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        if (listener->connections >= listener->connections_max) {
            if (listener == &thread->listener)
                log_repeatable(LOG_WARN, "connections_full", "no more connections are taken until others end", 1,
                               log_number("max_connections", thread->server->config.max_connections));
            h2o_socket_read_stop(listening);
            return;
        }
        h2o_socket_t *socket = h2o_evloop_socket_accept(listening);
        if (socket != NULL) {
            take(listener, socket);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_repeatable(LOG_WARN, "accept_failed", "a connection can't be taken, trying on", 1,
                           log_text("why", strerror(errno)));
            h2o_socket_read_stop(listening);
            h2o_timeout_link(thread->context.loop, &thread->pause, &listener->pause_entry);
        }
        return;
    }
}

static void listener_start(struct listener *listener)
{
    if (listener->fd == -1)
        return;
    listener->pause_entry.cb = on_pause_over;
    listener->socket = h2o_evloop_socket_create(listener->thread->context.loop, listener->fd, H2O_SOCKET_FLAG_DONT_READ);
    listener->fd = -1;
    listener->socket->data = listener;
    listener_resume(listener);
}

void connections_start(struct server_thread *thread)
{
    h2o_timeout_init(thread->context.loop, &thread->pause, PAUSE_MS);
    h2o_timeout_init(thread->context.loop, &thread->linger, LINGER_MS);
    listener_start(&thread->listener);
    listener_start(&thread->metrics_listener);
}

static void listener_stop(struct listener *listener)
{
    if (listener->socket == NULL)
        return;
    /* those that the kernel has accepted already would be reset */
    h2o_socket_t *socket;
    while (listener->connections < listener->connections_max && (socket = h2o_evloop_socket_accept(listener->socket)) != NULL)
        take(listener, socket);
    h2o_timeout_unlink(&listener->pause_entry);
    h2o_socket_close(listener->socket);
    listener->socket = NULL;
}

void connections_stop(struct server_thread *thread)
{
    listener_stop(&thread->listener);
    listener_stop(&thread->metrics_listener);
}

static void lingering_end(struct lingering *lingering)
{
    if (lingering->connection != NULL)
        lingering->connection->lingering = NULL;
    h2o_timeout_unlink(&lingering->timeout);
    h2o_socket_close(lingering->socket);
    lingering->thread->lingering--;
    free(lingering);
}

static void on_lingering_over(h2o_timeout_entry_t *entry)
{
    lingering_end(H2O_STRUCT_FROM_MEMBER(struct lingering, timeout, entry));
}

static void on_lingering_readable(h2o_socket_t *socket, const char *err)
{
    struct lingering *lingering = socket->data;
    char rest[16384];
    ssize_t got = read(h2o_socket_get_fd(socket), rest, sizeof(rest));
    if (got == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    lingering->bytes += got > 0 ? (size_t)got : 0;
    if (err != NULL || got <= 0 || lingering->bytes > LINGER_BYTES_MAX)
        lingering_end(lingering);
}

/*
 * libh2o gathers a body whole before anybody is asked about it, and may do so for all connections at once: when it is too much
 * together, those that have sent the most are cut off.
 */
void connections_tick(struct server_thread *thread)
{
    int64_t now = clock_ms();
    if (now - thread->bodies_checked_at < BODIES_CHECK_MS)
        return;
    thread->bodies_checked_at = now;
    size_t total = 0;
    for (const struct connection *each = thread->first_connection; each != NULL; each = each->next)
        total += each->cut_off ? 0 : each->socket->input->size;
    while (total > BODIES_MAX) {
        struct connection *largest = NULL;
        for (struct connection *each = thread->first_connection; each != NULL; each = each->next)
            if (!each->cut_off && each->socket->input->size > (largest != NULL ? largest->socket->input->size : SERVER_BODY_MAX))
                largest = each;
        if (largest == NULL)
            return; /* no more than MAX_CONNECTIONS bodies of the usual size */
        largest->cut_off = true;
        total -= largest->socket->input->size;
        shutdown(h2o_socket_get_fd(largest->socket), SHUT_RDWR); /* libh2o then finds it closed */
    }
}

bool connection_may_go_on(h2o_req_t *req)
{
    h2o_socket_t *socket = req->conn->callbacks->get_socket(req->conn);
    if (socket == NULL)
        return true;
    struct connection *connection = socket->on_close.data;
    if (connection->turn != connection->thread->turn) {
        connection->turn = connection->thread->turn;
        connection->requests = 0;
    }
    return ++connection->requests <= REQUESTS_PER_TURN;
}

void connection_sends_no_more(h2o_req_t *req)
{
    h2o_socket_t *socket = req->conn->callbacks->get_socket(req->conn);
    req->http1_is_persistent = 0;
    if (socket != NULL)
        unlist(socket->on_close.data);
}

void connection_linger(h2o_req_t *req)
{
    h2o_socket_t *socket = req->conn->callbacks->get_socket(req->conn);
    struct connection *connection = socket->on_close.data;
    struct server_thread *thread = connection->thread;
    if (connection->lingering != NULL || thread->lingering >= LINGER_MAX || thread->listener.socket == NULL)
        return;
    int fd = fcntl(h2o_socket_get_fd(socket), F_DUPFD_CLOEXEC, 0);
    if (fd == -1)
        return;
    struct lingering *lingering = h2o_mem_alloc(sizeof(*lingering));
    *lingering = (struct lingering){.thread = thread, .connection = connection};
    lingering->socket = h2o_evloop_socket_create(thread->context.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    lingering->socket->data = lingering;
    lingering->timeout.cb = on_lingering_over;
    h2o_timeout_link(thread->context.loop, &thread->linger, &lingering->timeout);
    h2o_socket_read_start(lingering->socket, on_lingering_readable);
    thread->lingering++;
    connection->lingering = lingering;
}
