#include "api/events.h"

#include "api/api.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "http/accept.h"
#include "http/feed.h"
#include "http/reply.h"
#include "store/follow.h"

#include <inttypes.h>
#include <stdlib.h>

#define TELL_MS 5000               /* between two "stats", which keep the connection alive */
#define READ_MAX 500               /* events read at once for a client that comes back */
#define MISSED_BYTES_MAX (4 << 20) /* how much is repeated to one client; all events that Redis keeps take a third of it */
#define BEATS_BYTES_MAX                                                                                                            \
    (FEED_BEHIND_MAX / 4) /* of one "heartbeats", so that a client that keeps up does not seem far behind; the next has the rest */
#define BEATS_BYTES_PER_MS                                                                                                         \
    10000 /* of "heartbeats" to all streams together: with thousands of streams and a large fleet they come less often */
#define NEVER 9000000000000000 /* ms since 1970: no worker goes offline so late */

#define RETRY "retry: 2000\n"            /* ms until a browser's EventSource tries again when its stream has ended */
#define RETRY_ELSEWHERE "retry: 10000\n" /* the same, when this instance refuses the stream */

static const struct str reset_event = STR(
    "event: reset\ndata: {\"detail\":\"Events are no longer kept that come before the next ones: load anew what you show.\"}\n\n");

struct events {
    struct server_thread *thread;
    struct store *store;
    struct feed *feed;
    int timeout_ms;
    size_t joining; /* requests that wait to become streams */
    struct follower *follower;
    bool following;      /* while there are any streams, or about to be */
    struct buffer news;  /* events of the reply that is being read */
    int64_t tell_at;     /* clock_ms of the next "stats" and "heartbeats" */
    bool telling;        /* a reply of "stats" is on its way */
    struct buffer stats; /* the last "stats"; empty if the last reading failed */
    bool was_up;         /* Redis was in reach in the last turn */
    bool owes_reset;     /* streams began while Redis was away, without what they had missed: "reset" follows when it is back */
    struct buffer beats; /* "heartbeats" in the making */
    size_t beats_count;
    int beats_readings;  /* for this event so far; 0: none is under way */
    int64_t beats_since; /* a worker that goes offline after this moment has sent a heartbeat since the last event */
    int64_t beats_at;    /* clock_ms: the next "heartbeats" begins no earlier */
    int64_t beats_next;  /* beats_since of the next "heartbeats" */
};

/* A request on its way to become a stream. */
struct joining {
    struct api *api;
    struct pending *pending;
    struct event_id from; /* read from here on: Last-Event-ID, then the last one read */
    bool resumes;         /* whether there is a Last-Event-ID */
    bool found;           /* the event `from` is still there */
    bool caught_up;       /* newer events come with the feed */
    size_t count;         /* events read at once */
    struct buffer first;  /* what the stream begins with */
};

/* Whether a kind has only the characters that our kinds have, since it becomes a line of the stream. */
static bool kind_is_plain(struct str kind)
{
    for (size_t i = 0; i < kind.len; i++)
        if ((kind.ptr[i] < 'a' || kind.ptr[i] > 'z') && kind.ptr[i] != '.')
            return false;
    return kind.len > 0 && kind.len < 32;
}

static void write_event(struct buffer *out, const struct event *event)
{
    char room[EVENT_ID_MAX];
    if (!kind_is_plain(event->kind))
        return;
    struct str id = event_id_text(event->id, room);
    buffer_printf(out, "id: %.*s\nevent: %s%.*s\ndata: ", STR_PRINTF(id), event_is_of_tasks(event) ? "" : "worker.",
                  STR_PRINTF(event->kind));
    event_write(out, event);
    buffer_append(out, STR("\n\n"));
}

/* -- events of the fleet -- */

static void on_news(void *data, const struct event *event)
{
    struct events *events = data;
    write_event(&events->news, event);
}

/* Tells the clients to load everything anew, as a client that comes back too late is told. */
static void on_news_lost(void *data)
{
    struct events *events = data;
    buffer_append(&events->news, reset_event);
}

static void on_news_read(void *data)
{
    struct events *events = data;
    if (events->news.len > 0)
        feed_append(events->feed, &events->news);
}

