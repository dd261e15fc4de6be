#include "http/pending.h"

#include "base/clock.h"
#include "http/reply.h"

#include <h2o.h>
#include <stdalign.h>
#include <stdlib.h>

struct pending {
    struct request *request; /* NULL: answered, late, or gone */
    int holders;
    struct pending_queue *queue; /* waits in it as long as request is set */
    struct pending *previous, *next;
    int64_t deadline;
    request_handler *late;
    alignas(max_align_t) char payload[];
};

/*
 * While a request waits, h2o does not read its connection, and takes it out of epoll, only to put it back in for the next request: two
 * system calls for each heartbeat. So the connection goes on being watched meanwhile, with nothing done about what comes.
 */
static void on_early_data(h2o_socket_t *socket, const char *err)
{
    (void)err;
    h2o_socket_read_stop(socket); /* a pipelined request, or the client has left: h2o will see to it when it reads again */
}

static void watch(const struct request *request)
{
    h2o_conn_t *conn = request->h2o->conn;
    h2o_socket_t *socket = conn->callbacks->get_socket(conn);
    if (socket == NULL || h2o_socket_is_reading(socket))
        return;
    h2o_socket_dont_read(socket, 1);
    h2o_socket_read_start(socket, on_early_data);
}

static void unwatch(const struct request *request)
{
    h2o_conn_t *conn = request->h2o->conn;
    h2o_socket_t *socket = conn->callbacks->get_socket(conn);
    if (socket == NULL)
        return;
    if (socket->_cb.read == on_early_data)
        h2o_socket_read_stop(socket);
    h2o_socket_dont_read(socket, 0);
}

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

struct pending *pending_new(struct request *request, struct pending_queue *queue, request_handler *late, size_t payload_size)
{
    struct pending *pending = calloc(1, sizeof(*pending) + payload_size);
    if (pending == NULL)
        abort();
    pending->request = request;
    pending->holders = 2;
    pending->queue = queue;
    pending->deadline = clock_ms() + queue->patience_ms;
    pending->late = late;
    pending->previous = queue->last;
    if (queue->last != NULL)
        queue->last->next = pending;
    else
        queue->first = pending;
    queue->last = pending;
    queue->count++;
    struct pending **cell = h2o_mem_alloc_shared(&request->h2o->pool, sizeof(*cell), on_dispose);
    *cell = pending;
    watch(request);
    return pending;
}

void pending_defer(struct request *request, struct pending_queue *queue, request_handler *handler)
{
    hold_end(pending_new(request, queue, handler, 0));
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
    struct pending_queue *queue = pending->queue;
    if (pending->previous != NULL)
        pending->previous->next = pending->next;
    else
        queue->first = pending->next;
    if (pending->next != NULL)
        pending->next->previous = pending->previous;
    else
        queue->last = pending->previous;
    queue->count--;
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

int32_t pending_tick(struct pending_queue *queue)
{
    int64_t now = queue->first != NULL ? clock_ms() : 0;
    while (queue->first != NULL && queue->first->deadline <= now) {
        struct pending *pending = queue->first;
        request_handler *late = pending->late;
        struct request *request = pending_take(pending);
        if (late != NULL)
            late(request);
        else
            reply_error(request, ERR_DEADLINE, NULL, NULL);
    }
    if (queue->first == NULL || queue->first->deadline - now > 1000)
        return 1000;
    return (int32_t)(queue->first->deadline - now);
}
