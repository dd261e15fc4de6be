#include "http/intake.h"

#include "base/chunks.h"
#include "http/client_watch.h"
#include "http/connection.h"
#include "http/reply.h"
#include "http/thread.h"

#include <assert.h>
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define SOCKET_BUFFER (256 * 1024) /* bytes of a body that the kernel keeps until we read them */

enum state { WAITING, READING, PAUSED, ENDED };

/* Lives in the request's pool. */
struct intake {
    h2o_req_t *req;
    struct connection *connection;
    const struct intake_taker *taker;
    void *data;
    enum state state;
    bool whole;               /* ENDED: all has come */
    size_t length;            /* what the client has announced */
    size_t received;          /* bytes that have come, */
    size_t most;              /* and how many may come */
    const char *too_many;     /* the sentence if more come */
    struct chunks chunks;     /* if the length is unknown */
    h2o_timeout_entry_t soon; /* hands on the bytes that came with the head */
    bool *gone;               /* set to true when the intake is gone, for a function that calls the taker now; NULL: none does */
};

/* Room for one read. Nothing is kept in it. */
static _Thread_local char piece_room[INTAKE_PIECE_MAX];

size_t intake_length(const struct intake *intake)
{
    return intake->length;
}

size_t intake_received(const struct intake *intake)
{
    return intake->received;
}

void intake_limit(struct intake *intake, size_t most, const char *why)
{
    intake->most = most;
    intake->too_many = why;
}

/* --- what came with the head ------------------------------------------------------------------------------------------------- */

/* Counts the bytes after the head in libh2o's buffer. libh2o does not touch them before the answer has been sent. */
static size_t count_with_head(const struct connection *connection)
{
    return connection->socket->input->size - connection->head.size;
}

/* Removes the first of these bytes. The bytes after them, which may be the client's next request, move up. */
static void remove_with_head(struct connection *connection, size_t size)
{
    h2o_buffer_t *input = connection->socket->input;
    char *from = input->bytes + connection->head.size;
    memmove(from, from + size, count_with_head(connection) - size);
    input->size -= size;
}

/* --- its states -------------------------------------------------------------------------------------------------------------- */

static void on_readable(h2o_socket_t *socket, const char *err);

static void read_stop(struct intake *intake)
{
    struct connection *connection = intake->connection;
    if (h2o_timeout_is_linked(&intake->soon))
        h2o_timeout_unlink(&intake->soon);
    if (connection->socket->_cb.read == on_readable)
        h2o_socket_read_stop(connection->socket);
    connection_end_body(connection);
}

/* Arranges for the next bytes to be handed on: those that came with the head, then those that the kernel has. */
static void read_next(struct intake *intake)
{
    struct connection *connection = intake->connection;
    struct server_thread *thread = connection->thread;
    if (count_with_head(connection) == 0) {
        h2o_socket_read_start(connection->socket, on_readable);
        return;
    }
    h2o_timeout_link(thread->context.loop, &thread->soon, &intake->soon);
    intake->soon.registered_at = 0; /* long ago: it is due even if the machine's clock is set back */
}

static void read_start(struct intake *intake)
{
    client_watch_rest(intake->connection);
    connection_begin_body(intake->connection);
    read_next(intake);
}

/* Moves to PAUSED or ENDED. The intake no longer reads the connection, so the client watch must notice when the client leaves. */
static void stop(struct intake *intake, enum state state)
{
    if (intake->state == READING)
        read_stop(intake);
    intake->state = state;
    client_watch_go_on(intake->connection);
}

void intake_pause(struct intake *intake)
{
    if (intake->state == READING)
        stop(intake, PAUSED);
}

void intake_resume(struct intake *intake)
{
    if (intake->state != PAUSED)
        return;
    intake->state = READING;
    read_start(intake);
}

