#include "api/api.h"

#include "base/clock.h"
#include "base/hosts.h"
#include "base/json_writer.h"
#include "http/client.h"
#include "http/reply.h"
#include "model/catalogue.h"
#include "model/edge_node.h"
#include "model/id.h"

#include <stdlib.h>

#define SEEDS_TTL_S 300
#define LIMIT_MAX 10000
#define SEEDS_MAX 64

/* Which workers a listing shows. */
struct filter {
    char tier;       /* '1' to '4'; 0: all */
    bool live;       /* only those that are not offline */
    bool reachable;  /* only those that have a tunnel */
    bool has_status; /* only those that are `status` */
    enum worker_status status;
    char service[ID_MAX + 1]; /* "": all */
    char join_token[16];      /* its id; "none": only those that registered without one; "": all */
    int limit;                /* 0: no limit */
};

struct listing;

/* The shape of a listing's answer: an array of rows, or an object that has the rows in the member `key`. */
struct shape {
    const char *key; /* NULL: the answer is the array alone */
    void (*write)(struct buffer *out, const struct worker *worker, int64_t now);
    void (*finish)(struct buffer *out, const struct listing *listing); /* adds the members after the rows; NULL: there are none */
    enum shared_name shared;                                           /* the name of the shared answer, for shapes that have one */
    bool whole;                                                        /* rows need all fields of a worker */
};

struct listing {
    struct api *api;
    struct store *store; /* to read from */
    const struct shape *shape;
    struct filter filter;
    struct pending *pending; /* of the request that waits; NULL: a shared answer is made, see shared.h */
    struct buffer body;
    size_t head_len; /* bytes of the body before the first row */
    size_t total, healthy;
    bool too_much;     /* all long answers together have no more room */
    bool more;         /* the limit was reached and another worker follows */
    char last[ID_MAX]; /* id of the last worker shown */
    size_t last_len;
};

/* Whether `name` is one of `names`, which have commas between. */
static bool is_listed(struct str names, struct str name)
{
    while (names.len > 0)
        if (str_eq(str_cut(&names, ','), name))
            return true;
    return false;
}

static bool is_wanted(const struct filter *filter, const struct worker *worker)
{
    struct str tier = worker->fields[WORKER_tier];
    if (filter->tier != 0 && (tier.len != 1 || tier.ptr[0] != filter->tier))
        return false;
    if ((filter->live && worker->online.len == 0) || (filter->reachable && worker->fields[WORKER_tunnel_url].len == 0))
        return false;
    if (filter->has_status && !str_eq(worker_status(worker), worker_status_words[filter->status]))
        return false;
    struct str join = worker_join_token(worker), wanted = str_from(filter->join_token);
    if (wanted.len > 0 && !str_eq(join.len > 0 ? join : STR("none"), wanted))
        return false;
    return filter->service[0] == '\0' || is_listed(worker->fields[WORKER_provides], str_from(filter->service));
}

static bool on_row(void *data, const struct worker *worker, int64_t now)
{
    struct listing *listing = data;
    if (listing->pending != NULL && !pending_is_waited_for(listing->pending))
        return false;
    if (!is_wanted(&listing->filter, worker))
        return true;
    if (listing->filter.limit > 0 && listing->total == (size_t)listing->filter.limit) {
        listing->more = true;
        return false;
    }
    struct api *api = listing->api;
    size_t before = listing->body.len;
    listing->total++;
    listing->healthy += worker_is_healthy(worker);
    listing->shape->write(&listing->body, worker, now);
    memcpy(listing->last, worker->id.ptr, worker->id.len);
    listing->last_len = worker->id.len;
    api->listed += listing->body.len - before;
    listing->too_much = api_is_crowded(api);
    return !listing->too_much;
}

static void finish(struct listing *listing)
{
    const struct shape *shape = listing->shape;
    json_end_array(&listing->body);
    if (shape->finish != NULL)
        shape->finish(&listing->body, listing);
    if (shape->key != NULL)
        json_end_object(&listing->body);
}

static void on_listed(void *data, enum err err)
{
    struct listing *listing = data;
    listing->api->listed -= listing->body.len - listing->head_len;
    if (err == ERR_NONE && listing->too_much)
        err = ERR_CROWDED;
    if (err == ERR_NONE)
        finish(listing);
    if (listing->pending == NULL) {
        shared_publish(listing->api, listing->shape->shared, err, &listing->body);
        free(listing);
        return;
    }
    struct buffer body = listing->body;
    struct request *request = api_resume(listing->pending, err);
    if (request != NULL)
        reply_json(request, 200, &body);
    buffer_fini(&body);
}

static void write_row(struct buffer *out, const struct worker *worker, int64_t now)
{
    worker_write(out, worker, now, (struct str){NULL, 0}, false);
}

