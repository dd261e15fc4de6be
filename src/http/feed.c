#include "http/feed.h"

#include "base/metrics.h"
#include "http/connection.h"
#include "http/thread.h"

#include <sys/socket.h>

#define SENDS_PER_TURN 256       /* so that a thousand streams don't hold up everybody else */
#define CHUNKS_PER_SEND 16       /* written with one system call */
#define SOCKET_BUFFER (64 << 10) /* of a stream in the kernel, which else takes megabytes before a slow client shows */

/* A piece of what was appended. */
struct chunk {
    struct chunk *next;
    size_t holders;  /* streams that have been sent just this far */
    uint64_t offset; /* of its end in all that was ever appended */
    struct buffer bytes;
};

struct feed {
    struct server_thread *thread;
    size_t count;
    struct chunk *head, *tail; /* never empty: the first one has been sent to everybody who waits for more */
    h2o_linklist_t idle, ready, sending, dropped;
};

struct stream {
    h2o_generator_t generator;
    h2o_linklist_t link; /* in the list of its state */
    struct feed *feed;
    h2o_req_t *req;
    struct chunk *at;     /* how far it has been sent */
    struct chunk *target; /* SENDING: how far it has been sent after this */
    struct buffer first;  /* to be sent before anything of the feed */
    bool ended;
};

struct feed *feed_new(struct server_thread *thread)
{
    struct feed *feed = h2o_mem_alloc(sizeof(*feed));
    *feed = (struct feed){.thread = thread};
    feed->head = feed->tail = h2o_mem_alloc(sizeof(*feed->head));
    *feed->head = (struct chunk){.next = NULL};
    h2o_linklist_init_anchor(&feed->idle);
    h2o_linklist_init_anchor(&feed->ready);
    h2o_linklist_init_anchor(&feed->sending);
    h2o_linklist_init_anchor(&feed->dropped);
    return feed;
}

size_t feed_count(const struct feed *feed)
{
    return feed->count;
}

bool feed_is_full(const struct feed *feed)
{
    return feed->count >= (size_t)(feed->thread->listener.connections_max + 1) / 2;
}

static void count_streams(struct feed *feed, size_t count)
{
    feed->count = count;
    metric_set(&metrics->event_streams, count);
}

static void set_state(struct stream *stream, h2o_linklist_t *list)
{
    if (h2o_linklist_is_linked(&stream->link))
        h2o_linklist_unlink(&stream->link);
    h2o_linklist_insert(list, &stream->link);
}

static struct stream *stream_of(h2o_linklist_t *link)
{
    return H2O_STRUCT_FROM_MEMBER(struct stream, link, link);
}

/* Frees what nobody needs any more. */
static void trim(struct feed *feed)
{
    while (feed->head != feed->tail && feed->head->holders == 0) {
        struct chunk *gone = feed->head;
        feed->head = gone->next;
        buffer_fini(&gone->bytes);
        free(gone);
    }
}

static void move_to(struct stream *stream, struct chunk *chunk)
{
    stream->at->holders--;
    stream->at = chunk;
    chunk->holders++;
    trim(stream->feed);
}

/* Sends what there is for the stream, which is not SENDING. */
static void stream_send(struct stream *stream)
{
    struct feed *feed = stream->feed;
    h2o_iovec_t pieces[CHUNKS_PER_SEND];
    size_t count = 0;
    if (stream->ended) {
        set_state(stream, &feed->dropped);
        h2o_send(stream->req, NULL, 0, H2O_SEND_STATE_FINAL);
        return;
    }
    if (stream->first.len > 0)
        pieces[count++] = h2o_iovec_init(stream->first.ptr, stream->first.len);
    stream->target = stream->at;
    while (count < CHUNKS_PER_SEND && stream->target->next != NULL) {
        stream->target = stream->target->next;
        pieces[count++] = h2o_iovec_init(stream->target->bytes.ptr, stream->target->bytes.len);
    }
    if (count == 0) {
        set_state(stream, &feed->idle);
        return;
    }
    set_state(stream, &feed->sending);
    h2o_send(stream->req, pieces, count, H2O_SEND_STATE_IN_PROGRESS);
}

