/*
 * Heartbeats of single workers. Edge nodes have a path of their own, with a shorter answer.
 */
#include "api/heartbeat.h"

#include "api/api.h"
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

/* The payload of a request of which something was ignored. */
struct ignoring {
    struct ignored_note note;
    char address[64];
    char worker_id[ID_MAX];
    size_t worker_id_len, len;
    char text[]; /* "ignored":[…] */
};

request_handler api_edge_heartbeat;

/* `ignored`: a member of the answer; empty: there is none. */
static void answer(struct pending *pending, enum err err, const struct beaten *beaten, struct str ignored)
{
    struct request *request = api_resume(pending, err);
    if (request == NULL)
        return;
    bool is_edge = request->route->handler == api_edge_heartbeat;
    if (!is_edge && ignored.len == 0 && !beaten->revived) {
        reply_constant(request, 200, STR("{\"status\":\"ok\",\"message\":\"Heartbeat received\"}"));
        return;
    }
    struct buffer body = BUFFER_INIT;
    json_begin_object(&body, NULL);
    json_add_text(&body, "status", STR("ok"));
    if (!is_edge)
        json_add_text(&body, "message", STR("Heartbeat received"));
    if (!is_edge && beaten->revived)
        json_add_bool(&body, "revived", true);
    if (ignored.len > 0)
        json_add_raw(&body, NULL, ignored);
    json_end_object(&body);
    reply_json(request, 200, &body);
}

static void on_heartbeat(void *data, enum err err, const struct beaten *beaten)
{
    answer(data, err, beaten, STR(""));
}

static void on_ignoring(void *data, enum err err, const struct beaten *beaten)
{
    struct ignoring *ignoring = pending_payload(data);
    if (err == ERR_NONE)
        ignored_note_log(&ignoring->note, (struct str){ignoring->worker_id, ignoring->worker_id_len}, ignoring->address, beaten);
    answer(data, err, beaten, (struct str){ignoring->text, ignoring->len});
}

/* Makes the request wait, with what its answer has to say of `ignored`, which is freed. */
static struct pending *wait_ignoring(struct request *request, const struct heartbeat *heartbeat, struct str address,
                                     struct faults *ignored)
{
    struct buffer text = BUFFER_INIT;
    faults_write(&text, "ignored", ignored);
    struct pending *pending = api_wait(request, sizeof(struct ignoring) + text.len);
    struct ignoring *ignoring = pending_payload(pending);
    ignored_note_init(&ignoring->note, heartbeat, ignored);
    snprintf(ignoring->address, sizeof(ignoring->address), "%.*s", STR_PRINTF(address));
    memcpy(ignoring->worker_id, heartbeat->worker_id.ptr, heartbeat->worker_id.len);
    ignoring->worker_id_len = heartbeat->worker_id.len;
    memcpy(ignoring->text, text.ptr, text.len);
    ignoring->len = text.len;
    buffer_fini(&text);
    faults_fini(ignored);
    return pending;
}

static void beat(struct request *request)
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
    char room[INET_TEXT_MAX];
    struct str address = client_address(request, room);
    heartbeat_settle(&heartbeat, address, &ignored);
    bool is_whole = ignored.count == 0;
    struct pending *pending = is_whole ? api_wait(request, 0) : wait_ignoring(request, &heartbeat, address, &ignored);
    err = store_heartbeat(api->store, &heartbeat, false, is_whole ? on_heartbeat : on_ignoring, pending);
    heartbeat_fini(&heartbeat);
    api_sent(pending, err);
}

void api_heartbeat(struct request *request)
{
    beat(request);
}

void api_edge_heartbeat(struct request *request)
{
    beat(request);
}