static void write_coordinator(struct buffer *out, const struct worker *worker, int64_t now)
{
    (void)now;
    edge_node_write(out, worker);
}

static void write_seed(struct buffer *out, const struct worker *worker, int64_t now)
{
    (void)now;
    edge_node_write_seed(out, worker);
}

static void finish_seeds(struct buffer *out, const struct listing *listing)
{
    json_add_integer(out, "seed_count", (int64_t)listing->total);
    json_add_integer(out, "count", (int64_t)listing->total);
    json_add_integer(out, "ttl", SEEDS_TTL_S);
    json_add_time(out, "timestamp", clock_wall_ms());
}

static void add_next_cursor(struct buffer *out, const struct listing *listing)
{
    json_add_text(out, "next_cursor", (struct str){listing->more ? listing->last : NULL, listing->last_len});
}

static void finish_with_totals(struct buffer *out, const struct listing *listing)
{
    json_add_integer(out, "total", (int64_t)listing->total);
    json_add_integer(out, "healthy", (int64_t)listing->healthy);
    add_next_cursor(out, listing);
}

static void finish_with_count(struct buffer *out, const struct listing *listing)
{
    json_add_integer(out, "count", (int64_t)listing->total);
    json_add_time(out, "timestamp", clock_wall_ms());
    add_next_cursor(out, listing);
}

static const struct shape all_workers = {"workers", write_row, finish_with_totals, .shared = SHARED_WORKERS};
static const struct shape workers_array = {NULL, write_row, NULL, .shared = SHARED_WORKERS_ARRAY};
static const struct shape live_workers = {"workers", write_row, .finish = finish_with_count};
static const struct shape coordinators = {NULL, write_coordinator, NULL, .whole = true};
static const struct shape seeds = {"seeds", write_seed, finish_seeds, .whole = true};

/* Begins a listing of the workers that its filter selects, after `cursor`. On an error on_listed is not called. */
static enum err begin_listing(struct listing *listing, struct str cursor)
{
    if (listing->shape->key != NULL)
        json_begin_object(&listing->body, NULL);
    json_begin_array(&listing->body, listing->shape->key);
    listing->head_len = listing->body.len;
    bool whole = listing->shape->whole || listing->filter.service[0] != '\0';
    enum err err = store_list(listing->store, cursor, whole, on_row, on_listed, listing);
    if (err != ERR_NONE)
        buffer_fini(&listing->body);
    return err;
}

/* Answers with the workers that `filter` selects, after `cursor`. */
static void list_workers(struct request *request, const struct shape *shape, const struct filter *filter, struct str cursor)
{
    struct api *api = request_app(request);
    if (api_is_crowded(api)) {
        reply_error(request, ERR_CROWDED, NULL, NULL);
        return;
    }
    struct pending *pending = api_wait(request, sizeof(struct listing));
    struct listing *listing = pending_payload(pending);
    *listing = (struct listing){.api = api, .store = reading_store(request), .shape = shape, .filter = *filter, .pending = pending};
    api_sent(pending, begin_listing(listing, cursor));
}

/* Makes the shared answer with all workers. */
static void make_listing(struct api *api, struct store *store, const struct shape *shape)
{
    struct buffer nothing = BUFFER_INIT;
    if (api_is_crowded(api)) {
        shared_publish(api, shape->shared, ERR_CROWDED, &nothing);
        return;
    }
    struct listing *listing = calloc(1, sizeof(*listing));
    if (listing == NULL)
        abort();
    *listing = (struct listing){.api = api, .store = store, .shape = shape};
    enum err err = begin_listing(listing, (struct str){NULL, 0});
    if (err != ERR_NONE) {
        free(listing);
        shared_publish(api, shape->shared, err, &nothing);
    }
}

static void make_workers(struct api *api, struct store *store)
{
    make_listing(api, store, &all_workers);
}

static void make_workers_array(struct api *api, struct store *store)
{
    make_listing(api, store, &workers_array);
}

/* Reads the filter from the query, and returns the cursor, in `cursor_room`. Faults go to *faults. */
static struct str read_query(const struct request *request, struct filter *filter, char cursor_room[ID_MAX + 1],
                             struct faults *faults)
{
    char room[ID_MAX + 1];
    struct str tier = request_query(request, "tier", room, sizeof(room));
    if (tier.len == 1 && tier.ptr[0] >= '1' && tier.ptr[0] <= '4')
        filter->tier = tier.ptr[0];
    else if (tier.ptr != NULL)
        faults_add(faults, "tier", "must be 1, 2, 3 or 4");

    struct str status = request_query(request, "status", room, sizeof(room));
    if (status.ptr != NULL && worker_status_parse(status, &filter->status))
        filter->has_status = true;
    else if (status.ptr != NULL)
        faults_add(faults, "status", WORKER_STATUS_RULE);

