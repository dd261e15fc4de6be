#include "http/feed.h"

#include "base/metrics.h"
#include "http/stream.h"
#include "http/thread.h"

#define SENDS_PER_TURN 256 /* so that a thousand streams don't delay other requests */
#define SOCKET_BUFFER                                                                                                              \
    (64 << 10) /* bytes that the kernel keeps for a stream; by default it keeps megabytes, which hide a slow client */

/* A piece of the appended data. */
struct chunk {
    struct chunk *next;
    size_t holders;  /* followers to which this chunk was sent, and not the next one */
    uint64_t offset; /* of its end, counted from the first byte ever appended */
    struct buffer bytes;
};

struct feed {
    struct server_thread *thread;
    size_t count;
    struct chunk *head, *tail; /* at least one chunk; the first has been sent to all followers */
    h2o_linklist_t idle, ready, sending, dropped;
};

/* A stream that gets the feed. */
struct follower {
    h2o_linklist_t link; /* in the list of its state */
    struct feed *feed;
    const struct request *request;
    struct stream *stream;
    struct chunk *at;     /* how far it has been sent */
    struct chunk *target; /* SENDING: how far it will have been sent after this write */
    struct buffer first;  /* to be sent before anything of the feed */
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

size_t feed_room(const struct feed *feed)
{
    size_t most = (size_t)(feed->thread->listener.connections_max + 1) / 2;
    return feed->count < most ? most - feed->count : 0;
}

static void count_followers(struct feed *feed, size_t count)
{
    feed->count = count;
    metric_set(&metrics->event_streams, count);
}

static void set_state(struct follower *follower, h2o_linklist_t *list)
{
    if (h2o_linklist_is_linked(&follower->link))
        h2o_linklist_unlink(&follower->link);
    h2o_linklist_insert(list, &follower->link);
}

static struct follower *follower_of(h2o_linklist_t *link)
{
    return H2O_STRUCT_FROM_MEMBER(struct follower, link, link);
}

/* Frees the chunks that no follower needs any more. */
static void trim(struct feed *feed)
{
    while (feed->head != feed->tail && feed->head->holders == 0) {
        struct chunk *gone = feed->head;
        feed->head = gone->next;
        buffer_fini(&gone->bytes);
        free(gone);
    }
}

static void move_to(struct follower *follower, struct chunk *chunk)
{
    follower->at->holders--;
    follower->at = chunk;
    chunk->holders++;
    trim(follower->feed);
}

/* Sends the new data to a follower, which must not be SENDING. */
static void send_next(struct follower *follower)
{
    struct feed *feed = follower->feed;
    struct str pieces[STREAM_PIECES_MAX];
    size_t count = 0;
    if (follower->first.len > 0)
        pieces[count++] = buffer_str(&follower->first);
    follower->target = follower->at;
    while (count < STREAM_PIECES_MAX && follower->target->next != NULL) {
        follower->target = follower->target->next;
        pieces[count++] = buffer_str(&follower->target->bytes);
    }
    if (count == 0) {
        set_state(follower, &feed->idle);
        return;
    }
    set_state(follower, &feed->sending);
    stream_write(follower->stream, pieces, count);
}

static void on_drained(struct stream *stream, void *data)
{
    struct follower *follower = data;
    (void)stream;
    buffer_fini(&follower->first);
    move_to(follower, follower->target);
    send_next(follower);
}

static void on_gone(void *data)
{
    struct follower *follower = data;
    struct feed *feed = follower->feed;
    h2o_linklist_unlink(&follower->link);
    buffer_fini(&follower->first);
    follower->at->holders--;
    count_followers(feed, feed->count - 1);
    trim(feed);
    free(follower);
}

void feed_join(struct feed *feed, struct request *request, struct buffer *first)
{
    static const struct stream_maker maker = {on_drained, on_gone, .socket_buffer = SOCKET_BUFFER, .last = true};
    struct follower *follower = h2o_mem_alloc(sizeof(*follower));
    *follower = (struct follower){.feed = feed, .request = request, .at = feed->tail, .first = *first};
    *first = BUFFER_INIT;
    feed->tail->holders++;
    count_followers(feed, feed->count + 1);
    set_state(follower, &feed->ready);
    request_set_header(request, "Cache-Control", "no-store");
    request_set_header(request, "X-Accel-Buffering", "no"); /* a proxy must not buffer it */
    follower->stream = stream_begin(request, 200, STR("text/event-stream"), STREAM_LENGTH_UNKNOWN, &maker, follower);
    send_next(follower);
}

/* Drops the followers that are too far behind. Their data is freed when they are gone, since libh2o may still be sending it. */
static void drop_laggards(struct feed *feed)
{
    h2o_linklist_t *next;
    for (h2o_linklist_t *link = feed->sending.next; link != &feed->sending; link = next) {
        next = link->next;
        struct follower *follower = follower_of(link);
        if (feed->tail->offset - follower->at->offset <= FEED_BEHIND_MAX)
            continue;
        set_state(follower, &feed->dropped);
        stream_abort(follower->stream);
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

/* Ends the stream of that request, or all streams if it is NULL. */
static void end_streams(struct feed *feed, const struct request *request)
{
    h2o_linklist_t *const lists[] = {&feed->idle, &feed->ready, &feed->sending};
    h2o_linklist_t *next;
    for (size_t i = 0; i < 3; i++) {
        for (h2o_linklist_t *link = lists[i]->next; link != lists[i]; link = next) {
            struct follower *follower = follower_of(link);
            next = link->next;
            if (request != NULL && follower->request != request)
                continue;
            set_state(follower, &feed->dropped);
            stream_end(follower->stream);
        }
    }
}

void feed_leave(struct feed *feed, const struct request *request)
{
    end_streams(feed, request);
}

void feed_end(struct feed *feed)
{
    end_streams(feed, NULL);
}

int32_t feed_tick(struct feed *feed)
{
    for (int i = 0; i < SENDS_PER_TURN && !h2o_linklist_is_empty(&feed->ready); i++)
        send_next(follower_of(feed->ready.next));
    return h2o_linklist_is_empty(&feed->ready) ? 1000 : 0;
}
