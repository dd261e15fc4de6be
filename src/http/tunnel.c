#include "http/tunnel.h"

#include "base/clock.h"
#include "http/connection.h"
#include "http/reply.h"
#include "http/stream.h"
#include "http/thread.h"

#include <assert.h>
#include <errno.h>
#include <h2o/http1.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#define CHECK_MS 250
#define FINISHED_MS 10000 /* without a byte, after which a FINISHED tunnel ends even if the client has not closed its end */
#define ENDED_MS 60000    /* the same for a tunnel whose client has closed its end: most such clients have left */

enum state { BEGINNING, READY, SENDING, FINISHED };

struct tunnel {
    struct server_thread *thread;
    const struct tunnel_end *end;
    void *data;
    h2o_socket_t *socket; /* NULL while BEGINNING */
    enum state state;
    bool finishing;       /* our end is closed, or will be after the present write */
    bool ended;           /* the client's end is closed */
    bool paused;          /* nothing is read from the client */
    bool aborted;         /* BEGINNING: it ends as soon as libh2o has given up the connection */
    bool *gone;           /* set to true when the tunnel is gone, for a function that calls the other end now; NULL: none does */
    int64_t active_at;    /* clock_ms of the latest byte in either direction */
    h2o_linklist_t place; /* in thread->tunnels */
    h2o_timeout_entry_t early; /* hands on the bytes that came with the head */
};

/* Room for one read. Nothing is kept in it. */
static _Thread_local char piece_room[TUNNEL_PIECE_MAX];

static void on_readable(h2o_socket_t *socket, const char *err);

bool tunnel_is_asked_for(const struct request *request)
{
    const h2o_req_t *req = request->h2o;
    return req->version >= 0x101 && req->upgrade.len > 0 && request->intake == NULL && request->body.len == 0 &&
           req->conn->callbacks->get_socket(req->conn) != NULL;
}

static void tunnel_close(struct tunnel *tunnel)
{
    const struct tunnel_end *end = tunnel->end;
    void *data = tunnel->data;
    if (tunnel->gone != NULL)
        *tunnel->gone = true;
    if (h2o_timeout_is_linked(&tunnel->early))
        h2o_timeout_unlink(&tunnel->early);
    h2o_linklist_unlink(&tunnel->place);
    if (tunnel->socket != NULL)
        h2o_socket_close(tunnel->socket);
    free(tunnel);
    end->gone(data);
}

