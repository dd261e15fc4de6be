/*
 * Takes heartbeats of single workers. Edge nodes have a path of their own, with a shorter answer.
 */
#include "api/heartbeat.h"

#include "api/api.h"
#include "api/signing.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "base/log_repeat.h"
#include "http/client.h"
#include "http/reply.h"
#include "model/id.h"

#include <stdio.h>

void ignored_note_init(struct ignored_note *note, const struct heartbeat *heartbeat, const struct faults *ignored)
{
    struct str rest = buffer_str(&heartbeat->ignored), first = str_cut(&rest, ',');
    snprintf(note->field, sizeof(note->field), "%.*s", STR_PRINTF(first));
    snprintf(note->message, sizeof(note->message), "%s", ignored->items[0].message);
}

void ignored_note_log(const struct ignored_note *note, struct str worker_id, const char *address, const struct beaten *beaten)
{
    const struct log_field fields[] = {
        log_str("field", beaten->newly_ignored.len > 0 ? beaten->newly_ignored : str_from(note->field)),
        log_str("worker_id", worker_id),
        log_text("detail", note->message),
        log_text("address", address),
        LOG_END,
    };
    if (beaten->newly_ignored.len > 0)
        log_write(LOG_WARN, "heartbeat", "part of a heartbeat can't be used; the rest of it counts", fields);
    else
        log_write_counted(LOG_WARN, "heartbeat", "part of a heartbeat can't be used", 1, fields);
}

/* The payload of a request that waits. */
struct beating {
    struct pending *pending;
    const struct api *api;
    struct store *store;
    char grant[GRANT_MAX + 1]; /* for the worker's next token, if that is due; empty: it is not */
    struct ignored_note note;  /* what is to be logged about ignored members; valid if ignored_len is not 0 */
    char address[64];
    char worker_id[ID_MAX];
    size_t worker_id_len;
    bool revived, tells_tasks;
    size_t ignored_len, tasks_len;
    char text[]; /* "ignored":[…]; then the ids of the tasks that the worker reports as its own */
};

bool heartbeat_has_news(const struct task_news *news)
{
    return news->waiting > 0 || news->lost.len > 0 || news->cancel.len > 0;
}

/* Adds ids, which have blanks between, as an array; adds nothing if there are none. */
static void add_ids(struct buffer *out, const char *key, struct str ids)
{
    if (ids.len == 0)
        return;
    json_begin_array(out, key);
    while (ids.len > 0)
        json_add_text(out, NULL, str_cut(&ids, ' '));
    json_end_array(out);
}

void heartbeat_write_news(struct buffer *out, const struct task_news *news)
{
    if (news->waiting > 0)
        json_add_integer(out, "tasks_waiting", news->waiting);
    add_ids(out, "tasks_lost", news->lost);
    add_ids(out, "tasks_cancel", news->cancel);
}

/* Adds the worker's next token to the body if it is due, and sends the answer. Frees the body. */
static void end_answer(struct beating *beating, enum err err, struct buffer *body)
{
    struct str worker_id = {beating->worker_id, beating->worker_id_len};
    if (beating->grant[0] != '\0')
        signing_write_worker_token(body, beating->api, worker_id, str_from(beating->grant));
    json_end_object(body);
    struct request *request = api_resume(beating->pending, err);
    if (request != NULL)
        reply_json(request, 200, body);
    buffer_fini(body);
}

/* Answers the heartbeat. `news` NULL: there is none. */
static void answer(struct beating *beating, enum err err, const struct task_news *news)
{
    bool has_news = news != NULL && heartbeat_has_news(news);
    if (beating->ignored_len == 0 && !beating->revived && !has_news && beating->grant[0] == '\0') {
        struct request *plain = api_resume(beating->pending, err);
        if (plain != NULL)
            reply_constant(plain, 200, STR("{\"status\":\"ok\",\"message\":\"Heartbeat received\"}"));
        return;
    }
    struct buffer body = BUFFER_INIT;
    json_begin_object(&body, NULL);
    json_add_text(&body, "status", STR("ok"));
    json_add_text(&body, "message", STR("Heartbeat received"));
    if (beating->revived)
        json_add_bool(&body, "revived", true);
    if (beating->ignored_len > 0)
        json_add_raw(&body, NULL, (struct str){beating->text, beating->ignored_len});
    if (has_news)
        heartbeat_write_news(&body, news);
    end_answer(beating, err, &body);
}

