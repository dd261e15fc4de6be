/*
 * Reads what has happened to the fleet: its events, its heartbeats, and its state in each minute.
 */
#include "store/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct reading {
    store_event_callback *row;
    store_event_id_callback *newest;
    store_callback *done;
    void *data;
};

/* Reads an entry of the stream, {id, {field, value, …}}. False: it is not an event. */
static bool read_event(const struct redisReply *entry, struct event *event)
{
    *event = (struct event){.id = {0, 0}};
    if (!event_id_parse(reply_text(reply_element(entry, 0)), &event->id))
        return false;
    const struct redisReply *fields = reply_element(entry, 1);
    for (size_t i = 0; reply_element(fields, i + 1) != NULL; i += 2) {
        struct str name = reply_text(reply_element(fields, i)), value = reply_text(reply_element(fields, i + 1));
        if (str_eq(name, STR("event")))
            event->kind = value;
        else if (str_eq(name, STR("reason")))
            event->reason = value;
        else if (str_eq(name, STR("worker_id")))
            event->worker_id = value;
        else if (str_eq(name, STR("tier")))
            event->tier = value;
        else if (str_eq(name, STR("status")))
            event->status = value;
        else if (str_eq(name, STR("services")))
            event->services = value;
        else if (str_eq(name, STR("task_id")))
            event->task_id = value;
        else if (str_eq(name, STR("queue")))
            event->queue = value;
        else if (str_eq(name, STR("type")))
            event->type = value;
        else if (str_eq(name, STR("drain_reason")))
            event->drain_reason = value;
        else if (str_eq(name, STR("drained_from")))
            event->drained_from = value;
    }
    return event->kind.len > 0 && (event->worker_id.len > 0 || event_is_of_tasks(event));
}

static void on_events(void *data, enum err err, const struct redisReply *reply)
{
    struct reading *reading = data;
    struct event event;
    for (size_t i = 0; err == ERR_NONE && reply_element(reply, i) != NULL; i++)
        if (read_event(reply_element(reply, i), &event))
            reading->row(reading->data, &event);
    reading->done(reading->data, err);
    free(reading);
}

static void on_newest(void *data, enum err err, const struct redisReply *reply)
{
    struct reading *reading = data;
    struct event_id id = {0, 0};
    if (err == ERR_NONE && !event_id_parse(reply_text(reply_element(reply_element(reply, 0), 0)), &id))
        id = (struct event_id){0, 0}; /* there is no event yet */
    reading->newest(reading->data, err, id);
    free(reading);
}

static enum err send_query(struct store *store, struct buffer *command, link_callback *callback, struct reading reading)
{
    struct reading *kept = store_alloc(sizeof(*kept));
    *kept = reading;
    enum err err = link_send(store->link, command, callback, kept);
    if (err != ERR_NONE)
        free(kept);
    return err;
}

enum err store_events(struct store *store, struct event_id from, size_t max, store_event_callback *row, store_callback *done,
                      void *data)
{
    char room[EVENT_ID_MAX];
    struct buffer command = BUFFER_INIT;
    command_begin(&command, 6);
    command_add(&command, STR("XRANGE"));
    command_add(&command, key_name(KEY_events));
    command_add(&command, event_id_text(from, room));
    command_add(&command, STR("+"));
    command_add(&command, STR("COUNT"));
    command_add_number(&command, (long long)max);
    return send_query(store, &command, on_events, (struct reading){.row = row, .done = done, .data = data});
}

enum err store_newest_event(struct store *store, store_event_id_callback *callback, void *data)
{
    struct buffer command = BUFFER_INIT;
    command_begin(&command, 6);
    command_add(&command, STR("XREVRANGE"));
    command_add(&command, key_name(KEY_events));
    command_add(&command, STR("+"));
    command_add(&command, STR("-"));
    command_add(&command, STR("COUNT"));
    command_add_number(&command, 1);
    return send_query(store, &command, on_newest, (struct reading){.newest = callback, .data = data});
}

/* A reading of heartbeats. */
struct listening {
    store_beat_callback *row;
    store_beats_callback *done;
    void *data;
};

/* Reads an entry of the ledger (lua/lib/ledger.lua). False: it can't be read. */
static bool read_entry(struct str entry, struct beat *beat)
{
    str_cut(&entry, ' ');
    beat->status = str_cut(&entry, ' ');
    str_cut(&entry, ' ');
    str_cut(&entry, ' ');
    str_cut(&entry, ' ');
    struct str active = str_cut(&entry, ' ');
    if (active.len == 0)
        return false;
    beat->active_requests = strtoll(active.ptr, NULL, 10);
    return true;
}

