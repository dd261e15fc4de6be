#include "http/pending.h"

#include "base/clock.h"
#include "http/connection.h"
#include "http/reply.h"
#include "http/thread.h"

#include <errno.h>
#include <poll.h>
#include <stdalign.h>
#include <stdlib.h>
#include <sys/socket.h>

#define HIDDEN_CHECK_MS 250
#define LEFT_MS 750 /* for the answer to a client that has no more to say: it may have left, or may be reading still */

struct pending {
    struct request *request; /* NULL: answered, late, or gone */
    int holders;
    bool parked;
    struct pending_set *set;                       /* waits in it as long as request is set */
    struct heap_entry deadline;                    /* in set->deadlines */
    struct pending *hidden_previous, *hidden_next; /* in set->first_hidden */
    bool hidden;
    request_handler *late;
    alignas(max_align_t) char payload[];
};

static struct pending *of_deadline(struct heap_entry *entry)
{
    return H2O_STRUCT_FROM_MEMBER(struct pending, deadline, entry);
}

static void set_deadline(struct pending *pending, int64_t at)
{
    heap_remove(&pending->set->deadlines, &pending->deadline);
    pending->deadline.at = at;
    heap_insert(&pending->set->deadlines, &pending->deadline);
}

/* The request's time is over. */
static void end_late(struct pending *pending, enum err err)
{
    request_handler *late = pending->late;
    struct request *request = pending_take(pending);
    if (late != NULL)
        late(request);
    else
        reply_error(request, err, NULL, NULL);
}

/* --- a client that leaves ---------------------------------------------------------------------------------------------------- */

static void hide(struct pending *pending)
{
    if (pending->hidden)
        return;
    pending->hidden = true;
    pending->hidden_previous = NULL;
    pending->hidden_next = pending->set->first_hidden;
    if (pending->hidden_next != NULL)
        pending->hidden_next->hidden_previous = pending;
    pending->set->first_hidden = pending;
}

static void unhide(struct pending *pending)
{
    if (!pending->hidden)
        return;
    pending->hidden = false;
    if (pending->hidden_previous != NULL)
        pending->hidden_previous->hidden_next = pending->hidden_next;
    else
        pending->set->first_hidden = pending->hidden_next;
    if (pending->hidden_next != NULL)
        pending->hidden_next->hidden_previous = pending->hidden_previous;
}

/*
 * The client has closed its side. Whether it has left or only has no more to say can't be told apart before it is sent something. So it gets
 * its answer if that comes soon, and an answer in any case.
 */
static void client_closed(struct pending *pending)
{
    unhide(pending);
    if (pending->parked)
        end_late(pending, ERR_STOPPING);
    else if (pending->deadline.at > clock_ms() + LEFT_MS)
        set_deadline(pending, clock_ms() + LEFT_MS);
}

/* Something has come from the client while its request waits: its end, or what it has pipelined, which h2o reads after the answer. */
static void look(struct pending *pending, int fd)
{
    char byte;
    struct pollfd poller = {.fd = fd, .events = POLLRDHUP};
    ssize_t got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got == -1 && errno != EAGAIN && errno != EINTR)
        end_late(pending, ERR_DEADLINE); /* a reset: whoever sends finds the connection closed */
    else if (got == 0 || (poll(&poller, 1, 0) == 1 && (poller.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0))
        client_closed(pending);
    else
        hide(pending);
}

static h2o_socket_t *socket_of(const struct request *request)
{
    h2o_conn_t *conn = request->h2o->conn;
    return conn->callbacks->get_socket(conn);
}

/*
 * While a request waits, h2o does not read its connection, and takes it out of epoll, only to put it back in for the next request: two
 * system calls for each heartbeat. So the connection goes on being watched meanwhile, for the client's leaving.
 */
static void on_early_data(h2o_socket_t *socket, const char *err)
{
    struct connection *connection = socket->on_close.data;
    (void)err;
    h2o_socket_read_stop(socket);
    if (connection->waiting != NULL)
        look(connection->waiting, h2o_socket_get_fd(socket));
}

static void watch(struct pending *pending)
{
    h2o_socket_t *socket = socket_of(pending->request);
    if (socket == NULL || h2o_socket_is_reading(socket))
        return;
    ((struct connection *)socket->on_close.data)->waiting = pending;
    h2o_socket_dont_read(socket, 1);
    h2o_socket_read_start(socket, on_early_data);
}

