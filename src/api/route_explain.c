/*
 * GET /api/route/explain: which worker would get a request, and why the others would not.
 */
#include "api/api.h"
#include "base/json_writer.h"
#include "http/reply.h"
#include "model/catalogue.h"
#include "model/endpoint.h"
#include "model/id.h"
#include "store/requests.h"
#include "upstream/upstream.h"

#include <inttypes.h>

struct account {
    struct pending *pending;
    const struct api *api;
    struct buffer rows, placeless; /* `placeless`: the rows of workers that no request can reach, which come last */
    int64_t left_out;
    char service_room[ID_MAX], model_room[MODEL_NAME_MAX], chosen_room[ID_MAX];
    struct str service, model, chosen; /* model absent: any */
    bool closed;                       /* no request for the service is passed on */
};

static const char *const codes[] = {
    [ROUTE_ELIGIBLE] = "eligible", [ROUTE_SUSPECT] = "suspect",
    [ROUTE_NO_MODEL] = "no-model", [ROUTE_OTHERS] = "other-models",
    [ROUTE_TRIAL] = "tried",       [ROUTE_OPEN] = "breaker-open",
    [ROUTE_UNWELL] = "unwell",     [ROUTE_DRAINING] = "draining",
    [ROUTE_OFFLINE] = "offline",   [ROUTE_NOT_SERVICE] = "other-service",
};

static int64_t seconds_left(const struct route_row *row)
{
    return (row->left_ms + 999) / 1000;
}

/* Whether the worker provides the service, and gets no request for it, however it stands. */
static bool is_closed(const struct account *account, const struct route_row *row)
{
    return account->closed && row->standing != ROUTE_NOT_SERVICE;
}

/* Appends why a worker may be chosen, or not, as a sentence. */
static void write_reason(struct buffer *out, const struct account *account, const struct route_row *row)
{
    if (is_closed(account, row)) {
        buffer_printf(out, "Requests for %.*s are not passed on to any worker.", STR_PRINTF(account->service));
        return;
    }
    switch (row->standing) {
    case ROUTE_ELIGIBLE:
        buffer_printf(out, "It has %" PRId64 " request%s in flight and a load of %.2f.", row->in_flight,
                      row->in_flight == 1 ? "" : "s", row->load);
        break;
    case ROUTE_SUSPECT:
        buffer_printf(out, "A connection to it failed: others are chosen first for %" PRId64 " s.", seconds_left(row));
        break;
    case ROUTE_NO_MODEL:
        buffer_printf(out, "It has not loaded %.*s: workers that have are chosen first.", STR_PRINTF(account->model));
        break;
    case ROUTE_OTHERS:
        buffer_printf(out, "It has loaded other models than %.*s, and loads none on demand.", STR_PRINTF(account->model));
        break;
    case ROUTE_TRIAL:
        buffer_append(out, STR("Requests failed at it: one is under way to try it, and it gets no other until that has ended."));
        break;
    case ROUTE_OPEN:
        buffer_printf(out, "Requests failed at it: it gets none for %" PRId64 " s.", seconds_left(row));
        break;
    case ROUTE_UNWELL:
        buffer_printf(out, "It says that its %.*s is not well.", STR_PRINTF(account->service));
        break;
    case ROUTE_DRAINING:
        buffer_append(out, STR("It drains: it takes no new requests."));
        break;
    case ROUTE_OFFLINE:
        buffer_append(out, STR("It is offline."));
        break;
    case ROUTE_NOT_SERVICE:
        buffer_printf(out, "It does not provide %.*s.", STR_PRINTF(account->service));
        break;
    }
}

/*
 * Whether no request can reach the worker at any of its URLs. Appends why, as a sentence, and sets *code. The choice does not know
 * that: such a worker is chosen all the same, and each request fails at it or passes it over.
 */
static bool is_placeless(const struct account *account, const struct route_row *row, struct buffer *reason, struct str *code)
{
    const char *why = NULL;
    if (row->endpoints == NULL)
        return false;
    size_t count = row->endpoints->count;
    for (size_t i = 0; i < count; i++) {
        why = upstream_check_url(account->api->upstream, endpoints_at(row->endpoints, i));
        if (why == NULL)
            return false;
    }
    *code = count > 0 ? STR("unusable-url") : STR("no-address");
    if (count > 0)
        buffer_printf(reason, "No request can go to its URL, %.*s: %s.", STR_PRINTF(endpoints_at(row->endpoints, count - 1)), why);
    else
        buffer_append(reason, STR("Nobody knows where it can be reached."));
    return true;
}

