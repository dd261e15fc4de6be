/*
 * Lists services, and finds workers by the service that they provide.
 */
#include "api/api.h"
#include "base/json_writer.h"
#include "http/reply.h"
#include "model/catalogue.h"
#include "model/endpoint.h"
#include "model/id.h"
#include "model/model_name.h"
#include "model/status.h"

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
    size_t count, listed; /* services in the body; bytes of it that are counted in api->listed */
    bool too_much;        /* the body is incomplete: too much memory is in use for lists, or nobody waits for it */
};

/* Returns what a client of the service can expect. */
static struct str service_status(const struct service *service)
{
    if (service->healthy > 0)
        return STR("available");
    return service->degraded > 0 ? worker_status_words[WORKER_DEGRADED] : worker_status_words[WORKER_DRAINING];
}

/* Begins the object of a service. The caller ends it. */
static void begin_service(struct buffer *out, const struct service *service)
{
    json_begin_object(out, NULL);
    json_add_text(out, "name", service->name);
    json_add_integer(out, "total_workers", live(service));
    json_add_integer(out, "healthy_workers", service->healthy + service->draining);
    json_add_text(out, "status", service_status(service));
    json_add_integer(out, "worker_count", live(service));
}

/* Adds a member of {"services": {…}}, with the workers' ids. */
static void on_named_service(void *data, const struct service *service)
{
    struct inventory *inventory = data;
    struct buffer *body = &inventory->body;
    inventory->too_much = inventory->too_much || api_is_crowded(inventory->api) || !pending_is_waited_for(inventory->pending);
    if (inventory->too_much)
        return;
    size_t before = body->len;
    inventory->count++;
    json_add_key(body, service->name);
    begin_service(body, service);
    json_begin_array(body, "workers");
    for (size_t i = 0; i < service->id_count; i++)
        json_add_text(body, NULL, service->ids[i]);
    json_end_array(body);
    json_end_object(body);
    inventory->listed += body->len - before;
    inventory->api->listed += body->len - before;
}

/* Adds an element of {"services": […]}. */
static void on_listed_service(void *data, const struct service *service)
{
    struct inventory *inventory = data;
    inventory->count++;
    begin_service(&inventory->body, service);
    json_end_object(&inventory->body);
}

/* Ends the services in the body with `end`, since they are an object or an array, and answers. */
static void answer_inventory(struct inventory *inventory, enum err err, void (*end)(struct buffer *), const char *count_key)
{
    struct buffer body = inventory->body;
    inventory->api->listed -= inventory->listed;
    if (err == ERR_NONE && inventory->too_much)
        err = ERR_CROWDED;
    if (err == ERR_NONE) {
        end(&body);
        json_add_integer(&body, count_key, (int64_t)inventory->count);
        json_end_object(&body);
    }
    struct request *request = api_resume(inventory->pending, err);
    if (request != NULL)
        reply_json(request, 200, &body);
    buffer_fini(&body);
}

static void on_services_named(void *data, enum err err)
{
    answer_inventory(data, err, json_end_object, "total_services");
}

static void on_services_listed(void *data, enum err err)
{
    answer_inventory(data, err, json_end_array, "count");
}

static void ask_inventory(struct request *request, void (*begin)(struct buffer *, const char *), bool with_ids,
                          store_service_callback *row, store_callback *done)
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
    json_begin_object(&inventory->body, NULL);
    begin(&inventory->body, "services");
    enum err err = store_services(reading_store(request), with_ids, row, done, inventory);
    if (err != ERR_NONE)
        done(inventory, err);
}

void api_services(struct request *request)
{
    ask_inventory(request, json_begin_object, true, on_named_service, on_services_named);
}

void api_services_list(struct request *request)
{
    ask_inventory(request, json_begin_array, false, on_listed_service, on_services_listed);
}

/* -- what is missing: GET /api/admin/gaps -------------------------------------------------------------------------------------- */

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

/* Orders the worst status first, then the lowest number of priority, then as the catalogue does. */
static int by_need(const void *a, const void *b)
{
    const struct gap *x = a, *y = b;
    int status = (int)gap_status(x) - (int)gap_status(y), priority = x->service->priority - y->service->priority;
    if (status != 0 || priority != 0)
        return status != 0 ? status : priority;
    return catalogue_compare(x->service, y->service);
}

