/*
 * Finding workers by what they provide.
 */
#include "api/api.h"
#include "base/json_writer.h"
#include "http/reply.h"
#include "model/catalogue.h"
#include "model/endpoint.h"
#include "model/id.h"
#include "model/model_name.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#define NO_WORKER "No live worker takes work for this service; GET /api/services/list shows what there is."

static int64_t live(const struct service *service)
{
    return service->healthy + service->degraded + service->draining;
}

/* -- all services: GET /api/admin/services, GET /api/services/list ------------------------------------------------------------- */

struct inventory {
    struct api *api;
    struct pending *pending;
    struct buffer body;
    size_t count, listed; /* services in the body, and bytes counted in api->listed */
    bool too_much;
};

/* What somebody who needs the service can expect. */
static const char *service_status(const struct service *service)
{
    if (service->healthy > 0)
        return "available";
    return service->degraded > 0 ? "degraded" : "draining";
}

static void write_service(struct buffer *out, const struct service *service)
{
    int64_t healthy = service->healthy + service->draining;
    buffer_append(out, STR("{\"name\":"));
    buffer_json_string(out, service->name);
    buffer_printf(out, ",\"total_workers\":%" PRId64 ",\"healthy_workers\":%" PRId64 ",\"status\":\"%s\",\"worker_count\":%" PRId64,
                  live(service), healthy, service_status(service), live(service));
}

/* A member of {"services": {…}}, with the workers' ids. */
static void on_named_service(void *data, const struct service *service)
{
    struct inventory *inventory = data;
    struct buffer *body = &inventory->body;
    inventory->too_much = inventory->too_much || api_is_crowded(inventory->api) || !pending_is_waited_for(inventory->pending);
    if (inventory->too_much)
        return;
    size_t before = body->len;
    buffer_append(body, inventory->count++ > 0 ? STR(",") : STR(""));
    buffer_json_string(body, service->name);
    buffer_append(body, STR(":"));
    write_service(body, service);
    buffer_append(body, STR(",\"workers\":["));
    for (size_t i = 0; i < service->id_count; i++) {
        buffer_append(body, i > 0 ? STR(",") : STR(""));
        buffer_json_string(body, service->ids[i]);
    }
    buffer_append(body, STR("]}"));
    inventory->listed += body->len - before;
    inventory->api->listed += body->len - before;
}

/* An element of {"services": […]}. */
static void on_listed_service(void *data, const struct service *service)
{
    struct inventory *inventory = data;
    buffer_append(&inventory->body, inventory->count++ > 0 ? STR(",") : STR(""));
    write_service(&inventory->body, service);
    buffer_append(&inventory->body, STR("}"));
}

static void answer_inventory(struct inventory *inventory, enum err err, const char *end)
{
    struct buffer body = inventory->body;
    inventory->api->listed -= inventory->listed;
    if (err == ERR_NONE && inventory->too_much)
        err = ERR_CROWDED;
    if (err == ERR_NONE)
        buffer_printf(&body, "%s%zu}", end, inventory->count);
    struct request *request = api_resume(inventory->pending, err);
    if (request != NULL)
        reply_json(request, 200, &body);
    buffer_fini(&body);
}

static void on_services_named(void *data, enum err err)
{
    answer_inventory(data, err, "},\"total_services\":");
}

static void on_services_listed(void *data, enum err err)
{
    answer_inventory(data, err, "],\"count\":");
}

static void ask_inventory(struct request *request, struct str head, bool with_ids, store_service_callback *row,
                          store_callback *done)
{
    struct api *api = request_app(request);
    if (api_is_crowded(api)) {
        reply_error(request, ERR_CROWDED, NULL, NULL);
        return;
    }
    struct pending *pending = api_wait(request, sizeof(struct inventory));
    struct inventory *inventory = pending_payload(pending);
    inventory->api = api;
    inventory->pending = pending;
    buffer_append(&inventory->body, head);
    enum err err = store_services(reading_store(request), with_ids, row, done, inventory);
    if (err != ERR_NONE)
        done(inventory, err);
}

