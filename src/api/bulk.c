/*
 * Takes many heartbeats in one request: node agents send those of all their workers together.
 */
#include "api/api.h"
#include "api/heartbeat.h"
#include "base/json_writer.h"
#include "base/log_repeat.h"
#include "http/client.h"
#include "http/reply.h"
#include "model/id.h"
#include "model/json.h"

#include <stdio.h>
#include <stdlib.h>

#define HEARTBEATS_MAX 1000
#define NAMED_FAULTS_MAX 100 /* an answer describes so many refused heartbeats, and counts all */

struct bulk;

/* One heartbeat of the request. */
struct bulk_beat {
    struct bulk *bulk;
    char worker_id[ID_MAX];
    size_t worker_id_len;
    struct ignored_note *note; /* owned; NULL: no member of it was ignored */
    bool tells_tasks;
    struct buffer tasks; /* ids of the tasks that the worker reports as its own, with blanks between */
    enum { BEAT_SENT, BEAT_TAKEN, BEAT_REVIVED, BEAT_UNKNOWN, BEAT_FORBIDDEN } outcome;
};

struct bulk {
    struct pending *pending;
    struct store *store;
    enum err err;   /* of any heartbeat; the whole request is then answered with it */
    size_t waiting; /* outcomes still to come, plus 1 while the request is read */
    size_t count, faulty, forbidden;
    struct buffer invalid; /* the faults of refused heartbeats, as elements of a JSON array */
    struct buffer ignored; /* the ignored members of accepted heartbeats, as elements */
    size_t named, unnamed; /* how many elements `ignored` has, and how many are left out */
    struct buffer tasks;   /* the news for workers about their tasks, as elements */
    char address[64];
    struct bulk_beat *beats;
};

static void write_ids(struct buffer *out, const char *key, const struct bulk *bulk, int outcome)
{
    json_begin_array(out, key);
    for (size_t i = 0; i < bulk->count; i++)
        if ((int)bulk->beats[i].outcome == outcome)
            json_add_text(out, NULL, (struct str){bulk->beats[i].worker_id, bulk->beats[i].worker_id_len});
    json_end_array(out);
}

/* Begins an array with the given elements. */
static void begin_elements(struct buffer *out, const char *key, const struct buffer *elements)
{
    json_begin_array(out, key);
    if (elements->len > 0)
        json_add_raw(out, NULL, buffer_str(elements));
}

static void write_answer(struct buffer *out, const struct bulk *bulk)
{
    size_t ok = 0;
    for (size_t i = 0; i < bulk->count; i++)
        ok += bulk->beats[i].outcome == BEAT_TAKEN || bulk->beats[i].outcome == BEAT_REVIVED;
    json_begin_object(out, NULL);
    json_add_integer(out, "ok", (int64_t)ok);
    write_ids(out, "not_found", bulk, BEAT_UNKNOWN);
    write_ids(out, "revived", bulk, BEAT_REVIVED);
    json_add_integer(out, "refused", (int64_t)bulk->faulty);
    begin_elements(out, "invalid", &bulk->invalid);
    json_end_array(out);
    if (bulk->forbidden > 0)
        write_ids(out, "forbidden", bulk, BEAT_FORBIDDEN);
    if (bulk->tasks.len > 0) {
        begin_elements(out, "tasks", &bulk->tasks);
        json_end_array(out);
    }
    if (bulk->ignored.len > 0) {
        begin_elements(out, "ignored", &bulk->ignored);
        if (bulk->unnamed > 0) {
            char message[32];
            snprintf(message, sizeof(message), "and %zu more", bulk->unnamed);
            json_begin_object(out, NULL);
            json_add_null(out, "index");
            json_add_text(out, "field", STR("..."));
            json_add_text(out, "message", str_from(message));
            json_end_object(out);
        }
        json_end_array(out);
    }
    json_end_object(out);
}