/* Adds an array of the gaps whose status is from `worst` to `best`. */
static void write_gaps(struct buffer *out, const char *key, const struct gaps *gaps, enum gap_status worst, enum gap_status best)
{
    static const char *const names[] = {"critical", "warning", "ok"};
    json_begin_array(out, key);
    for (size_t i = 0; i < gaps->count; i++) {
        const struct gap *gap = &gaps->gaps[i];
        enum gap_status status = gap_status(gap);
        if (status < worst || status > best)
            continue;
        json_begin_object(out, NULL);
        json_add_text(out, "service", gap->service->name);
        json_add_text(out, "required_type", str_from(tier_worker_type(gap->service->tier)));
        json_add_integer(out, "priority", gap->service->priority);
        json_add_integer(out, "current_workers", gap->workers);
        json_add_text(out, "status", str_from(names[status]));
        json_add_integer(out, "port", gap->service->port);
        json_end_object(out);
    }
    json_end_array(out);
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
    json_begin_object(&body, NULL);
    write_gaps(&body, "gaps", gaps, GAP_CRITICAL, GAP_OK);
    write_gaps(&body, "critical_gaps", gaps, GAP_CRITICAL, GAP_CRITICAL);
    write_gaps(&body, "warnings", gaps, GAP_WARNING, GAP_WARNING);
    json_begin_object(&body, "summary");
    json_add_integer(&body, "total_services", (int64_t)gaps->count);
    json_add_integer(&body, "covered", (int64_t)covered);
    json_add_integer(&body, "needs_attention", (int64_t)(gaps->count - well));
    json_end_object(&body);
    json_end_object(&body);
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

/* -- workers of a service: GET /api/services/discover/{service}, GET /api/worker/find/{service} -------------------------------- */

struct discovery {
    struct pending *pending;
    struct buffer body;
    size_t count, max; /* endpoints in the body; at most so many */
    unsigned turn;     /* says which endpoint of each worker comes first */
    int64_t total;
    char service_room[ID_MAX];
    struct str service;
    char best[ID_MAX];
    size_t best_len;
};

/* Returns the catalogue's name of the service that the path names. */
static struct str asked_service(const struct request *request)
{
    return catalogue_name(request_parameter(request, "service"));
}

/*
 * Checks {service}, and reads the model's name in its normal form and the limit from the query. If something is wrong, answers the
 * request and returns false.
 */
static bool read_question(struct request *request, char model_room[MODEL_NAME_MAX], struct str *model, size_t *max)
{
    struct faults faults = FAULTS_INIT;
    if (!id_is_valid(request_parameter(request, "service")))
        faults_add(&faults, "service", ID_RULE);
    *model = api_query_model(request, model_room, &faults);
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

/* Returns the next number of all threads: it makes the endpoints of a worker take turns, whoever asks. */
static unsigned take_turn(void)
{
    static atomic_uint turns;
    return atomic_fetch_add(&turns, 1);
}

/* Adds a row for each endpoint of the worker; one row without a URL if it has none. */
static bool on_discovered(void *data, const struct worker *worker, int64_t now)
{
    (void)now;
    struct discovery *discovery = data;
    if (!pending_is_waited_for(discovery->pending))
        return false;
    if (worker->online.len == 0)
        return true; /* it went offline after it was chosen */
    if (discovery->count == 0) {
        memcpy(discovery->best, worker->id.ptr, worker->id.len);
        discovery->best_len = worker->id.len;
    }
    struct endpoints endpoints;
    endpoints_find(&endpoints, worker, discovery->service);
    size_t rows = endpoints.count > 0 ? endpoints.count : 1;
    for (size_t i = 0; i < rows && discovery->count < discovery->max; i++) {
        discovery->count++;
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
    json_end_array(&body);
    json_add_integer(&body, "count", discovery->total);
    json_add_text(&body, "recommended", (struct str){discovery->best, discovery->best_len});
    json_end_object(&body);
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
    json_begin_object(&discovery->body, NULL);
    json_add_text(&discovery->body, "service", asked_service(request));
    json_begin_array(&discovery->body, "workers");
    enum err err = store_discover(reading_store(request), asked_service(request), model, max, &discovery->total, on_discovered,
                                  on_all_discovered, discovery);
    if (err != ERR_NONE)
        on_all_discovered(discovery, err);
}

struct finding {
    struct pending *pending;
    int64_t total;
    char model_room[MODEL_NAME_MAX];
    size_t model_len; /* 0: any model will do */
};

static bool on_found(void *data, const struct worker *worker, int64_t now)
{
    (void)now;
    const struct finding *finding = data;
    struct pending *pending = finding->pending;
    struct request *request = worker->online.len > 0 ? pending_take(pending) : NULL;
    if (request != NULL) {
        struct buffer body = BUFFER_INIT;
        json_begin_object(&body, NULL);
        json_add_text(&body, "service", asked_service(request));
        json_add_text(&body, "worker_id", worker->id);
        struct endpoints endpoints;
        endpoints_find(&endpoints, worker, asked_service(request));
        json_add_text(&body, "worker_url", endpoints_at(&endpoints, endpoints.count > 0 ? take_turn() % endpoints.count : 0));
        endpoints_fini(&endpoints);
        json_add_key(&body, STR("load"));
        worker_write_load(&body, worker);
        if (finding->model_len > 0)
            json_add_bool(
                &body, "model_loaded",
                model_names_have(worker->fields[WORKER_loaded_models], (struct str){finding->model_room, finding->model_len}));
        json_end_object(&body);
        reply_json(request, 200, &body);
    }
    return false;
}

static void on_find_over(void *data, enum err err)
{
    struct request *request = api_resume(((struct finding *)data)->pending, err); /* also NULL if on_found has answered it */
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