void api_services(struct request *request)
{
    ask_inventory(request, STR("{\"services\":{"), true, on_named_service, on_services_named);
}

void api_services_list(struct request *request)
{
    ask_inventory(request, STR("{\"services\":["), false, on_listed_service, on_services_listed);
}

/* -- what is missing: GET /api/admin/gaps ------------------------------------------------------------------------------------------ */

struct gap {
    const struct catalogue_service *service;
    int64_t workers; /* live */
};

struct gaps {
    struct pending *pending;
    size_t count;
    struct gap *gaps; /* one for each service of the catalogue, in its order */
};

enum gap_status { GAP_CRITICAL, GAP_WARNING, GAP_OK };

static enum gap_status gap_status(const struct gap *gap)
{
    return gap->workers == 0 ? GAP_CRITICAL : gap->workers == 1 ? GAP_WARNING : GAP_OK;
}

static void on_gap_service(void *data, const struct service *service)
{
    struct gaps *gaps = data;
    for (size_t i = 0; i < gaps->count; i++)
        if (str_eq(gaps->gaps[i].service->name, service->name))
            gaps->gaps[i].workers = live(service);
}

/* The worst first, then the most important, then as the catalogue has them. */
static int by_need(const void *a, const void *b)
{
    const struct gap *x = a, *y = b;
    int status = (int)gap_status(x) - (int)gap_status(y), priority = x->service->priority - y->service->priority;
    if (status != 0 || priority != 0)
        return status != 0 ? status : priority;
    return catalogue_compare(x->service, y->service);
}

/* Appends those gaps that have one of the statuses from `worst` to `best`. */
static void write_gaps(struct buffer *out, const struct gaps *gaps, enum gap_status worst, enum gap_status best)
{
    static const char *const names[] = {"critical", "warning", "ok"};
    struct str comma = STR("");
    for (size_t i = 0; i < gaps->count; i++) {
        const struct gap *gap = &gaps->gaps[i];
        enum gap_status status = gap_status(gap);
        if (status < worst || status > best)
            continue;
        buffer_append(out, comma);
        buffer_append(out, STR("{\"service\":"));
        buffer_json_string(out, gap->service->name);
        buffer_printf(
            out, ",\"required_type\":\"%s\",\"priority\":%d,\"current_workers\":%" PRId64 ",\"status\":\"%s\",\"port\":%d}",
            tier_worker_type(gap->service->tier), gap->service->priority, gap->workers, names[status], gap->service->port);
        comma = STR(",");
    }
}

static void on_gaps(void *data, enum err err)
{
    struct gaps *gaps = data;
    struct buffer body = BUFFER_INIT;
    size_t covered = 0, well = 0;
    qsort(gaps->gaps, gaps->count, sizeof(*gaps->gaps), by_need);
    for (size_t i = 0; i < gaps->count; i++) {
        covered += gaps->gaps[i].workers > 0;
        well += gap_status(&gaps->gaps[i]) == GAP_OK;
    }
    buffer_append(&body, STR("{\"gaps\":["));
    write_gaps(&body, gaps, GAP_CRITICAL, GAP_OK);
    buffer_append(&body, STR("],\"critical_gaps\":["));
    write_gaps(&body, gaps, GAP_CRITICAL, GAP_CRITICAL);
    buffer_append(&body, STR("],\"warnings\":["));
    write_gaps(&body, gaps, GAP_WARNING, GAP_WARNING);
    buffer_printf(&body, "],\"summary\":{\"total_services\":%zu,\"covered\":%zu,\"needs_attention\":%zu}}", gaps->count, covered,
                  gaps->count - well);
    free(gaps->gaps);
    struct request *request = api_resume(gaps->pending, err);
    if (request != NULL)
        reply_json(request, 200, &body);
    buffer_fini(&body);
}

