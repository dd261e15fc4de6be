/*
 * One endpoint with OpenAI's paths for all models of the fleet: GET /v1/models, and POST /v1/chat/completions, completions,
 * embeddings and responses, which go to a worker that has the model of the body loaded, else to one whose service may load it.
 * vLLM and Ollama serve these paths themselves, so a request is passed on as it came, and so is the answer.
 */
#include "api/api.h"
#include "api/proxy.h"
#include "base/json_writer.h"
#include "base/percent.h"
#include "http/reply.h"
#include "model/catalogue.h"
#include "model/id.h"
#include "model/model_request.h"
#include "store/requests.h"

#include <stdlib.h>

/* -- requests for a model ----------------------------------------------------------------------------------------------------- */

/* Returns the services of tier 1, which serve models, with commas between. `loads`: only those that load models on demand. */
static struct str model_services(struct request *request, bool loads)
{
    char *room = request_alloc(request, REQUEST_SERVICES_MAX * (ID_MAX + 1));
    size_t len = 0, count = 0;
    for (size_t i = 0; i < catalogue_count && count < REQUEST_SERVICES_MAX; i++) {
        const struct catalogue_service *service = &catalogue[i];
        if (service->tier != TIER_GPU || service->passing.closed || (loads && !service->passing.loads_models))
            continue;
        if (count++ > 0)
            room[len++] = ',';
        memcpy(room + len, service->name.ptr, service->name.len);
        len += service->name.len;
    }
    return (struct str){room, len};
}

static void pass(struct request *request)
{
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    struct model_request *model = request_alloc(request, sizeof(*model));
    enum err err = model_request_read(request->body, model, &faults, &why);
    if (err != ERR_NONE) {
        api_refuse(request, err, why, &faults);
        return;
    }
    struct proxy_order *order = proxy_order_new(request);
    struct str session = request_header(request, "x-rma-session");
    order->services = model_services(request, false);
    order->loaders = model_services(request, true);
    order->model = (struct str){model->model, model->model_len};
    order->session = session.len > 0 ? session : (struct str){model->session_len > 0 ? model->session : NULL, model->session_len};
    order->prefix = order->target.to = request->path;
    order->target.query = request->query;
    if (order->services.len == 0)
        reply_error(request, ERR_NO_WORKER, "The catalogue has no service that serves models: tier 1 is empty.", NULL);
    else
        proxy_pass(request, order);
}

void api_model_request(struct request *request)
{
    if (proxy_check_request(request))
        proxy_know_caller(request, pass);
}

/* -- the models of the fleet ------------------------------------------------------------------------------------------------ */

struct models {
    struct pending *pending;
    struct buffer body;
    struct str wanted; /* in the request's memory; absent: all */
    bool found;
};

static void write_model(struct buffer *out, const struct model_count *model)
{
    json_begin_object(out, NULL);
    json_add_text(out, "id", model->name);
    json_add_text(out, "object", STR("model"));
    json_add_integer(out, "created", 0);
    json_add_text(out, "owned_by", STR("rma"));
    json_add_integer(out, "workers", model->workers);
    json_end_object(out);
}

static void on_model(void *data, const struct model_count *model)
{
    struct models *models = data;
    write_model(&models->body, model);
}

static void on_models(void *data, enum err err)
{
    struct models *models = data;
    struct buffer body = models->body;
    struct request *request = api_resume(models->pending, err);
    if (request != NULL) {
        json_end_array(&body);
        json_end_object(&body);
        reply_json(request, 200, &body);
    }
    buffer_fini(&body);
}

static void on_wanted(void *data, const struct model_count *model)
{
    struct models *models = data;
    char room[MODEL_NAME_MAX];
    if (pending_is_waited_for(models->pending) && str_eq(model_name_normal(models->wanted, room), model->normal)) {
        models->found = true;
        write_model(&models->body, model);
    }
}

static void on_wanted_end(void *data, enum err err)
{
    struct models *models = data;
    struct buffer body = models->body;
    bool found = models->found;
    struct request *request = api_resume(models->pending, err);
    if (request != NULL && found)
        reply_json(request, 200, &body);
    else if (request != NULL)
        reply_error(request, ERR_MODEL_NOT_FOUND, NULL, NULL);
    buffer_fini(&body);
}

static struct models *models_begin(struct request *request)
{
    struct pending *pending = api_wait(request, sizeof(struct models));
    struct models *models = pending_payload(pending);
    models->pending = pending;
    return models;
}

void api_models(struct request *request)
{
    const struct api *api = request_app(request);
    struct models *models = models_begin(request);
    json_begin_object(&models->body, NULL);
    json_add_text(&models->body, "object", STR("list"));
    json_begin_array(&models->body, "data");
    enum err err = store_models(api->store, on_model, on_models, models);
    if (err != ERR_NONE)
        on_models(models, err);
}

void api_model(struct request *request)
{
    const struct api *api = request_app(request);
    struct str path = request_parameter(request, "model");
    while (path.len > 0 && path.ptr[path.len - 1] == '/')
        path.len--; /* no name ends in a slash: it is one too many, also behind "/v1/models" */
    if (path.len == 0) {
        api_models(request);
        return;
    }
    struct models *models = models_begin(request);
    char *room = request_alloc(request, path.len + 1);
    if (!percent_decode(path, false, room, path.len + 1, &models->wanted))
        models->wanted = path;
    enum err err = store_models(api->store, on_wanted, on_wanted_end, models);
    if (err != ERR_NONE)
        on_wanted_end(models, err);
}