/* Logs heartbeats that were not taken, as it is done for single ones. The status of the answer is 200 and does not show them. */
static void log_not_taken(const struct bulk *bulk)
{
    const struct bulk_beat *first = NULL;
    size_t unknown = 0;
    for (size_t i = bulk->count; i-- > 0;) {
        if (bulk->beats[i].outcome != BEAT_UNKNOWN)
            continue;
        first = &bulk->beats[i];
        unknown++;
    }
    if (unknown + bulk->faulty == 0)
        return;
    const struct log_field fields[] = {
        log_text("address", bulk->address),
        log_number("refused", (double)bulk->faulty),
        log_number("not_found", (double)unknown),
        log_str("worker_id", first != NULL ? (struct str){first->worker_id, first->worker_id_len} : STR("")),
        LOG_END,
    };
    log_write_repeatable(LOG_INFO, "heartbeat", "some heartbeats of a bulk request were not taken", 1, fields);
}

/* Counts one outcome less to wait for. Answers the request after the last one. */
static void arrived(struct bulk *bulk)
{
    if (--bulk->waiting > 0)
        return;
    struct buffer body = BUFFER_INIT;
    write_answer(&body, bulk);
    if (bulk->err == ERR_NONE)
        log_not_taken(bulk);
    buffer_fini(&bulk->invalid);
    buffer_fini(&bulk->ignored);
    buffer_fini(&bulk->tasks);
    for (size_t i = 0; i < bulk->count; i++)
        buffer_fini(&bulk->beats[i].tasks);
    free(bulk->beats);
    struct request *request = api_resume(bulk->pending, bulk->err);
    if (request != NULL)
        reply_json(request, 200, &body);
    buffer_fini(&body);
}

/* Adds the news about a worker's tasks. If Redis fails to tell them, the heartbeat counts all the same. */
static void on_news(void *data, enum err err, const struct task_news *news)
{
    struct bulk_beat *beat = data;
    if (err == ERR_NONE && heartbeat_has_news(news)) {
        struct buffer *out = &beat->bulk->tasks;
        json_begin_object(out, NULL);
        json_add_text(out, "worker_id", (struct str){beat->worker_id, beat->worker_id_len});
        heartbeat_write_news(out, news);
        json_end_object(out);
    }
    arrived(beat->bulk);
}

static void on_beat(void *data, enum err err, const struct beaten *beaten)
{
    struct bulk_beat *beat = data;
    struct str worker_id = {beat->worker_id, beat->worker_id_len};
    beat->outcome = err == ERR_WORKER_NOT_FOUND ? BEAT_UNKNOWN
                    : err == ERR_OTHERS         ? BEAT_FORBIDDEN
                    : beaten->revived           ? BEAT_REVIVED
                                                : BEAT_TAKEN;
    if (err == ERR_NONE && beat->note != NULL)
        ignored_note_log(beat->note, worker_id, beat->bulk->address, beaten);
    free(beat->note);
    beat->bulk->forbidden += err == ERR_OTHERS;
    if (err != ERR_NONE && err != ERR_WORKER_NOT_FOUND && err != ERR_OTHERS)
        beat->bulk->err = err;
    bool asks = err == ERR_NONE && (beat->tells_tasks || beaten->has_news) && pending_is_waited_for(beat->bulk->pending);
    if (!asks ||
        store_task_news(beat->bulk->store, worker_id, beat->tells_tasks, buffer_str(&beat->tasks), on_news, beat) != ERR_NONE)
        arrived(beat->bulk);
}

/* Adds {"index", "detail" | "errors"} for a refused heartbeat. */
static void add_refused(struct bulk *bulk, size_t index, const char *why, const struct faults *faults)
{
    if (bulk->faulty++ >= NAMED_FAULTS_MAX)
        return;
    struct buffer *out = &bulk->invalid;
    json_begin_object(out, NULL);
    json_add_integer(out, "index", (int64_t)index);
    if (faults->count > 0)
        faults_write(out, "errors", faults);
    else
        json_add_text(out, "detail", str_from(why));
    json_end_object(out);
}