struct events *events_new(struct server_thread *thread, struct store *store, int timeout_ms)
{
    static const struct follow_callbacks callbacks = {on_news, on_news_lost, on_news_read};
    struct events *events = calloc(1, sizeof(*events));
    if (events == NULL)
        abort();
    *events = (struct events){.thread = thread, .store = store, .timeout_ms = timeout_ms, .feed = feed_new(thread)};
    events->follower = follower_new(store, &callbacks, events);
    return events;
}

static void write_unavailable(struct buffer *out, enum err err)
{
    buffer_append(out, STR("event: unavailable\ndata: "));
    json_begin_object(out, NULL);
    json_add_text(out, "code", err_code(err));
    json_add_text(out, "detail", str_from(api_explain(err)));
    json_end_object(out);
    buffer_append(out, STR("\n\n"));
}

/* Appends `reset`, and where to resume after it. */
static void write_reset(struct buffer *out, struct event_id newest)
{
    char room[EVENT_ID_MAX];
    struct str id = event_id_text(newest, room);
    buffer_printf(out, "id: %.*s\n", STR_PRINTF(id));
    buffer_append(out, reset_event);
}

/* -- the numbers of the fleet: "stats" -- */

static void on_stats(void *data, enum err err, const struct fleet *fleet)
{
    struct events *events = data;
    struct buffer text = BUFFER_INIT;
    events->telling = false;
    events->stats.len = 0;
    if (err == ERR_NONE) {
        buffer_append(&events->stats, STR("event: stats\ndata: "));
        fleet_write_stats(&events->stats, fleet);
        events->stats.len--; /* one more member */
        json_add_time(&events->stats, "time", clock_wall_ms());
        json_end_object(&events->stats);
        buffer_append(&events->stats, STR("\n\n"));
        buffer_append(&text, buffer_str(&events->stats));
    } else {
        write_unavailable(&text, err);
    }
    feed_append(events->feed, &text);
}

/* -- which workers have sent heartbeats: "heartbeats" -- */

/* Appends a worker's values in the order of the event's `fields`. */
static void on_beat(void *data, const struct beat *beat)
{
    struct events *events = data;
    struct buffer *out = &events->beats;
    events->beats_count++;
    json_begin_array(out, NULL);
    json_add_text(out, NULL, beat->worker_id);
    json_add_text(out, NULL, beat->status);
    json_add_number(out, NULL, beat->load);
    json_add_integer(out, NULL, beat->active_requests);
    json_add_time(out, NULL, beat->last_heartbeat);
    json_end_array(out);
}

static void begin_beats(struct events *events)
{
    static const char *const fields[] = {"worker_id", "status", "current_load", "active_requests", "last_heartbeat"};
    struct buffer *out = &events->beats;
    events->beats_count = 0;
    buffer_append(out, STR("event: heartbeats\ndata: "));
    json_begin_object(out, NULL);
    json_begin_array(out, "fields");
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        json_add_text(out, NULL, str_from(fields[i]));
    json_end_array(out);
    json_begin_array(out, "workers");
}

static void read_beats(struct events *events, int64_t offline_at);

static void on_beats(void *data, enum err err, const struct beats *beats)
{
    struct events *events = data;
    if (err == ERR_NONE && events->beats_readings == 1)
        events->beats_next = beats->now + events->timeout_ms;
    bool goes_on = err == ERR_NONE && beats->more && beats->offline_at > events->beats_since;
    if (goes_on)
        events->beats_since = beats->offline_at;
    else if (err == ERR_NONE)
        events->beats_since = events->beats_next;
    if (goes_on && events->beats.len < BEATS_BYTES_MAX) {
        read_beats(events, events->beats_since);
        return;
    }
    events->beats_readings = 0;
    json_end_array(&events->beats);
    json_add_time(&events->beats, "time", events->beats_next - events->timeout_ms);
    json_end_object(&events->beats);
    buffer_append(&events->beats, STR("\n\n"));
    events->beats_at = clock_ms() + (int64_t)(events->beats.len * feed_count(events->feed) / BEATS_BYTES_PER_MS);
    if (events->beats_count > 0)
        feed_append(events->feed, &events->beats);
    buffer_fini(&events->beats);
}

