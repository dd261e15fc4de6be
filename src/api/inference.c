/*
 * The old paths for inference: POST /api/inference/llm, vision, rag/query and graph/extract. Their input is turned into the
 * bodies that workers take. They answer with the workers' JSON, or with 502 or 503 and a sentence.
 */
#include "api/api.h"
#include "api/proxy.h"
#include "base/json_writer.h"
#include "http/reply.h"
#include "model/catalogue.h"
#include "model/json.h"
#include "model/model_request.h"

#define NOBODY(who) "No " who " workers available. Please try again later."
#define FAILED "Worker request failed: "

/* Copies a body into the request's memory, and releases the buffer. */
static struct str keep(struct request *request, struct buffer *body)
{
    char *copy = request_alloc(request, body->len);
    memcpy(copy, body->ptr, body->len);
    struct str kept = {copy, body->len};
    buffer_fini(body);
    return kept;
}

static void pass_known(struct request *request)
{
    proxy_pass(request, request->waiting);
}

static void pass(struct request *request, struct proxy_order *order, struct str service, struct str path, struct buffer *body,
                 const char *nobody)
{
    order->services = catalogue_name(service);
    order->prefix = request->path;
    order->target.to = path;
    order->method = STR("POST");
    order->type = STR("application/json");
    order->body = keep(request, body);
    order->nobody = nobody;
    order->failed = FAILED;
    order->session = request_header(request, "x-rma-session");
    request->waiting = order;
    if (proxy_check_request(request))
        proxy_know_caller(request, pass_known);
}

/* Reads the body of llm and vision. If it is wrong, answers the request and returns false. */
static bool read_completion(struct request *request, struct completion_request *completion, struct proxy_order *order)
{
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    struct model_request *model = request_alloc(request, sizeof(*model));
    enum err err = completion_request_read(request->body, completion, model, &faults, &why);
    if (err != ERR_NONE) {
        api_refuse(request, err, why, &faults);
        return false;
    }
    order->model = (struct str){model->model, model->model_len};
    return true;
}

void api_inference_llm(struct request *request)
{
    struct proxy_order *order = proxy_order_new(request);
    struct completion_request completion;
    struct buffer body = BUFFER_INIT;
    if (!read_completion(request, &completion, order))
        return;
    json_begin_object(&body, NULL);
    json_add_raw(&body, "model", completion.model);
    json_add_raw(&body, "prompt", completion.prompt);
    json_add_raw(&body, "max_tokens", completion.max_tokens);
    json_add_raw(&body, "temperature", completion.temperature);
    json_end_object(&body);
    pass(request, order, STR("vllm"), STR("/v1/completions"), &body, NOBODY("vLLM"));
}

void api_inference_vision(struct request *request)
{
    struct proxy_order *order = proxy_order_new(request);
    struct completion_request completion;
    struct buffer body = BUFFER_INIT;
    if (!read_completion(request, &completion, order))
        return;
    json_begin_object(&body, NULL);
    json_add_raw(&body, "model", completion.model);
    json_add_raw(&body, "prompt", completion.prompt);
    json_add_bool(&body, "stream", false);
    json_begin_object(&body, "options");
    json_add_raw(&body, "num_predict", completion.max_tokens);
    json_add_raw(&body, "temperature", completion.temperature);
    json_end_object(&body);
    json_end_object(&body);
    pass(request, order, STR("vision"), STR("/api/generate"), &body, NOBODY("vision"));
}

/* Returns a decoded text of the query; absent if there is none. If it is wrong, answers the request and sets *refused. */
static struct str read_text(struct request *request, const char *name, bool required, bool *refused)
{
    size_t size = request->query.len + 1;
    struct str text = request_query(request, name, request_alloc(request, size), size);
    struct faults faults = FAULTS_INIT;
    if (*refused)
        return text;
    if (required && text.len == 0)
        faults_add(&faults, name, "is missing from the query");
    else if (text.len > 0 && !json_is_utf8(text))
        faults_add(&faults, name, "must be UTF-8");
    *refused = faults.count > 0;
    if (*refused)
        api_refuse(request, ERR_INVALID, NULL, &faults);
    return text;
}

void api_inference_rag(struct request *request)
{
    bool refused = false;
    struct str question = read_text(request, "query", true, &refused), context = read_text(request, "context", false, &refused);
    struct buffer body = BUFFER_INIT;
    if (refused)
        return;
    json_begin_object(&body, NULL);
    json_add_text(&body, "question", question);
    if (context.len > 0)
        json_add_text(&body, "context", context);
    json_end_object(&body);
    pass(request, proxy_order_new(request), STR("rag"), STR("/query"), &body, NOBODY("RAG"));
}

void api_inference_graph(struct request *request)
{
    bool refused = false;
    struct str text = read_text(request, "text", true, &refused);
    struct buffer body = BUFFER_INIT;
    if (refused)
        return;
    json_begin_object(&body, NULL);
    json_add_text(&body, "markdown", text);
    json_end_object(&body);
    pass(request, proxy_order_new(request), STR("ner"), STR("/extract"), &body, NOBODY("NER"));
}
