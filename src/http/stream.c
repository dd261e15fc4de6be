#include "http/stream.h"

#include "http/client_watch.h"
#include "http/connection.h"
#include "http/intake.h"
#include "http/reply.h"
#include "http/thread.h"

#include <assert.h>
#include <stdio.h>
#include <sys/socket.h>

enum state { READY, SENDING, ENDING };

/* Lives in the request's pool. */
struct stream {
    h2o_generator_t generator;
    h2o_req_t *req;
    struct server_thread *thread;
    const struct stream_maker *maker;
    void *data;
    enum state state;
    bool chunked;   /* we frame chunks */
    bool has_begun; /* the head has been written */
    bool ends;      /* SENDING: the stream ends when the present write has been sent */
    bool aborted;   /* the answer must not look whole */
    char size[20];  /* SENDING: the size line of the present chunk */
    struct client_watch watch;
};

static h2o_socket_t *socket_of(const struct stream *stream)
{
    return stream->req->conn->callbacks->get_socket(stream->req->conn);
}

/* Ends the stream. An aborted answer lacks its end; its connection is reset when libh2o closes it. */
static void finish(struct stream *stream)
{
    h2o_iovec_t end = {H2O_STRLIT("0\r\n\r\n")};
    h2o_socket_t *socket = socket_of(stream);
    bool framed = stream->chunked && !stream->aborted;
    stream->state = ENDING;
    client_watch_end(&stream->watch);
    if (!stream->aborted)
        intake_after_answer(stream->req);
    if (stream->has_begun && !framed) {
        connection_end_request(stream->req);
        return;
    }
    h2o_send(stream->req, &end, framed ? 1 : 0, H2O_SEND_STATE_FINAL);
    connection_answered(socket);
}

static void on_sent(h2o_generator_t *generator, h2o_req_t *req)
{
    struct stream *stream = H2O_STRUCT_FROM_MEMBER(struct stream, generator, generator);
    (void)req;
    stream->state = READY;
    if (stream->ends)
        finish(stream);
    else
        stream->maker->drained(stream, stream->data);
}

static void on_dispose(void *cell)
{
    struct stream *stream = cell;
    client_watch_end(&stream->watch);
    stream->maker->gone(stream->data);
}

static void on_left(struct client_watch *watch, bool reset)
{
    (void)reset; /* a client that closes its side during an answer has left */
    stream_abort(H2O_STRUCT_FROM_MEMBER(struct stream, watch, watch));
}

/* Sets the headers about the length. Returns whether we must frame chunks, since libh2o does that for status 200 alone. */
static bool announce_length(struct request *request, size_t length)
{
    h2o_req_t *req = request->h2o;
    if (length != STREAM_LENGTH_UNKNOWN) {
        req->res.content_length = length;
        return false;
    }
    if (req->version < 0x101) {
        req->http1_is_persistent = 0;
        return false;
    }
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_TRANSFER_ENCODING, NULL, H2O_STRLIT("chunked"));
    return true;
}

struct stream *stream_begin(struct request *request, int status, struct str type, size_t length, const struct stream_maker *maker,
                            void *data)
{
    h2o_req_t *req = request->h2o;
    struct stream *stream = h2o_mem_alloc_shared(&req->pool, sizeof(*stream), on_dispose);
    *stream = (struct stream){.generator = {on_sent, NULL}, .req = req, .thread = request->thread, .maker = maker, .data = data};
    h2o_socket_t *socket = socket_of(stream);
    if (socket != NULL && maker->socket_buffer > 0)
        setsockopt(h2o_socket_get_fd(socket), SOL_SOCKET, SO_SNDBUF, &maker->socket_buffer, sizeof(maker->socket_buffer));
    if (maker->last)
        connection_sends_no_more(req);
    intake_before_answer(req);
    bool bodiless = status == 204 || status == 304;
    if (!bodiless)
        stream->chunked = announce_length(request, length);
    unsigned persistent = req->http1_is_persistent && !req->conn->ctx->shutdown_requested;
    bool is_head = reply_begin(request, status, type, &stream->generator);
    req->http1_is_persistent = persistent & 1; /* libh2o clears it if it does not frame chunks itself */
    if (is_head || bodiless) {
        stream->chunked = false;
        finish(stream);
    } else {
        client_watch_begin(&stream->watch, request->thread, req, on_left);
    }
    return stream;
}

void stream_write(struct stream *stream, const struct str pieces[], size_t count)
{
    h2o_iovec_t out[STREAM_PIECES_MAX + 2];
    size_t at = 0, total = 0;
    assert(stream->thread->inside && count <= STREAM_PIECES_MAX && stream->state != SENDING);
    if (stream->state == ENDING)
        return;
    for (size_t i = 0; i < count; i++)
        total += pieces[i].len;
    assert(total > 0 || !stream->has_begun); /* an empty write would end the answer */
    if (stream->chunked && total > 0)
        out[at++] = h2o_iovec_init(stream->size, (size_t)snprintf(stream->size, sizeof(stream->size), "%zx\r\n", total));
    for (size_t i = 0; i < count; i++)
        if (pieces[i].len > 0)
            out[at++] = h2o_iovec_init(pieces[i].ptr, pieces[i].len);
    if (stream->chunked && total > 0)
        out[at++] = h2o_iovec_init(H2O_STRLIT("\r\n"));
    stream->has_begun = true;
    stream->state = SENDING;
    h2o_send(stream->req, out, at, H2O_SEND_STATE_IN_PROGRESS);
}

void stream_end(struct stream *stream)
{
    assert(stream->thread->inside);
    stream->ends = true;
    if (stream->state == READY)
        finish(stream);
}

void stream_abort(struct stream *stream)
{
    assert(stream->thread->inside);
    h2o_socket_t *socket = socket_of(stream);
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    if (stream->state == ENDING || stream->aborted)
        return;
    stream->ends = stream->aborted = true;
    stream->req->http1_is_persistent = 0;
    client_watch_end(&stream->watch);
    if (socket != NULL) /* makes TCP send a reset at once; libh2o notices with the present or next write */
        (void)!connect(h2o_socket_get_fd(socket), &nobody, sizeof(nobody));
    if (stream->state == READY)
        finish(stream);
}
