#include "api/events.h"

#include "api/api.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "http/feed.h"
#include "http/reply.h"
#include "store/follow.h"

#include <inttypes.h>
#include <stdlib.h>

#define TELL_MS 5000 /* between two "stats", which keep the connection alive */
#define READ_MAX 500 /* events repeated at most to a client that comes back */
#define BEATS_BYTES_MAX                                                                                                            \
    (FEED_BEHIND_MAX / 4) /* of one "heartbeats": a client that keeps up must not seem to be far behind; the rest comes next */
#define BEATS_BYTES_PER_MS                                                                                                         \
    10000 /* of "heartbeats" to all streams together: where there are thousands, and a large fleet, they come less often */
#define NEVER 9000000000000000 /* ms since 1970: nobody goes offline so late */

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
    struct buffer stats; /* the last "stats"; empty when it can't be had */
    struct buffer beats; /* "heartbeats" in the making */
    size_t beats_count;
    int beats_readings;  /* for this event so far; 0: none is under way */
    int64_t beats_since; /* who goes offline later has beaten since */
    int64_t beats_at;    /* clock_ms of the next event, at the earliest */
    int64_t beats_next;  /* the same for the next event */
};

/* A request on its way to become a stream. */
struct joining {
    struct events *events;
    struct pending *pending;
    struct event_id after; /* Last-Event-ID */
    bool resumes;          /* whether there is one */
    bool found;            /* and its event is still there */
    size_t count;          /* events read since */
    struct buffer first;   /* what the stream begins with */
};

/* Whether a kind is one of ours: it becomes a line of the stream. */
static bool kind_is_plain(struct str kind)
{
    for (size_t i = 0; i < kind.len; i++)
        if (kind.ptr[i] < 'a' || kind.ptr[i] > 'z')
            return false;
    return kind.len > 0 && kind.len < 32;
}

static void write_event(struct buffer *out, const struct event *event)
{
    char room[EVENT_ID_MAX];
    if (!kind_is_plain(event->kind))
        return;
    struct str id = event_id_text(event->id, room);
    buffer_printf(out, "id: %.*s\nevent: worker.%.*s\ndata: ", STR_PRINTF(id), STR_PRINTF(event->kind));
    event_write(out, event);
    buffer_append(out, STR("\n\n"));
}

/* What has happened. */

static void on_news(void *data, const struct event *event)
{
    struct events *events = data;
    write_event(&events->news, event);
}

/* As for a client that comes back too late. */
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

/* How the fleet is. */

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
        buffer_append(&text, STR("event: unavailable\ndata: "));
        json_begin_object(&text, NULL);
        json_add_text(&text, "detail", str_from(api_explain(err)));
        json_end_object(&text);
        buffer_append(&text, STR("\n\n"));
    }
    feed_append(events->feed, &text);
}

/* Who has beaten. */

/* In the order of `fields` of the event. */
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

static void tell(struct events *events)
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

int32_t events_tick(struct events *events)
{
    if (server_thread_stopping(events->thread))
        feed_end(events->feed);
    if (feed_count(events->feed) == 0 && events->joining == 0) {
        events->following = false;
        follower_stop(events->follower);
        return 1000;
    }
    int64_t now = clock_ms();
    int32_t reading = follower_tick(events->follower);
    if (now >= events->tell_at)
        tell(events);
    int32_t sending = feed_tick(events->feed), telling = (int32_t)(events->tell_at > now ? events->tell_at - now : 0);
    int32_t next = reading < telling ? reading : telling;
    return next < sending ? next : sending;
}

/* The first stream: everything is asked for, and its replies come before those that the stream itself waits for. */
static void follow(struct events *events)
{
    events->following = true;
    events->stats.len = 0;
    events->beats_since = NEVER;
    follower_start(events->follower);
    tell(events);
}

/* A client that comes back. */

static void on_missed(void *data, const struct event *event)
{
    struct joining *joining = data;
    struct event_id newest;
    joining->count++;
    if (!event_id_is_after(event->id, joining->after))
        joining->found = true;
    else if (follower_newest(joining->events->follower, &newest) &&
             !event_id_is_after(event->id, newest)) /* what is newer comes with the feed */
        write_event(&joining->first, event);
}

static void on_missed_end(void *data, enum err err)
{
    struct joining *joining = data;
    struct events *events = joining->events;
    struct request *request = pending_take(joining->pending);
    events->joining--;
    struct event_id newest_id;
    if (err == ERR_NONE && !follower_newest(events->follower, &newest_id))
        err = ERR_UNAVAILABLE;
    if (request != NULL && err == ERR_NONE) {
        struct buffer first = BUFFER_INIT;
        char room[EVENT_ID_MAX];
        struct str newest = event_id_text(newest_id, room);
        bool all = joining->found && joining->count < READ_MAX;
        buffer_append(&first, STR("retry: 2000\n"));
        if (!all) /* where to resume after this */
            buffer_printf(&first, "id: %.*s\n", STR_PRINTF(newest));
        buffer_append(&first, STR("\n"));
        if (joining->resumes && !all)
            buffer_append(&first, reset_event);
        else
            buffer_append(&first, buffer_str(&joining->first));
        buffer_append(&first, buffer_str(&events->stats)); /* if it is there; else it is about to be appended to the feed */
        feed_join(events->feed, request, &first);
    } else if (request != NULL) {
        reply_error(request, err, NULL, NULL);
    }
    buffer_fini(&joining->first);
    pending_release(joining->pending, err);
    free(joining);
}

void api_events(struct request *request)
{
    const struct api *api = request_app(request);
    struct events *events = api->events;
    char room[EVENT_ID_MAX];
    struct str last = request_header(request, "last-event-id");
    if (last.len == 0) /* a browser's EventSource can't send the header before it has had an event */
        last = request_query(request, "last_event_id", room, sizeof(room));
    if (server_thread_stopping(api->thread)) {
        reply_error(request, ERR_STOPPING, NULL, NULL);
        return;
    }
    if (events->joining >= feed_room(events->feed)) {
        reply_error(request, ERR_STREAMS, NULL, NULL);
        return;
    }
    struct joining *joining = calloc(1, sizeof(*joining));
    if (joining == NULL)
        abort();
    *joining = (struct joining){.events = events, .pending = api_wait(request, 0), .resumes = last.len > 0};
    events->joining++;
    if (!events->following)
        follow(events);
    /* asked in any case, from the end where nothing was missed: by its reply, what was asked for before has come */
    struct event_id from = {UINT64_MAX, 0};
    if (event_id_parse(last, &joining->after))
        from = joining->after;
    enum err err = store_events(api->store, from, READ_MAX, on_missed, on_missed_end, joining);
    if (err != ERR_NONE)
        on_missed_end(joining, err);
}