void api_gaps(struct request *request)
{
    struct pending *pending = api_wait(request, sizeof(struct gaps));
    struct gaps *gaps = pending_payload(pending);
    gaps->pending = pending;
    gaps->count = catalogue_count;
    gaps->gaps = calloc(gaps->count, sizeof(*gaps->gaps));
    if (gaps->gaps == NULL)
        abort();
    for (size_t i = 0; i < gaps->count; i++)
        gaps->gaps[i].service = &catalogue[i];
    enum err err = store_services(reading_store(request), false, on_gap_service, on_gaps, gaps);
    if (err != ERR_NONE)
        on_gaps(gaps, err);
}

/* -- who provides it: GET /api/services/discover/{service}, GET /api/worker/find/{service} ------------------------------------------- */

struct discovery {
    struct pending *pending;
    struct buffer body;
    size_t count, max; /* endpoints that are in the body; that may be */
    unsigned turn;     /* the endpoint of a worker that comes first */
    int64_t total;
    char service_room[ID_MAX];
    struct str service;
    char best[ID_MAX];
    size_t best_len;
};

/* The service that the path names, by the catalogue's name. */
static struct str asked_service(const struct request *request)
{
    return catalogue_name(request_parameter(request, "service"));
}

/* Reads {service} and the query, of which the model's name in its normal form; answers what is wrong with them, and then returns false. */
static bool read_question(struct request *request, char model_room[MODEL_NAME_MAX], struct str *model, size_t *max)
{
    char room[MODEL_NAME_MAX + 1];
    struct faults faults = FAULTS_INIT;
    if (!id_is_valid(request_parameter(request, "service")))
        faults_add(&faults, "service", ID_RULE);
    struct str asked = request_query(request, "model", room, sizeof(room));
    *model = model_name_normal(asked, model_room);
    if (asked.ptr != NULL && model->ptr == NULL)
        faults_add(&faults, "model", "must be 1 to 128 visible ASCII characters without a comma");
    int limit = STORE_DISCOVER_MAX;
    api_query_number(request, "limit", STORE_DISCOVER_MAX, &limit, &faults);
    *max = (size_t)limit;
    if (faults.count == 0)
        return true;
    request_forget_parameter(request, "service");
    reply_error(request, ERR_INVALID, NULL, &faults);
    faults_fini(&faults);
    return false;
}

/* So that the endpoints of one worker take their turns, whoever asks. */
static unsigned take_turn(void)
{
    static atomic_uint turns;
    return atomic_fetch_add(&turns, 1);
}

/* A row for each of the worker's endpoints; one without a URL, where nobody knows where it is. */
static bool on_discovered(void *data, const struct worker *worker, int64_t now)
{
    (void)now;
    struct discovery *discovery = data;
    if (!pending_is_waited_for(discovery->pending))
        return false;
    if (worker->online.len == 0)
        return true; /* it has just gone */
    if (discovery->count == 0) {
        memcpy(discovery->best, worker->id.ptr, worker->id.len);
        discovery->best_len = worker->id.len;
    }
    struct endpoints endpoints;
    endpoints_find(&endpoints, worker, discovery->service);
    size_t rows = endpoints.count > 0 ? endpoints.count : 1;
    for (size_t i = 0; i < rows && discovery->count < discovery->max; i++) {
        buffer_append(&discovery->body, discovery->count++ > 0 ? STR(",") : STR(""));
        worker_write_discovered(&discovery->body, worker, endpoints_at(&endpoints, (i + discovery->turn) % rows));
    }
    endpoints_fini(&endpoints);
    return discovery->count < discovery->max;
}