static void on_proceed(h2o_generator_t *generator, h2o_req_t *req)
{
    struct stream *stream = H2O_STRUCT_FROM_MEMBER(struct stream, generator, generator);
    (void)req;
    buffer_fini(&stream->first);
    move_to(stream, stream->target);
    stream_send(stream);
}

static void on_dispose(void *cell)
{
    struct stream *stream = cell;
    struct feed *feed = stream->feed;
    h2o_linklist_unlink(&stream->link);
    buffer_fini(&stream->first);
    stream->at->holders--;
    count_streams(feed, feed->count - 1);
    trim(feed);
}

void feed_join(struct feed *feed, struct request *request, struct buffer *first)
{
    h2o_req_t *req = request->h2o;
    h2o_socket_t *socket = req->conn->callbacks->get_socket(req->conn);
    int size = SOCKET_BUFFER;
    if (socket != NULL)
        setsockopt(h2o_socket_get_fd(socket), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    connection_sends_no_more(req);
    struct stream *stream = h2o_mem_alloc_shared(&req->pool, sizeof(*stream), on_dispose);
    *stream = (struct stream){.generator = {on_proceed, NULL}, .feed = feed, .req = req, .at = feed->tail, .first = *first};
    *first = BUFFER_INIT;
    feed->tail->holders++;
    count_streams(feed, feed->count + 1);
    set_state(stream, &feed->ready);
    request_set_header(request, "Cache-Control", "no-store");
    request_set_header(request, "X-Accel-Buffering", "no"); /* a proxy must not gather it */
    stream->ended = reply_begin(request, STR("text/event-stream"), &stream->generator);
    stream_send(stream);
}

/* Gives up those that hold most of what is kept. They may be reading it still, so it is freed when libh2o has found them closed. */
static void drop_laggards(struct feed *feed)
{
    h2o_linklist_t *next;
    for (h2o_linklist_t *link = feed->sending.next; link != &feed->sending; link = next) {
        next = link->next;
        struct stream *stream = stream_of(link);
        if (feed->tail->offset - stream->at->offset <= FEED_BEHIND_MAX)
            continue;
        set_state(stream, &feed->dropped);
        h2o_socket_t *socket = stream->req->conn->callbacks->get_socket(stream->req->conn);
        if (socket != NULL)
            shutdown(h2o_socket_get_fd(socket), SHUT_RDWR);
    }
}

void feed_append(struct feed *feed, struct buffer *text)
{
    struct chunk *chunk = h2o_mem_alloc(sizeof(*chunk));
    *chunk = (struct chunk){.offset = feed->tail->offset + text->len, .bytes = *text};
    *text = BUFFER_INIT;
    feed->tail->next = chunk;
    feed->tail = chunk;
    trim(feed);
    h2o_linklist_insert_list(&feed->ready, &feed->idle);
    if (feed->tail->offset - feed->head->offset > FEED_BEHIND_MAX)
        drop_laggards(feed);
}

void feed_end(struct feed *feed)
{
    h2o_linklist_insert_list(&feed->ready, &feed->idle);
    for (h2o_linklist_t *link = feed->ready.next; link != &feed->ready; link = link->next)
        stream_of(link)->ended = true;
    for (h2o_linklist_t *link = feed->sending.next; link != &feed->sending; link = link->next)
        stream_of(link)->ended = true;
}

int32_t feed_tick(struct feed *feed)
{
    for (int i = 0; i < SENDS_PER_TURN && !h2o_linklist_is_empty(&feed->ready); i++)
        stream_send(stream_of(feed->ready.next));
    return h2o_linklist_is_empty(&feed->ready) ? 1000 : 0;
}