void tunnel_abort(struct tunnel *tunnel)
{
    static const struct linger none = {1, 0};
    assert(tunnel->thread->inside);
    if (tunnel->state == BEGINNING) {
        tunnel->aborted = true;
        return;
    }
    setsockopt(h2o_socket_get_fd(tunnel->socket), SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    tunnel_close(tunnel);
}

/* --- to the client ----------------------------------------------------------------------------------------------------------- */

/* Goes on after a write: closes our end if that was asked for, else asks for more. The tunnel may be gone afterwards. */
static void go_on(struct tunnel *tunnel)
{
    if (!tunnel->finishing) {
        tunnel->state = READY;
        tunnel->end->drained(tunnel, tunnel->data);
        return;
    }
    tunnel->state = FINISHED;
    tunnel->active_at = clock_ms();
    shutdown(h2o_socket_get_fd(tunnel->socket), SHUT_WR);
    if (tunnel->ended)
        tunnel_close(tunnel);
}

static void on_written(h2o_socket_t *socket, const char *err)
{
    struct tunnel *tunnel = socket->data;
    server_thread_wants_ticks(tunnel->thread);
    tunnel->active_at = clock_ms();
    if (err != NULL)
        tunnel_close(tunnel);
    else
        go_on(tunnel);
}

bool tunnel_is_ready(const struct tunnel *tunnel)
{
    return tunnel->state == READY && !tunnel->finishing;
}

void tunnel_write(struct tunnel *tunnel, const struct str pieces[], size_t count)
{
    h2o_iovec_t out[TUNNEL_PIECES_MAX];
    assert(tunnel->thread->inside && tunnel_is_ready(tunnel) && count > 0 && count <= TUNNEL_PIECES_MAX);
    for (size_t i = 0; i < count; i++)
        out[i] = h2o_iovec_init(pieces[i].ptr, pieces[i].len);
    tunnel->state = SENDING;
    h2o_socket_write(tunnel->socket, out, count, on_written);
}

void tunnel_finish(struct tunnel *tunnel)
{
    assert(tunnel->thread->inside);
    if (tunnel->finishing)
        return;
    tunnel->finishing = true;
    if (tunnel->state == READY)
        go_on(tunnel);
}

/* --- from the client --------------------------------------------------------------------------------------------------------- */

/* Hands on `size` bytes of piece_room. The tunnel may be gone afterwards. */
static void hand_on(struct tunnel *tunnel, size_t size)
{
    server_thread_wants_ticks(tunnel->thread);
    tunnel->active_at = clock_ms();
    tunnel->end->piece(tunnel, (struct str){piece_room, size}, tunnel->data);
}

/* Hands on what the client sent before it got the 101: libh2o has read it into its buffer. */
static void on_early(h2o_timeout_entry_t *entry)
{
    struct tunnel *tunnel = H2O_STRUCT_FROM_MEMBER(struct tunnel, early, entry);
    h2o_buffer_t **input = &tunnel->socket->input;
    size_t size = (*input)->size < sizeof(piece_room) ? (*input)->size : sizeof(piece_room);
    memcpy(piece_room, (*input)->bytes, size);
    h2o_buffer_consume(input, size);
    bool gone = false;
    tunnel->gone = &gone;
    hand_on(tunnel, size);
    if (gone)
        return;
    tunnel->gone = NULL;
    if (!tunnel->paused)
        tunnel_resume(tunnel);
}

static void on_readable(h2o_socket_t *socket, const char *err)
{
    struct tunnel *tunnel = socket->data;
    (void)err;
    ssize_t got = recv(h2o_socket_get_fd(socket), piece_room, sizeof(piece_room), 0);
    if (got == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0) {
        hand_on(tunnel, (size_t)got);
        return;
    }
    server_thread_wants_ticks(tunnel->thread);
    h2o_socket_read_stop(socket);
    tunnel->ended = true;
    if (got == -1 || tunnel->state == FINISHED)
        tunnel_close(tunnel);
    else
        tunnel->end->ended(tunnel, tunnel->data);
}

void tunnel_pause(struct tunnel *tunnel)
{
    tunnel->paused = true;
    if (tunnel->socket == NULL)
        return;
    h2o_socket_read_stop(tunnel->socket);
    if (h2o_timeout_is_linked(&tunnel->early))
        h2o_timeout_unlink(&tunnel->early);
}

void tunnel_resume(struct tunnel *tunnel)
{
    struct server_thread *thread = tunnel->thread;
    tunnel->paused = false;
    if (tunnel->socket == NULL || tunnel->ended)
        return;
    if (tunnel->socket->input->size == 0) {
        h2o_socket_read_start(tunnel->socket, on_readable);
    } else if (!h2o_timeout_is_linked(&tunnel->early)) {
        h2o_timeout_link(thread->context.loop, &thread->soon, &tunnel->early);
        tunnel->early.registered_at = 0; /* long ago: it is due even if the machine's clock is set back */
    }
}

/* --- its beginning and its time ---------------------------------------------------------------------------------------------- */

/* Begins to pass bytes: libh2o has sent the 101 and given up the connection. `socket` NULL: the client has left before. */
static void on_begun(void *data, h2o_socket_t *socket, size_t request_size)
{
    struct tunnel *tunnel = data;
    server_thread_wants_ticks(tunnel->thread);
    tunnel->socket = socket;
    tunnel->state = READY;
    if (socket == NULL) {
        tunnel_close(tunnel);
        return;
    }
    const int bytes = STREAM_SOCKET_BUFFER;
    setsockopt(h2o_socket_get_fd(socket), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    setsockopt(h2o_socket_get_fd(socket), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    socket->data = tunnel;
    h2o_buffer_consume(&socket->input, request_size);
    tunnel->active_at = clock_ms();
    if (tunnel->aborted) {
        tunnel_abort(tunnel);
        return;
    }
    if (!tunnel->paused)
        tunnel_resume(tunnel);
    go_on(tunnel);
}

struct tunnel *tunnel_begin(struct request *request, const struct tunnel_end *end, void *data)
{
    h2o_req_t *req = request->h2o;
    struct tunnel *tunnel = h2o_mem_alloc(sizeof(*tunnel));
    assert(request->thread->inside);
    *tunnel = (struct tunnel){.thread = request->thread, .end = end, .data = data, .active_at = clock_ms()};
    tunnel->early.cb = on_early;
    h2o_linklist_insert(&request->thread->tunnels, &tunnel->place);
    reply_begin_upgrade(request);
    h2o_http1_upgrade(req, NULL, 0, on_begun, tunnel);
    return tunnel;
}

/*
 * Whether the client has left, for a tunnel that does not read from it. Once our end is closed, POLLHUP only says that the client's
 * is closed, too: its last bytes may still have to be read.
 */
static bool has_left(const struct tunnel *tunnel)
{
    struct pollfd poller = {.fd = h2o_socket_get_fd(tunnel->socket)};
    int signs = tunnel->state == FINISHED ? POLLERR : POLLERR | POLLHUP;
    return poll(&poller, 1, 0) == 1 && (poller.revents & signs) != 0;
}

/* For how long nothing may pass. */
static int32_t most_idle_ms(const struct tunnel *tunnel)
{
    int32_t most_ms = tunnel->state == FINISHED ? FINISHED_MS : tunnel->ended ? ENDED_MS : tunnel->end->idle_ms;
    return most_ms < tunnel->end->idle_ms ? most_ms : tunnel->end->idle_ms;
}

int32_t tunnel_tick(void *data)
{
    struct server_thread *thread = data;
    h2o_linklist_t *list = &thread->tunnels, *next;
    if (h2o_linklist_is_empty(list))
        return WAIT_MAX_MS;
    int64_t now = clock_ms();
    if (now - thread->tunnels_checked_at < CHECK_MS)
        return CHECK_MS;
    thread->tunnels_checked_at = now;
    for (h2o_linklist_t *at = list->next; at != list; at = next) {
        struct tunnel *tunnel = H2O_STRUCT_FROM_MEMBER(struct tunnel, place, at);
        next = at->next; /* closing this tunnel does not free the next one */
        bool is_over = now - tunnel->active_at > most_idle_ms(tunnel) || server_thread_stopping(thread);
        if (tunnel->state != BEGINNING && (is_over || ((tunnel->paused || tunnel->ended) && has_left(tunnel))))
            tunnel_close(tunnel);
    }
    return CHECK_MS;
}