/* Answers with the news about the worker's tasks. If Redis fails to tell them, the heartbeat counts all the same. */
static void on_news(void *data, enum err err, const struct task_news *news)
{
    answer(data, ERR_NONE, err == ERR_NONE ? news : NULL);
}

static void on_heartbeat(void *data, enum err err, const struct beaten *beaten)
{
    struct beating *beating = data;
    struct str worker_id = {beating->worker_id, beating->worker_id_len};
    if (err == ERR_NONE) {
        beating->revived = beaten->revived;
        if (beating->ignored_len > 0)
            ignored_note_log(&beating->note, worker_id, beating->address, beaten);
    }
    bool asks = err == ERR_NONE && (beating->tells_tasks || beaten->has_news) && pending_is_waited_for(beating->pending);
    struct str tasks = {beating->text + beating->ignored_len, beating->tasks_len};
    if (!asks || store_task_news(beating->store, worker_id, beating->tells_tasks, tasks, on_news, beating) != ERR_NONE)
        answer(beating, err, NULL);
}

static void on_edge_heartbeat(void *data, enum err err, const struct beaten *beaten)
{
    struct beating *beating = data;
    struct buffer body = BUFFER_INIT;
    if (err == ERR_NONE && beating->ignored_len > 0)
        ignored_note_log(&beating->note, (struct str){beating->worker_id, beating->worker_id_len}, beating->address, beaten);
    json_begin_object(&body, NULL);
    json_add_text(&body, "status", STR("ok"));
    if (beating->ignored_len > 0)
        json_add_raw(&body, NULL, (struct str){beating->text, beating->ignored_len});
    end_answer(beating, err, &body);
}

/* Makes the request wait. Copies what the answer needs of the heartbeat and of `ignored`, and frees `ignored`. */
static struct beating *wait_for(struct request *request, const struct heartbeat *heartbeat, struct str address,
                                struct faults *ignored)
{
    struct buffer text = BUFFER_INIT;
    if (ignored->count > 0)
        faults_write(&text, "ignored", ignored);
    size_t ignored_len = text.len;
    buffer_append(&text, buffer_str(&heartbeat->tasks));
    struct pending *pending = api_wait(request, sizeof(struct beating) + text.len);
    struct beating *beating = pending_payload(pending);
    beating->pending = pending;
    beating->api = request_app(request);
    beating->store = beating->api->store;
    const struct principal *principal = admit_principal(request);
    if (principal->kind == PRINCIPAL_WORKER && signing_is_due(principal->expires_at, clock_wall_ms() / 1000))
        memcpy(beating->grant, principal->grant, sizeof(beating->grant));
    beating->worker_id_len = heartbeat->worker_id.len;
    memcpy(beating->worker_id, heartbeat->worker_id.ptr, heartbeat->worker_id.len);
    if (ignored->count > 0) {
        ignored_note_init(&beating->note, heartbeat, ignored);
        snprintf(beating->address, sizeof(beating->address), "%.*s", STR_PRINTF(address));
    }
    beating->tells_tasks = heartbeat->tells_tasks;
    beating->ignored_len = ignored_len;
    beating->tasks_len = text.len - ignored_len;
    if (text.len > 0)
        memcpy(beating->text, text.ptr, text.len);
    buffer_fini(&text);
    faults_fini(ignored);
    return beating;
}

static void beat(struct request *request, store_heartbeat_callback *callback)
{
    const struct api *api = request_app(request);
    struct heartbeat heartbeat;
    struct faults faults = FAULTS_INIT, ignored = FAULTS_INIT;
    const char *why = NULL;
    enum err err = heartbeat_parse(request->body, &heartbeat, &faults, &ignored, &why);
    if (err != ERR_NONE) {
        api_refuse(request, err, why, &faults);
        return;
    }
    request_name_worker(request, heartbeat.worker_id);
    if (!admit_worker(request, heartbeat.worker_id, &heartbeat.join)) {
        heartbeat_fini(&heartbeat);
        faults_fini(&ignored);
        return;
    }
    char room[INET_TEXT_MAX];
    struct str address = client_address(request, room);
    heartbeat_settle(&heartbeat, address, &ignored);
    struct beating *beating = wait_for(request, &heartbeat, address, &ignored);
    struct pending *pending = beating->pending;
    err = store_heartbeat(api->store, &heartbeat, false, callback, beating);
    heartbeat_fini(&heartbeat);
    api_sent(pending, err);
}

void api_heartbeat(struct request *request)
{
    beat(request, on_heartbeat);
}

void api_edge_heartbeat(struct request *request)
{
    beat(request, on_edge_heartbeat);
}