/* Reads a load from the worker's hash, since the ledger's is not exact. 0: it is not valid. */
static double read_load(struct str text)
{
    char room[32];
    if (text.len == 0 || text.len >= sizeof(room))
        return 0;
    memcpy(room, text.ptr, text.len);
    room[text.len] = '\0';
    double load = strtod(room, NULL);
    return load >= 0 && load <= 1 ? load : 0;
}

static void on_beats(void *data, enum err err, const struct redisReply *reply)
{
    struct listening *listening = data;
    int64_t now = 0, last = 0;
    size_t count = 0;
    if (err == ERR_NONE)
        now = reply_number(reply_element(reply, 0));
    for (size_t i = 1; err == ERR_NONE && reply_element(reply, i + 4) != NULL; i += 5, count++) {
        struct beat beat = {.worker_id = reply_text(reply_element(reply, i))};
        beat.last_heartbeat = reply_number(reply_element(reply, i + 2));
        last = reply_number(reply_element(reply, i + 3));
        beat.load = read_load(reply_text(reply_element(reply, i + 4)));
        if (read_entry(reply_text(reply_element(reply, i + 1)), &beat) && beat.last_heartbeat > 0)
            listening->row(listening->data, &beat);
    }
    struct beats beats = {.now = now, .offline_at = last, .more = count == STORE_BEATS_MAX};
    listening->done(listening->data, err, &beats);
    free(listening);
}

enum err store_beats(struct store *store, int64_t offline_at, store_beat_callback *row, store_beats_callback *done, void *data)
{
    char since[24], max[24];
    int since_len = snprintf(since, sizeof(since), "%" PRId64, offline_at),
        max_len = snprintf(max, sizeof(max), "%d", STORE_BEATS_MAX);
    struct str args[BEATS_ARGS] = {
        [BEATS_since] = {since, (size_t)since_len},
        [BEATS_max] = {max, (size_t)max_len},
    };
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_beats, args, 0);
    struct listening *listening = store_alloc(sizeof(*listening));
    *listening = (struct listening){row, done, data};
    enum err err = link_run(store->link, SCRIPT_beats, &command, on_beats, listening);
    if (err != ERR_NONE)
        free(listening);
    return err;
}

enum err store_keep_history(struct store *store)
{
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_history, NULL, 0);
    return link_run(store->link, SCRIPT_history, &command, NULL, NULL);
}

/* A reading of the points of a plot. */
struct remembering {
    struct store *store;
    int minutes;
    store_point_callback *row;
    store_callback *done;
    void *data;
};

static void remembering_end(struct remembering *remembering, enum err err)
{
    remembering->done(remembering->data, err);
    free(remembering);
}

static void on_points(void *data, enum err err, const struct redisReply *reply)
{
    struct remembering *remembering = data;
    for (size_t i = 0; err == ERR_NONE && reply_element(reply, i) != NULL; i++) {
        const struct redisReply *entry = reply_element(reply, i), *fields = reply_element(entry, 1);
        struct event_id id;
        struct fleet fleet = {.load = {0}};
        if (!event_id_parse(reply_text(reply_element(entry, 0)), &id))
            continue;
        for (size_t at = 0; reply_element(fields, at + 1) != NULL; at += 2)
            fleet_set_counter(&fleet, reply_text(reply_element(fields, at)), reply_number(reply_element(fields, at + 1)));
        remembering->row(remembering->data, (int64_t)id.milliseconds, &fleet);
    }
    remembering_end(remembering, err);
}

/* Reads the points of the last minutes, counted from now by Redis's clock and not from the last point. */
static void on_time(void *data, enum err err, const struct redisReply *reply)
{
    struct remembering *remembering = data;
    if (err == ERR_NONE) {
        int64_t since = (reply_number(reply_element(reply, 0)) - 60 * (int64_t)remembering->minutes) * 1000;
        struct buffer command = BUFFER_INIT;
        command_begin(&command, 4);
        command_add(&command, STR("XRANGE"));
        command_add(&command, key_name(KEY_history));
        command_add_number(&command, since > 0 ? since : 0);
        command_add(&command, STR("+"));
        err = link_send(remembering->store->link, &command, on_points, remembering);
    }
    if (err != ERR_NONE)
        remembering_end(remembering, err);
}

enum err store_history(struct store *store, int minutes, store_point_callback *row, store_callback *done, void *data)
{
    struct remembering *remembering = store_alloc(sizeof(*remembering));
    *remembering = (struct remembering){store, minutes, row, done, data};
    struct buffer command = BUFFER_INIT;
    command_begin(&command, 1);
    command_add(&command, STR("TIME"));
    enum err err = link_send(store->link, &command, on_time, remembering);
    if (err != ERR_NONE)
        free(remembering);
    return err;
}