static void on_all_discovered(void *data, enum err err)
{
    struct discovery *discovery = data;
    struct buffer body = discovery->body;
    bool found = discovery->count > 0;
    buffer_printf(&body, "],\"count\":%" PRId64 ",\"recommended\":", discovery->total);
    buffer_json_string(&body, (struct str){discovery->best, discovery->best_len});
    buffer_append(&body, STR("}"));
    struct request *request = api_resume(discovery->pending, err);
    if (request != NULL && found)
        reply_json(request, 200, &body);
    else if (request != NULL)
        reply_error(request, ERR_NO_WORKER, NO_WORKER, NULL);
    buffer_fini(&body);
}

void api_discover(struct request *request)
{
    const struct api *api = request_app(request);
    char model_room[MODEL_NAME_MAX];
    struct str model;
    size_t max;
    if (!read_question(request, model_room, &model, &max))
        return;
    if (api_is_crowded(api)) {
        reply_error(request, ERR_CROWDED, NULL, NULL);
        return;
    }
    struct pending *pending = api_wait(request, sizeof(struct discovery));
    struct discovery *discovery = pending_payload(pending);
    discovery->pending = pending;
    discovery->max = max;
    discovery->turn = take_turn();
    discovery->service = (struct str){discovery->service_room, asked_service(request).len};
    memcpy(discovery->service_room, asked_service(request).ptr, discovery->service.len);
    buffer_append(&discovery->body, STR("{\"service\":"));
    buffer_json_string(&discovery->body, asked_service(request));
    buffer_append(&discovery->body, STR(",\"workers\":["));
    enum err err = store_discover(reading_store(request), asked_service(request), model, max, &discovery->total, on_discovered,
                                  on_all_discovered, discovery);
    if (err != ERR_NONE)
        on_all_discovered(discovery, err);
}

struct finding {
    struct pending *pending;
    int64_t total;
    char model_room[MODEL_NAME_MAX];
    size_t model_len; /* 0: any will do */
};

static bool on_found(void *data, const struct worker *worker, int64_t now)
{
    (void)now;
    const struct finding *finding = data;
    struct pending *pending = finding->pending;
    struct request *request = worker->online.len > 0 ? pending_take(pending) : NULL;
    if (request != NULL) {
        struct buffer body = BUFFER_INIT;
        buffer_append(&body, STR("{\"service\":"));
        buffer_json_string(&body, asked_service(request));
        buffer_append(&body, STR(",\"worker_id\":"));
        buffer_json_string(&body, worker->id);
        buffer_append(&body, STR(",\"worker_url\":"));
        struct endpoints endpoints;
        endpoints_find(&endpoints, worker, asked_service(request));
        buffer_json_string(&body, endpoints_at(&endpoints, endpoints.count > 0 ? take_turn() % endpoints.count : 0));
        endpoints_fini(&endpoints);
        buffer_append(&body, STR(",\"load\":"));
        worker_write_load(&body, worker);
        if (finding->model_len > 0)
            json_add_bool(
                &body, "model_loaded",
                model_names_have(worker->fields[WORKER_loaded_models], (struct str){finding->model_room, finding->model_len}));
        buffer_append(&body, STR("}"));
        reply_json(request, 200, &body);
    }
    return false;
}

static void on_find_over(void *data, enum err err)
{
    struct request *request = api_resume(((struct finding *)data)->pending, err); /* NULL, too, when on_found has answered it */
    if (request != NULL)
        reply_error(request, ERR_NO_WORKER, NO_WORKER, NULL);
}

void api_find(struct request *request)
{
    char model_room[MODEL_NAME_MAX];
    struct str model;
    size_t max;
    if (!read_question(request, model_room, &model, &max))
        return;
    struct pending *pending = api_wait(request, sizeof(struct finding));
    struct finding *finding = pending_payload(pending);
    finding->pending = pending;
    finding->model_len = model.len;
    memcpy(finding->model_room, model_room, model.len);
    enum err err =
        store_discover(reading_store(request), asked_service(request), model, 1, &finding->total, on_found, on_find_over, finding);
    if (err != ERR_NONE)
        on_find_over(finding, err);
}
