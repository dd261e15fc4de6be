/*
 * One endpoint with OpenAI's paths for all models of the fleet: POST /v1/chat/completions, completions,
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

/* The services of tier 1, which serve models, with commas between; those alone that load a model on demand if `loads`. */
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
