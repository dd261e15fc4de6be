#include "api/api.h"

#include "http/client.h"
#include "http/reply.h"
#include "model/drain.h"
#include "model/id.h"

static void on_unregistered(void *data, enum err err)
{
    struct request *request = api_resume(data, err);
    if (request != NULL) {
        struct buffer body = BUFFER_INIT;
        buffer_append(&body, STR("{\"status\":\"ok\",\"message\":\"Worker "));
        buffer_append(&body, request_parameter(request, "worker_id"));
        buffer_append(&body, STR(" unregistered\"}"));
        reply_json(request, 200, &body);
    }
}

void api_unregister(struct request *request)
{
    const struct api *api = request_app(request);
    if (!api_check_id(request, "worker_id"))
        return;
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_unregister(api->store, request_parameter(request, "worker_id"), on_unregistered, pending));
}

/* What a drain and an undrain answer; the path says which of them it was. */
static void on_drained(struct pending *pending, enum err err, const char *message)
{
    struct request *request = api_resume(pending, err);
    if (request != NULL) {
        struct buffer body = BUFFER_INIT;
        buffer_append(&body, STR("{\"status\":\"ok\",\"message\":\"Worker "));
        buffer_append(&body, request_parameter(request, "worker_id"));
        buffer_printf(&body, " %s\"}", message);
        reply_json(request, 200, &body);
    }
}

static void on_drain(void *data, enum err err)
{
    on_drained(data, err, "takes no new work");
}

static void on_undrain(void *data, enum err err)
{
    on_drained(data, err, "takes work again");
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

static void on_worker(void *data, enum err err, const struct worker *worker, int64_t now)
{
    struct request *request = api_resume(data, err);
    if (request != NULL) {
        char room[512];
        struct buffer body = BUFFER_INIT;
        worker_write(&body, worker, now, api_coordinator_url(request, room));
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
