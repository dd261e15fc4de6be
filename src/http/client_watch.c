#include "http/client_watch.h"

#include "base/clock.h"
#include "http/connection.h"
#include "http/thread.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define HIDDEN_CHECK_MS 50

static void hide(struct client_watch *watch)
{
    struct server_thread *thread = watch->thread;
    if (watch->hidden)
        return;
    watch->hidden = true;
    watch->previous = NULL;
    watch->next = thread->first_hidden;
    if (watch->next != NULL)
        watch->next->previous = watch;
    thread->first_hidden = watch;
}

static void unhide(struct client_watch *watch)
{
    if (!watch->hidden)
        return;
    watch->hidden = false;
    if (watch->previous != NULL)
        watch->previous->next = watch->next;
    else
        watch->thread->first_hidden = watch->next;
    if (watch->next != NULL)
        watch->next->previous = watch->previous;
}

static void report_left(struct client_watch *watch, bool reset)
{
    client_watch_callback *left = watch->left;
    client_watch_end(watch);
    left(watch, reset);
}

/* Finds out what came from the client: its end, or data that libh2o will read later. */
static void check_client(struct client_watch *watch)
{
    char byte;
    struct pollfd poller = {.fd = h2o_socket_get_fd(watch->socket), .events = POLLRDHUP};
    ssize_t got = recv(poller.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got == -1 && errno != EAGAIN && errno != EINTR)
        report_left(watch, true);
    else if (got == 0 || (poll(&poller, 1, 0) == 1 && (poller.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0))
        report_left(watch, (poller.revents & POLLERR) != 0);
    else
        hide(watch);
}

static void on_readable(h2o_socket_t *socket, const char *err)
{
    struct connection *connection = socket->on_close.data;
    (void)err;
    h2o_socket_read_stop(socket);
    if (connection->watch != NULL)
        check_client(connection->watch);
}

/*
 * While a request is handled, libh2o stops reading its connection: it takes it out of epoll and puts it back for the next request,
 * which costs two system calls for each heartbeat. The watch keeps it in epoll, so both calls are saved.
 */
void client_watch_begin(struct client_watch *watch, struct server_thread *thread, h2o_req_t *req, client_watch_callback *left)
{
    struct connection *connection = connection_of(req);
    if (connection == NULL)
        return;
    watch->left = left;
    watch->thread = thread;
    watch->socket = connection->socket;
    connection->watch = watch;
    client_watch_go_on(connection);
}

void client_watch_go_on(struct connection *connection)
{
    if (connection->watch != NULL && connection->state != CONNECTION_BODY)
        h2o_socket_read_start(connection->socket, on_readable);
}

void client_watch_rest(struct connection *connection)
{
    if (connection->watch != NULL)
        unhide(connection->watch);
    if (connection->socket->_cb.read == on_readable)
        h2o_socket_read_stop(connection->socket);
}

void client_watch_end(struct client_watch *watch)
{
    h2o_socket_t *socket = watch->socket;
    if (socket == NULL)
        return;
    unhide(watch);
    watch->socket = NULL;
    ((struct connection *)socket->on_close.data)->watch = NULL;
    if (socket->_cb.read == on_readable)
        h2o_socket_read_stop(socket);
}

int32_t client_watch_tick(void *data)
{
    struct server_thread *thread = data;
    if (thread->first_hidden == NULL)
        return 1000;
    int64_t now = clock_ms();
    if (now - thread->hidden_checked_at < HIDDEN_CHECK_MS)
        return HIDDEN_CHECK_MS;
    thread->hidden_checked_at = now;
    struct client_watch *next;
    for (struct client_watch *watch = thread->first_hidden; watch != NULL; watch = next) {
        next = watch->next; /* a client that has left does not end the watch of the next one */
        check_client(watch);
    }
    return HIDDEN_CHECK_MS;
}