/* Adds {"index", "field", "message"} for each ignored member, and keeps in beat->note what is to be logged. */
static void note_ignored(struct bulk *bulk, struct bulk_beat *beat, size_t index, const struct heartbeat *heartbeat,
                         const struct faults *ignored)
{
    for (size_t i = 0; i < ignored->count; i++) {
        if (bulk->named >= FAULTS_MAX) {
            bulk->unnamed++;
            continue;
        }
        struct buffer *out = &bulk->ignored;
        bulk->named++;
        json_begin_object(out, NULL);
        json_add_integer(out, "index", (int64_t)index);
        json_add_text(out, "field", str_from(ignored->items[i].field));
        json_add_text(out, "message", str_from(ignored->items[i].message));
        json_end_object(out);
    }
    beat->note = malloc(sizeof(*beat->note));
    if (beat->note == NULL)
        abort();
    ignored_note_init(beat->note, heartbeat, ignored);
}

/* Sends one heartbeat of the request to Redis, if it is valid. */
static void take_heartbeat(struct request *request, struct bulk *bulk, size_t index, struct str text)
{
    struct heartbeat heartbeat;
    struct faults faults = FAULTS_INIT, ignored = FAULTS_INIT;
    const char *why = NULL;
    if (text.len > SERVER_BODY_MAX) {
        add_refused(bulk, index, "A heartbeat takes at most 64 KiB.", &faults);
        return;
    }
    if (heartbeat_parse(text, &heartbeat, &faults, &ignored, &why) != ERR_NONE) {
        add_refused(bulk, index, why, &faults);
        faults_fini(&faults);
        return;
    }
    struct bulk_beat *beat = &bulk->beats[bulk->count++];
    beat->bulk = bulk;
    memcpy(beat->worker_id, heartbeat.worker_id.ptr, heartbeat.worker_id.len);
    beat->worker_id_len = heartbeat.worker_id.len;
    bulk->waiting++;
    heartbeat_settle(&heartbeat, str_from(bulk->address), &ignored);
    if (ignored.count > 0)
        note_ignored(bulk, beat, index, &heartbeat, &ignored);
    faults_fini(&ignored);
    beat->tells_tasks = heartbeat.tells_tasks;
    beat->tasks = heartbeat.tasks;
    heartbeat.tasks = (struct buffer)BUFFER_INIT;
    enum err err = admit_speaks_for(request, heartbeat.worker_id, &heartbeat.join)
                       ? store_heartbeat(bulk->store, &heartbeat, true, on_beat, beat)
                       : ERR_OTHERS;
    heartbeat_fini(&heartbeat);
    if (err != ERR_NONE)
        on_beat(beat, err, &(struct beaten){.revived = false});
}

void api_heartbeats(struct request *request)
{
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    struct str body = request->body;
    enum err err = json_check_body(&body, &why);
    if (err != ERR_NONE) {
        api_refuse(request, err, why, &faults);
        return;
    }
    struct str list = json_member_text(body, "heartbeats");
    size_t count = api_count_elements(list, HEARTBEATS_MAX);
    if (count < 1 || count > HEARTBEATS_MAX) {
        faults_add(&faults, "heartbeats", "must be an array of 1 to %d heartbeats", HEARTBEATS_MAX);
        api_refuse(request, ERR_INVALID, NULL, &faults);
        return;
    }
    struct pending *pending = api_wait(request, sizeof(struct bulk));
    struct bulk *bulk = pending_payload(pending);
    bulk->pending = pending;
    bulk->store = ((const struct api *)request_app(request))->store;
    char room[64];
    struct str address = client_address(request, room);
    snprintf(bulk->address, sizeof(bulk->address), "%.*s", STR_PRINTF(address));
    bulk->beats = calloc(count, sizeof(*bulk->beats));
    if (bulk->beats == NULL)
        abort();
    bulk->waiting = 1;
    struct json_items items = json_items(list);
    struct json_item item;
    for (size_t index = 0; json_next(&items, &item); index++)
        take_heartbeat(request, bulk, index, item.value);
    arrived(bulk);
}