static void on_row(void *data, const struct route_row *row)
{
    struct account *account = data;
    struct buffer reason = BUFFER_INIT;
    bool closed = is_closed(account, row);
    struct str code = closed ? err_code(ERR_SERVICE_CLOSED) : str_from(codes[row->standing]);
    bool placeless = !closed && is_placeless(account, row, &reason, &code);
    bool eligible = row->standing <= ROUTE_NO_MODEL && !closed && !placeless;
    struct buffer *out = placeless ? &account->placeless : &account->rows;
    if (eligible && account->chosen.len == 0) {
        account->chosen = (struct str){account->chosen_room, row->worker_id.len};
        memcpy(account->chosen_room, row->worker_id.ptr, row->worker_id.len);
    }
    if (!placeless)
        write_reason(&reason, account, row);
    json_begin_object(out, NULL);
    json_add_text(out, "worker_id", row->worker_id);
    json_add_bool(out, "eligible", eligible);
    json_add_text(out, "code", code);
    json_add_text(out, "text", buffer_str(&reason));
    json_add_text(out, "status", row->status);
    if (account->model.len > 0)
        json_add_bool(out, "model_loaded", row->has_model);
    else
        json_add_null(out, "model_loaded");
    json_add_bool(out, "in_region", row->is_near);
    json_add_number(out, "current_load", row->load);
    json_add_integer(out, "active_requests", row->active_requests);
    json_add_integer(out, "requests_in_flight", row->in_flight);
    json_add_integer(out, "failures_in_a_row", row->failures);
    json_add_integer(out, "seconds_left", seconds_left(row));
    json_end_object(out);
    buffer_fini(&reason);
}

static void write_account(struct buffer *out, const struct account *account, struct str region)
{
    struct buffer text = BUFFER_INIT;
    if (account->chosen.len > 0)
        buffer_printf(&text, "Worker %.*s would be chosen next.", STR_PRINTF(account->chosen));
    else
        buffer_printf(&text, "No worker can be chosen for %.*s.", STR_PRINTF(account->service));
    json_begin_object(out, NULL);
    json_add_text(out, "service", account->service);
    json_add_text(out, "model", account->model);
    json_add_text(out, "region", region.len > 0 ? region : (struct str){NULL, 0});
    json_add_text(out, "text", buffer_str(&text));
    json_add_text(out, "chosen", account->chosen);
    json_begin_array(out, "workers");
    if (account->rows.len > 0)
        json_add_raw(out, NULL, buffer_str(&account->rows));
    if (account->placeless.len > 0)
        json_add_raw(out, NULL, buffer_str(&account->placeless));
    json_end_array(out);
    json_add_integer(out, "left_out", account->left_out);
    json_end_object(out);
    buffer_fini(&text);
}

static void on_explained(void *data, enum err err)
{
    struct account *account = data;
    struct buffer rows = account->rows, placeless = account->placeless, body = BUFFER_INIT;
    struct request *request = api_resume(account->pending, err);
    if (request != NULL) {
        const struct api *api = request_app(request);
        write_account(&body, account, api->config->region);
        reply_json(request, 200, &body);
    }
    buffer_fini(&rows);
    buffer_fini(&placeless);
}

/* Reads the query. If it is wrong, answers the request and returns false. */
static bool read_query(struct request *request, char service_room[ID_MAX + 1], struct str *service, char model_room[MODEL_NAME_MAX],
                       struct str *model)
{
    struct faults faults = FAULTS_INIT;
    *service = request_query(request, "service", service_room, ID_MAX + 1);
    *model = api_query_model(request, model_room, &faults);
    if (service->ptr == NULL)
        faults_add(&faults, "service", "is required");
    else if (!id_is_valid(*service))
        faults_add(&faults, "service", ID_RULE);
    if (faults.count == 0)
        return true;
    api_refuse(request, ERR_INVALID, NULL, &faults);
    return false;
}

void api_route_explain(struct request *request)
{
    const struct api *api = request_app(request);
    char service_room[ID_MAX + 1], model_room[MODEL_NAME_MAX];
    struct str service, model;
    if (!read_query(request, service_room, &service, model_room, &model))
        return;
    struct pending *pending = api_wait(request, sizeof(struct account));
    struct account *account = pending_payload(pending);
    service = catalogue_name(service);
    account->pending = pending;
    account->api = api;
    account->service = (struct str){account->service_room, service.len};
    account->closed = catalogue_passing(service)->closed;
    memcpy(account->service_room, service.ptr, service.len);
    if (model.len > 0)
        account->model = (struct str){account->model_room, model.len};
    memcpy(account->model_room, model_room, model.len);
    enum err err =
        store_explain_route(api->store, account->service, account->model, &account->left_out, on_row, on_explained, account);
    if (err != ERR_NONE)
        on_explained(account, err);
}
