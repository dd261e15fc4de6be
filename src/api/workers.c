#include "api/admit.h"
#include "api/api.h"

#include "base/json_writer.h"
#include "base/log.h"
#include "http/client.h"
#include "http/reply.h"
#include "model/drain.h"
#include "model/id.h"

#include <stdio.h>

/* Answers {"status": "ok", "message": "Worker w-1 …"}. */
static void reply_done(struct request *request, const char *message)
{
    struct buffer body = BUFFER_INIT, sentence = BUFFER_INIT;
    buffer_append(&sentence, STR("Worker "));
    buffer_append(&sentence, request_parameter(request, "worker_id"));
    buffer_append(&sentence, str_from(message));
    json_begin_object(&body, NULL);
    json_add_text(&body, "status", STR("ok"));
    json_add_text(&body, "message", buffer_str(&sentence));
    json_end_object(&body);
    buffer_fini(&sentence);
    reply_json(request, 200, &body);
}

static void on_unregistered(void *data, enum err err)
{
    struct request *request = api_resume(data, err);
    if (request == NULL)
        return;
    char message[ID_MAX + 64], room[64];
    struct str worker_id = request_parameter(request, "worker_id");
    snprintf(message, sizeof(message), "worker %.*s is removed: unregistered", STR_PRINTF(worker_id));
    log_event(LOG_INFO, "worker_removed", message, log_str("worker_id", worker_id),
              log_str("address", client_address(request, room)));
    reply_done(request, " unregistered");
}

void api_unregister(struct request *request)
{
    const struct api *api = request_app(request);
    if (!api_check_id(request, "worker_id"))
        return;
    struct str worker_id = request_parameter(request, "worker_id"), join;
    if (!admit_worker(request, worker_id, &join))
        return;
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_unregister(api->store, worker_id, join, on_unregistered, pending));
}

static void on_drain(void *data, enum err err)
{
    struct request *request = api_resume(data, err);
    if (request != NULL)
        reply_done(request, " takes no new work");
}

static void on_undrain(void *data, enum err err)
{
    struct request *request = api_resume(data, err);
    if (request != NULL)
        reply_done(request, " takes work again");
}

static void drain(struct request *request, bool begin, struct str reason)
{
    const struct api *api = request_app(request);
    char room[64];
    struct str from = api->config->client.len > 0 ? api->config->client : client_address(request, room);
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_drain(api->store, request_parameter(request, "worker_id"), begin, reason, from,
                                  begin ? on_drain : on_undrain, pending));
}

void api_drain(struct request *request)
{
    struct buffer reason = BUFFER_INIT;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    if (!api_check_id(request, "worker_id"))
        return;
    enum err err = drain_parse(request->body, &reason, &faults, &why);
    if (err == ERR_NONE)
        drain(request, true, buffer_str(&reason));
    else
        api_refuse(request, err, why, &faults);
    buffer_fini(&reason);
}

void api_undrain(struct request *request)
{
    if (api_check_id(request, "worker_id"))
        drain(request, false, (struct str){NULL, 0});
}

/*
 * Containers may have secrets in their variables: unless AUTH is off, those are for operators, and for the worker when it
 * registers.
 */
static bool sees_secrets(const struct request *request)
{
    return !admit_is_enforced(request) || admit_principal(request)->role >= ROLE_OPERATOR;
}

static void on_worker(void *data, enum err err, const struct worker *worker, int64_t now)
{
    struct request *request = api_resume(data, err);
    if (request != NULL) {
        char room[512];
        struct buffer body = BUFFER_INIT;
        worker_write(&body, worker, now, api_coordinator_url(request, room), sees_secrets(request));
        reply_json(request, 200, &body);
    }
}

void api_worker(struct request *request)
{
    if (!api_check_id(request, "worker_id"))
        return;
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_get(reading_store(request), request_parameter(request, "worker_id"), on_worker, pending));
}