    struct str service = request_query(request, "service", room, sizeof(room));
    struct str name = catalogue_name(service);
    if (service.ptr != NULL && id_is_valid(service))
        memcpy(filter->service, name.ptr, name.len);
    else if (service.ptr != NULL)
        faults_add(faults, "service", ID_RULE);

    struct str join = request_query(request, "join_token", room, sizeof(room));
    if (join.ptr != NULL && join.len < sizeof(filter->join_token) && id_is_valid(join))
        memcpy(filter->join_token, join.ptr, join.len);
    else if (join.ptr != NULL)
        faults_add(faults, "join_token", "must be the id of a join token, or none");

    api_query_number(request, "limit", LIMIT_MAX, &filter->limit, faults);

    struct str cursor = request_query(request, "cursor", cursor_room, ID_MAX + 1);
    if (cursor.ptr != NULL && !id_is_valid(cursor))
        faults_add(faults, "cursor", "must be the next_cursor of an earlier answer");
    return cursor;
}

/* Answers with the workers that both `filter` and the query select. */
static void list_as_asked(struct request *request, const struct shape *shape, struct filter filter)
{
    char cursor_room[ID_MAX + 1];
    struct faults faults = FAULTS_INIT;
    struct str cursor = read_query(request, &filter, cursor_room, &faults);
    if (faults.count > 0)
        reply_error(request, ERR_INVALID, NULL, &faults);
    else
        list_workers(request, shape, &filter, cursor);
    faults_fini(&faults);
}

void api_workers(struct request *request)
{
    const struct api_config *config = ((const struct api *)request_app(request))->config;
    bool as_array = hosts_have(config->workers_array_hosts, client_asked_host(request));
    if (shared_suits(request) && as_array)
        shared_answer(request, SHARED_WORKERS_ARRAY, make_workers_array);
    else if (shared_suits(request))
        shared_answer(request, SHARED_WORKERS, make_workers);
    else
        list_as_asked(request, as_array ? &workers_array : &all_workers, (struct filter){.limit = 0});
}

void api_live_workers(struct request *request)
{
    list_as_asked(request, &live_workers, (struct filter){.live = true});
}

void api_coordinators(struct request *request)
{
    list_as_asked(request, &coordinators, (struct filter){.tier = '0' + TIER_EDGE, .live = true});
}

void api_dht_bootstrap(struct request *request)
{
    static const struct filter filter = {.tier = '0' + TIER_EDGE, .live = true, .reachable = true, .limit = SEEDS_MAX};
    list_workers(request, &seeds, &filter, (struct str){NULL, 0});
}

/* Answers with what `write` writes about the fleet. */
static void answer_fleet(struct pending *pending, enum err err, const struct fleet *fleet,
                         void (*write)(struct buffer *, const struct fleet *))
{
    struct request *request = api_resume(pending, err);
    if (request != NULL) {
        struct buffer body = BUFFER_INIT;
        write(&body, fleet);
        reply_json(request, 200, &body);
    }
}

static void on_stats(void *data, enum err err, const struct fleet *fleet)
{
    answer_fleet(data, err, fleet, fleet_write_stats);
}

static void on_fleet_health(void *data, enum err err, const struct fleet *fleet)
{
    answer_fleet(data, err, fleet, fleet_write_health);
}

static void ask_fleet(struct request *request, store_fleet_callback *callback)
{
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_fleet(reading_store(request), callback, pending));
}

static void on_shared_stats(void *data, enum err err, const struct fleet *fleet)
{
    struct buffer body = BUFFER_INIT;
    if (err == ERR_NONE)
        fleet_write_stats(&body, fleet);
    shared_publish(data, SHARED_STATS, err, &body);
}

static void make_stats(struct api *api, struct store *store)
{
    enum err err = store_fleet(store, on_shared_stats, api);
    if (err != ERR_NONE)
        on_shared_stats(api, err, NULL);
}

static void on_shared_health(void *data, enum err err, const struct fleet *fleet)
{
    struct buffer body = BUFFER_INIT;
    if (err == ERR_NONE)
        fleet_write_health(&body, fleet);
    shared_publish(data, SHARED_HEALTH, err, &body);
}

static void make_health(struct api *api, struct store *store)
{
    enum err err = store_fleet(store, on_shared_health, api);
    if (err != ERR_NONE)
        on_shared_health(api, err, NULL);
}

void api_stats(struct request *request)
{
    if (shared_suits(request))
        shared_answer(request, SHARED_STATS, make_stats);
    else
        ask_fleet(request, on_stats);
}

void api_fleet_health(struct request *request)
{
    if (shared_suits(request))
        shared_answer(request, SHARED_HEALTH, make_health);
    else
        ask_fleet(request, on_fleet_health);
}