static void read_beats(struct events *events, int64_t offline_at)
{
    events->beats_readings++;
    if (store_beats(events->store, offline_at, on_beat, on_beats, events) != ERR_NONE)
        on_beats(events, ERR_UNAVAILABLE, NULL);
}

static void events_tell(struct events *events)
{
    events->tell_at = clock_ms() + TELL_MS;
    if (!events->telling) {
        events->telling = true;
        enum err err = store_fleet(events->store, on_stats, events);
        if (err != ERR_NONE)
            on_stats(events, err, NULL);
    }
    if (events->beats_readings == 0 && clock_ms() >= events->beats_at) {
        begin_beats(events);
        read_beats(events, events->beats_since);
    }
}

/* When Redis is back, sends "stats" at once, and tells streams that began without Redis to load anew what they show. */
static void catch_up(struct events *events, int64_t now)
{
    struct event_id newest;
    bool is_up = store_is_up(events->store);
    if (is_up && !events->was_up)
        events->tell_at = now;
    events->was_up = is_up;
    if (!events->owes_reset || events->stats.len == 0 || !follower_newest(events->follower, &newest))
        return;
    struct buffer text = BUFFER_INIT;
    write_reset(&text, newest);
    feed_append(events->feed, &text);
    events->owes_reset = false;
}

int32_t events_tick(struct events *events)
{
    if (server_thread_stopping(events->thread))
        feed_end(events->feed);
    if (feed_count(events->feed) == 0 && events->joining == 0) {
        events->following = events->owes_reset = false;
        follower_stop(events->follower);
        return 1000;
    }
    int64_t now = clock_ms();
    int32_t reading = follower_tick(events->follower);
    catch_up(events, now);
    if (now >= events->tell_at)
        events_tell(events);
    int32_t sending = feed_tick(events->feed), telling = (int32_t)(events->tell_at > now ? events->tell_at - now : 0);
    int32_t next = reading < telling ? reading : telling;
    return next < sending ? next : sending;
}

/* Begins to follow, for the first stream. These replies come before the reply that the stream itself waits for. */
static void follow(struct events *events)
{
    events->following = true;
    events->stats.len = 0;
    events->beats_since = NEVER;
    follower_start(events->follower);
    events_tell(events);
}

/* -- clients that come, or come back -- */

/* A client whose stream is open. In the request's memory. */
struct listener {
    struct tenure tenure;
    struct feed *feed;
    struct request *request;
};

static void on_over(void *data, enum err err)
{
    struct listener *listener = data;
    (void)err; /* the stream can't say why it ends; the client is told when it comes back */
    feed_leave(listener->feed, listener->request);
}

static void on_gone(void *data)
{
    tenure_end(&((struct listener *)data)->tenure);
}

static void begin_stream(struct events *events, struct request *request, struct buffer *first)
{
    struct listener *listener = request_alloc(request, sizeof(*listener));
    *listener = (struct listener){.feed = events->feed, .request = request};
    request_tell_when_gone(request, on_gone, listener);
    tenure_begin(&listener->tenure, request, on_over, listener);
    feed_join(events->feed, request, first);
}

/* Begins a stream while nothing can be read, since an EventSource that is answered with an error never tries again. */
static void join_without_redis(struct events *events, struct request *request, enum err err)
{
    struct buffer first = BUFFER_INIT;
    buffer_append(&first, STR(RETRY "\n"));
    write_unavailable(&first, err);
    events->owes_reset = true;
    events->stats.len = 0;
    begin_stream(events, request, &first);
}

static void join_late(struct request *request)
{
    const struct api *api = request_app(request);
    join_without_redis(api->events, request, ERR_DEADLINE);
}

static void on_missed(void *data, const struct event *event)
{
    struct joining *joining = data;
    struct event_id newest;
    size_t before = joining->first.len;
    joining->count++;
    if (!event_id_is_after(event->id, joining->from)) {
        joining->found = true;
    } else if (!follower_newest(joining->api->events->follower, &newest) || event_id_is_after(event->id, newest)) {
        joining->caught_up = true;
    } else if (joining->found) {
        write_event(&joining->first, event);
        joining->from = event->id;
    }
    joining->api->listed += joining->first.len - before;
}