/* Sends 100 Continue without libh2o. Nothing has been sent yet, so it fits the empty send buffer. */
static void ask_for_body(struct intake *intake)
{
    struct str text = STR("HTTP/1.1 100 Continue\r\n\r\n");
    struct connection *connection = intake->connection;
    if (connection->head.expects && count_with_head(connection) == 0 && intake->req->_generator == NULL)
        (void)!send(h2o_socket_get_fd(connection->socket), text.ptr, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void intake_take(struct intake *intake, const struct intake_taker *taker, void *data)
{
    assert(intake->state == WAITING);
    intake->taker = taker;
    intake->data = data;
    ask_for_body(intake);
    intake->state = READING;
    read_start(intake);
}

/* --- what has come ----------------------------------------------------------------------------------------------------------- */

static void fail(struct intake *intake, enum err err, const char *why, bool left)
{
    intake->req->http1_is_persistent = 0; /* nobody knows where the next request begins */
    stop(intake, ENDED);
    intake->taker->failed(intake, err, why, left, intake->data);
}

void intake_end_late(struct intake *intake)
{
    server_thread_wants_ticks(intake->connection->thread);
    fail(intake, ERR_LATE, reply_sentence(intake->connection->thread, ERR_LATE), false);
}

/* Moves the body's bytes in piece_room to its front. Returns their number; *taken: how many bytes it has read for that. */
static size_t decode(struct intake *intake, size_t size, size_t *taken)
{
    if (intake->length == INTAKE_LENGTH_UNKNOWN)
        return chunks_decode(&intake->chunks, piece_room, size, taken);
    size_t left = intake->length - intake->received;
    *taken = size < left ? size : left;
    return *taken;
}

static bool has_all(const struct intake *intake)
{
    return intake->length == INTAKE_LENGTH_UNKNOWN ? intake->chunks.state == CHUNKS_END : intake->received == intake->length;
}

/* Hands on the decoded bytes at the front of piece_room. */
static void hand_on(struct intake *intake, size_t size)
{
    bool gone = false;
    server_thread_wants_ticks(intake->connection->thread);
    intake->received += size;
    if (intake->received > intake->most) {
        fail(intake, ERR_TOO_LARGE, intake->too_many, false);
        return;
    }
    intake->whole = has_all(intake);
    if (intake->whole)
        stop(intake, ENDED);
    intake->gone = &gone;
    if (size > 0)
        intake->taker->piece(intake, (struct str){piece_room, size}, intake->data);
    if (gone)
        return;
    intake->gone = NULL;
    if (intake->whole)
        intake->taker->whole(intake, intake->data);
    else if (intake->chunks.state == CHUNKS_BROKEN && intake->state != ENDED)
        fail(intake, ERR_BAD_REQUEST, INTAKE_BROKEN, false);
}

static void on_soon(h2o_timeout_entry_t *entry)
{
    struct intake *intake = H2O_STRUCT_FROM_MEMBER(struct intake, soon, entry);
    struct connection *connection = intake->connection;
    size_t size = count_with_head(connection), taken;
    size = size < sizeof(piece_room) ? size : sizeof(piece_room);
    memcpy(piece_room, connection->socket->input->bytes + connection->head.size, size);
    size = decode(intake, size, &taken);
    remove_with_head(connection, taken);
    read_next(intake);
    hand_on(intake, size);
}

/*
 * Reads the next bytes of the body. The bytes of chunks are decoded before they are taken out of the kernel, so that what the
 * client sends after the body stays there for libh2o.
 */
static void on_readable(h2o_socket_t *socket, const char *err)
{
    struct connection *connection = socket->on_close.data;
    struct intake *intake = connection->intake;
    int fd = h2o_socket_get_fd(socket);
    bool chunked = intake->length == INTAKE_LENGTH_UNKNOWN;
    size_t most = chunked ? sizeof(piece_room) : intake->length - intake->received, taken;
    (void)err;
    ssize_t got = recv(fd, piece_room, most < sizeof(piece_room) ? most : sizeof(piece_room), chunked ? MSG_PEEK : 0);
    if (got == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        server_thread_wants_ticks(connection->thread);
        fail(intake, ERR_BAD_REQUEST, "The body ends before it is whole.", true);
        return;
    }
    size_t size = decode(intake, (size_t)got, &taken);
    if (chunked)
        (void)!recv(fd, NULL, taken, MSG_TRUNC); /* takes them out of the kernel */
    hand_on(intake, size);
}

/* --- its beginning and its end ----------------------------------------------------------------------------------------------- */

static void on_dispose(void *cell)
{
    struct intake *intake = cell;
    if (intake->gone != NULL)
        *intake->gone = true;
    if (intake->state == READING)
        read_stop(intake);
    intake->connection->intake = NULL;
}

/* Takes the body if it has come whole with its head; *whole: whether it has. ERR_BAD_REQUEST: the body is malformed. */
static enum err take_at_once(struct intake *intake, struct request *request, bool *whole)
{
    struct connection *connection = intake->connection;
    size_t size = count_with_head(connection), taken;
    *whole = false;
    if (size == 0 || size > sizeof(piece_room))
        return ERR_NONE;
    memcpy(piece_room, connection->socket->input->bytes + connection->head.size, size);
    size = decode(intake, size, &taken);
    intake->received = size;
    *whole = has_all(intake);
    intake->received = 0;
    enum err err = intake->chunks.state == CHUNKS_BROKEN ? ERR_BAD_REQUEST : ERR_NONE;
    intake->chunks = (struct chunks){.state = CHUNKS_SIZE}; /* so far it was a trial */
    if (!*whole)
        return err;
    remove_with_head(connection, taken);
    request->body = (struct str){h2o_strdup(&request->h2o->pool, piece_room, size).base, size};
    return ERR_NONE;
}

enum err intake_new(struct request *request, struct connection *connection, struct intake **out, const char **why)
{
    const struct head *head = &connection->head;
    struct intake *intake = h2o_mem_alloc_shared(&request->h2o->pool, sizeof(*intake), on_dispose);
    const int bytes = SOCKET_BUFFER;
    setsockopt(h2o_socket_get_fd(connection->socket), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    *intake = (struct intake){.req = request->h2o, .connection = connection, .most = SIZE_MAX};
    intake->length = head->body == HEAD_CHUNKED ? INTAKE_LENGTH_UNKNOWN : head->length;
    intake->soon.cb = on_soon;
    bool whole;
    *why = INTAKE_BROKEN;
    enum err err = take_at_once(intake, request, &whole);
    *out = whole ? NULL : intake;
    if (whole)
        intake->state = ENDED;
    else
        connection->intake = intake;
    intake->whole = whole;
    return err;
}

static struct intake *intake_of(h2o_req_t *req)
{
    const struct connection *connection = connection_of(req);
    return connection != NULL ? connection->intake : NULL;
}

void intake_before_answer(h2o_req_t *req)
{
    const struct intake *intake = intake_of(req);
    if (intake != NULL && !intake->whole)
        req->http1_is_persistent = 0;
}

/* Whether the kernel has bytes of the client that nobody has read. */
static bool has_more(h2o_req_t *req)
{
    h2o_socket_t *socket = req->conn->callbacks->get_socket(req->conn);
    int size = 0;
    return socket != NULL && ioctl(h2o_socket_get_fd(socket), FIONREAD, &size) == 0 && size > 0;
}

void intake_after_answer(h2o_req_t *req)
{
    struct intake *intake = intake_of(req);
    if (intake != NULL && !intake->whole) {
        stop(intake, ENDED);
        connection_linger(req);
    } else if (!req->http1_is_persistent && has_more(req)) {
        connection_linger(req);
    }
}