static void unwatch(const struct request *request)
{
    h2o_socket_t *socket = socket_of(request);
    if (socket == NULL)
        return;
    ((struct connection *)socket->on_close.data)->waiting = NULL;
    if (socket->_cb.read == on_early_data)
        h2o_socket_read_stop(socket);
    h2o_socket_dont_read(socket, 0);
}

/* --- its life ---------------------------------------------------------------------------------------------------------------- */

static void hold_end(struct pending *pending)
{
    if (--pending->holders == 0)
        free(pending);
}

static void on_dispose(void *cell)
{
    struct pending *pending = *(struct pending **)cell;
    (void)pending_take(pending);
    hold_end(pending);
}

static struct pending *wait_in(struct request *request, struct pending_set *set, int32_t patience_ms, request_handler *late,
                               size_t payload_size)
{
    struct pending *pending = calloc(1, sizeof(*pending) + payload_size);
    if (pending == NULL)
        abort();
    pending->request = request;
    pending->holders = 2;
    pending->set = set;
    pending->late = late;
    set_deadline(pending, clock_ms() + patience_ms);
    struct pending **cell = h2o_mem_alloc_shared(&request->h2o->pool, sizeof(*cell), on_dispose);
    *cell = pending;
    watch(pending);
    return pending;
}

struct pending *pending_new(struct request *request, request_handler *late, size_t payload_size)
{
    const struct server_config *config = &request->thread->server->config;
    bool quick = request->route != NULL && request->route->patience == QUICK;
    int32_t patience_ms = quick ? config->quick_timeout_ms : config->request_timeout_ms;
    return wait_in(request, &request->thread->waiting, patience_ms, late, payload_size);
}

void pending_defer(struct request *request, request_handler *handler)
{
    hold_end(wait_in(request, &request->thread->next_turn, 0, handler, 0));
}

void pending_park(struct pending *pending, int32_t patience_ms)
{
    pending->parked = true;
    if (pending->request == NULL)
        return;
    set_deadline(pending, clock_ms() + (server_thread_stopping(pending->request->thread) ? 0 : patience_ms));
}

void *pending_payload(struct pending *pending)
{
    return pending->payload;
}

struct request *pending_take(struct pending *pending)
{
    struct request *request = pending->request;
    if (request == NULL)
        return NULL;
    heap_remove(&pending->set->deadlines, &pending->deadline);
    unhide(pending);
    pending->request = NULL;
    unwatch(request);
    return request;
}

bool pending_is_waited_for(const struct pending *pending)
{
    return pending->request != NULL;
}

void pending_release(struct pending *pending, enum err err)
{
    struct request *request = pending_take(pending);
    if (request != NULL)
        reply_error(request, err, NULL, NULL);
    hold_end(pending);
}

static void check_hidden(struct pending_set *set, int64_t now)
{
    struct pending *next;
    set->hidden_checked_at = now;
    for (struct pending *pending = set->first_hidden; pending != NULL; pending = next) {
        next = pending->hidden_next;
        look(pending, h2o_socket_get_fd(socket_of(pending->request)));
    }
}

int32_t pending_tick(struct pending_set *set)
{
    int64_t now = set->deadlines.count > 0 ? clock_ms() : 0;
    /* no more than there are now: those that begin to wait meanwhile are of the next turn */
    for (size_t left = set->deadlines.count; left > 0 && heap_wait(&set->deadlines, now, 1) == 0; left--) {
        struct pending *pending = of_deadline(heap_first(&set->deadlines));
        end_late(pending, pending->parked && server_thread_stopping(pending->request->thread) ? ERR_STOPPING : ERR_DEADLINE);
    }
    if (set->first_hidden != NULL && now - set->hidden_checked_at >= HIDDEN_CHECK_MS)
        check_hidden(set, now);
    return heap_wait(&set->deadlines, now, set->first_hidden != NULL ? HIDDEN_CHECK_MS : 1000);
}

void pending_hurry(struct pending_set *set, int32_t most_ms)
{
    int64_t now = clock_ms();
    struct heap waiting = set->deadlines;
    set->deadlines = (struct heap){NULL, 0, 0};
    for (size_t i = 0; i < waiting.count; i++) {
        struct pending *pending = of_deadline(waiting.entries[i]);
        int64_t most = now + (pending->parked ? 0 : most_ms);
        pending->deadline.place = 0;
        set_deadline(pending, pending->deadline.at < most ? pending->deadline.at : most);
    }
    waiting.count = 0;
    heap_fini(&waiting);
}