/* Begins a stream with the events that its client has missed, or with "reset" if they are no longer kept. */
static void join(struct joining *joining, struct request *request)
{
    struct events *events = joining->api->events;
    struct buffer first = BUFFER_INIT;
    struct event_id newest = {0, 0};
    char room[EVENT_ID_MAX];
    (void)follower_newest(events->follower, &newest);
    buffer_append(&first, STR(RETRY));
    if (!joining->resumes)
        buffer_printf(&first, "id: %.*s\n", STR_PRINTF(event_id_text(newest, room)));
    buffer_append(&first, STR("\n"));
    if (joining->resumes && !(joining->found && joining->caught_up))
        write_reset(&first, newest);
    else
        buffer_append(&first, buffer_str(&joining->first));
    buffer_append(&first, buffer_str(&events->stats)); /* if it is empty, the feed is about to get it */
    begin_stream(events, request, &first);
}

static enum err read_missed(struct joining *joining);

static void on_missed_end(void *data, enum err err)
{
    struct joining *joining = data;
    struct api *api = joining->api;
    struct event_id newest;
    joining->caught_up = joining->caught_up || joining->count < READ_MAX;
    if (err == ERR_NONE && !follower_newest(api->events->follower, &newest))
        err = ERR_UNAVAILABLE;
    bool has_room = joining->first.len < MISSED_BYTES_MAX && !api_is_crowded(api);
    if (err == ERR_NONE && joining->found && !joining->caught_up && has_room && pending_is_waited_for(joining->pending)) {
        err = read_missed(joining);
        if (err == ERR_NONE)
            return;
    }
    api->events->joining--;
    api->listed -= joining->first.len;
    struct request *request = pending_take(joining->pending);
    if (request != NULL && err == ERR_NONE)
        join(joining, request);
    else if (request != NULL)
        join_without_redis(api->events, request, err);
    buffer_fini(&joining->first);
    pending_release(joining->pending, ERR_INTERNAL);
    free(joining);
}

/* Reads the next READ_MAX events from `from` on. */
static enum err read_missed(struct joining *joining)
{
    joining->found = joining->caught_up = false;
    joining->count = 0;
    return store_events(joining->api->store, joining->from, READ_MAX, on_missed, on_missed_end, joining);
}

/*
 * Refuses a stream. An EventSource never tries again after an error. So a client that accepts a stream of events gets one that
 * says why it is refused, and ends.
 */
static void refuse(struct request *request, enum err err)
{
    if (accept_weight(request_header(request, "accept"), STR("text/event-stream")) <= 0) {
        reply_error(request, err, NULL, NULL);
        return;
    }
    struct buffer body = BUFFER_INIT;
    buffer_append(&body, STR(RETRY_ELSEWHERE "\n"));
    write_unavailable(&body, err);
    request_set_header(request, "Cache-Control", "no-store");
    reply_body(request, STR("text/event-stream"), &body);
}

void api_events(struct request *request)
{
    struct api *api = request_app(request);
    struct events *events = api->events;
    char room[EVENT_ID_MAX];
    struct str last = request_header(request, "last-event-id");
    if (last.len == 0) /* a browser's EventSource can't send the header before it has had an event */
        last = request_query(request, "last_event_id", room, sizeof(room));
    if (server_thread_stopping(api->thread)) {
        refuse(request, ERR_STOPPING);
        return;
    }
    if (events->joining >= feed_room(events->feed)) {
        refuse(request, ERR_STREAMS);
        return;
    }
    struct joining *joining = calloc(1, sizeof(*joining));
    if (joining == NULL)
        abort();
    *joining = (struct joining){.api = api, .pending = pending_new(request, join_late, 0), .resumes = last.len > 0};
    events->joining++;
    if (!events->following)
        follow(events);
    /* a client that missed nothing reads from the end: when this reply comes, the replies to earlier commands have come */
    if (!event_id_parse(last, &joining->from))
        joining->from = (struct event_id){UINT64_MAX, 0};
    enum err err = read_missed(joining);
    if (err != ERR_NONE)
        on_missed_end(joining, err);
}
