/*
 * Heartbeats. They share script calls as batch.h tells, but what many of them have in common is worked out once for a call.
 */
#include "base/digits.h"
#include "model/id.h"
#include "model/status.h"
#include "store/batch.h"
#include "store/counters.h"
#include "store/internal.h"
#include "store/routing.h"

#include <math.h>
#include <stdlib.h>

struct batch {
    struct store *store;
    struct buffer strings; /* what the script takes after its named arguments, as it goes over the wire */
    size_t string_count;
    struct buffer number, ranking; /* room to write one in */
    bool somebody_leaves;          /* a worker goes offline: other workers get its tasks */
    size_t count;
    struct {
        store_heartbeat_callback *callback;
        void *data;
        bool has_ignored;
    } callers[BATCH_MAX];
};

const int64_t store_lateness_bounds[HISTOGRAM_BUCKETS] = {100,   500,    1000,   2500,   5000,   10000,   30000,
                                                          60000, 120000, 300000, 600000, 900000, 1200000, 1800000};

static void count(enum err err, bool revived)
{
    enum result result = err != ERR_NONE ? RESULT_FAILED : revived ? RESULT_AGAIN : RESULT_DONE;
    if (err == ERR_WORKER_NOT_FOUND)
        result = RESULT_UNKNOWN;
    metric_add(&metrics->counters[COUNTER_HEARTBEATS + result], 1);
}

/* `late`: the lateness of each in ms, with blanks between; "-" if it is not known. */
static void observe_lateness(struct str late)
{
    while (late.len > 0) {
        struct str each = str_cut(&late, ' ');
        if (!str_eq(each, STR("-")))
            histogram_observe(&metrics->histograms[HISTOGRAM_HEARTBEAT_LATE_MS], store_lateness_bounds,
                              strtoll(each.ptr, NULL, 10));
    }
}

/* `news`: what of the names of ignored members is new, of each heartbeat, with blanks between; "-" for nothing. Absent: of none. */
static void batch_end(struct batch *batch, enum err err, struct str results, struct str news)
{
    for (size_t i = 0; i < batch->count; i++) {
        enum err each = err;
        struct beaten beaten = {.newly_ignored = str_cut(&news, ' ')};
        if (str_eq(beaten.newly_ignored, STR("-")))
            beaten.newly_ignored = (struct str){NULL, 0};
        if (err == ERR_NONE && results.ptr[i] == '0')
            each = ERR_WORKER_NOT_FOUND;
        else if (err == ERR_NONE && results.ptr[i] == '4')
            each = ERR_OTHERS;
        beaten.revived = err == ERR_NONE && results.ptr[i] == '2';
        beaten.has_news = err == ERR_NONE && results.ptr[i] == '3';
        count(each, beaten.revived);
        if (each == ERR_NONE && batch->callers[i].has_ignored)
            metric_add(&metrics->counters[COUNTER_HEARTBEATS_IGNORED], 1);
        batch->callers[i].callback(batch->callers[i].data, each, &beaten);
    }
    buffer_fini(&batch->strings);
    buffer_fini(&batch->number);
    buffer_fini(&batch->ranking);
    free(batch);
}

static void on_batch(void *data, enum err err, const struct redisReply *reply)
{
    struct batch *batch = data;
    batch->store->calls_under_way[SCRIPT_heartbeat]--;
    struct str results = reply_text(reply_element(reply, 0));
    if (err == ERR_NONE && results.len != batch->count)
        err = ERR_INTERNAL;
    if (err == ERR_NONE)
        observe_lateness(reply_text(reply_element(reply, 1)));
    struct str conflicts = err == ERR_NONE ? reply_text(reply_element(reply, 3)) : (struct str){NULL, 0};
    while (conflicts.len > 0)
        store_log_conflict(str_cut(&conflicts, ' '), "heartbeat");
    batch_end(batch, err, results, reply_text(reply_element(reply, 2)));
}

/* Sends the gathered heartbeats over the link; if the link refuses, they all get its error. */
static void batch_send(struct store *store)
{
    struct batch *batch = store->batch;
    bool somebody_leaves = batch->somebody_leaves;
    store->batch = NULL;
    struct str args[HEARTBEAT_ARGS] = {
        [HEARTBEAT_timeout] = buffer_str(&store->timeout),
        [HEARTBEAT_removal] = buffer_str(&store->removal),
        [HEARTBEAT_revive] = buffer_str(&store->revive),
        [HEARTBEAT_interval] = buffer_str(&store->interval),
        [HEARTBEAT_edge_interval] = buffer_str(&store->edge_interval),
    };
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_heartbeat, args, batch->string_count);
    buffer_append(&command, buffer_str(&batch->strings));
    enum err err = link_run(store->link, SCRIPT_heartbeat, &command, on_batch, batch);
    if (err != ERR_NONE) {
        batch_end(batch, err, (struct str){NULL, 0}, (struct str){NULL, 0});
        return;
    }
    store->calls_under_way[SCRIPT_heartbeat]++;
    if (somebody_leaves)
        store_sweep_first(store);
}

int32_t store_tick(struct store *store)
{
    if (store->batch != NULL && batch_may_go(store, SCRIPT_heartbeat))
        batch_send(store);
    int32_t requests = requests_tick(store), confirmer;
    batch_flush(store);
    confirmer = store_tick_confirmer(store);
    return requests < confirmer ? requests : confirmer;
}

static void add_number(struct batch *batch, double number)
{
    if (number == (double)(long long)number) { /* all numbers here are small */
        command_add_number(&batch->strings, (long long)number);
        return;
    }
    batch->number.len = 0;
    buffer_json_number(&batch->number, number);
    command_add(&batch->strings, buffer_str(&batch->number));
}

static size_t count_present(const struct heartbeat *heartbeat)
{
    return (size_t)(heartbeat->available_memory.ptr != NULL) + (heartbeat->specialization.ptr != NULL) +
           (heartbeat->loaded_models.ptr != NULL) + (heartbeat->services_status.ptr != NULL) + (heartbeat->active_requests >= 0) +
           (heartbeat->gpu_utilization >= 0) + (heartbeat->reported_status.ptr != NULL);
}

static void add_text_field(struct batch *batch, enum worker_field field, struct str value)
{
    if (value.ptr == NULL)
        return;
    command_add(&batch->strings, worker_field_names[field]);
    command_add(&batch->strings, value);
}

static void add_number_field(struct batch *batch, enum worker_field field, double value)
{
    if (value < 0)
        return;
    command_add(&batch->strings, worker_field_names[field]);
    add_number(batch, value);
}

/* The values that decide ranks: active requests, specialization, loaded models; see lua/heartbeat.lua. */
static void add_ranking(struct batch *batch, const struct heartbeat *heartbeat)
{
    struct buffer *ranking = &batch->ranking;
    ranking->len = 0;
    if (heartbeat->active_requests >= 0 || heartbeat->specialization.ptr != NULL || heartbeat->loaded_models.ptr != NULL) {
        char room[DIGITS_MAX];
        if (heartbeat->active_requests < 0)
            buffer_append(ranking, STR("="));
        else
            buffer_append(ranking, (struct str){room, digits_decimal((uint64_t)heartbeat->active_requests, room)});
        buffer_append(ranking, STR(" "));
        if (heartbeat->specialization.ptr == NULL)
            buffer_append(ranking, STR("="));
        else
            buffer_append(ranking, id_is_valid(heartbeat->specialization) ? heartbeat->specialization : STR("-"));
        buffer_append(ranking, STR(" "));
        if (heartbeat->loaded_models.ptr == NULL)
            buffer_append(ranking, STR("="));
        else if (!heartbeat_write_model_names(ranking, heartbeat))
            buffer_append(ranking, STR("-"));
    }
    command_add(&batch->strings, buffer_str(ranking));
}

static void add_health(struct batch *batch, const struct heartbeat *heartbeat)
{
    batch->ranking.len = 0;
    heartbeat_write_health(&batch->ranking, heartbeat);
    command_add(&batch->strings, buffer_str(&batch->ranking));
}

static void add_told(struct buffer *out, const char *name, struct str value)
{
    if (value.len == 0)
        return;
    buffer_append(out, STR(" "));
    buffer_append(out, str_from(name));
    buffer_append(out, STR("="));
    buffer_append(out, value);
}

/* The address from which it came, and the addresses that it tells; see lua/heartbeat.lua. They have no white space. */
static void add_whereabouts(struct batch *batch, const struct whereabouts *where)
{
    bool tells = !where->is_taken || where->tunnel_url.len > 0 || where->vpn_ip.len > 0;
    if (!tells || where->caller.len == 0) {
        command_add(&batch->strings, where->caller);
        return;
    }
    char port[12];
    struct buffer *text = &batch->ranking;
    snprintf(port, sizeof(port), "%d", where->port);
    text->len = 0;
    buffer_append(text, where->caller);
    if (!where->is_taken)
        add_told(text, "ip_address", where->ip_address);
    add_told(text, "port", where->port > 0 ? str_from(port) : STR(""));
    add_told(text, "tunnel_url", where->tunnel_url);
    add_told(text, "vpn_ip", where->vpn_ip);
    command_add(&batch->strings, buffer_str(text));
}

enum err store_heartbeat(struct store *store, const struct heartbeat *heartbeat, bool more, store_heartbeat_callback *callback,
                         void *data)
{
    enum err err = store_check(store);
    if (err != ERR_NONE) {
        count(err, false);
        return err;
    }
    if (store->batch == NULL)
        store->batch = store_alloc(sizeof(*store->batch));
    struct batch *batch = store->batch;
    batch->store = store;
    batch->callers[batch->count].callback = callback;
    batch->callers[batch->count].data = data;
    batch->callers[batch->count].has_ignored = heartbeat->ignored.len > 0;
    batch->somebody_leaves |= str_eq(heartbeat->status, worker_status_words[WORKER_OFFLINE]);
    batch->count++;

    size_t extra = 2 * count_present(heartbeat);
    command_add(&batch->strings, heartbeat->worker_id);
    command_add(&batch->strings, heartbeat->join);
    command_add(&batch->strings, heartbeat->status);
    if (heartbeat->current_load >= 0)
        add_number(batch, heartbeat->current_load);
    else
        command_add(&batch->strings, STR(""));
    add_number(batch, heartbeat->expect_silence > 0 ? floor(heartbeat->expect_silence * 1000) : 0);
    add_ranking(batch, heartbeat);
    add_health(batch, heartbeat);
    command_add(&batch->strings, buffer_str(&heartbeat->ignored));
    add_whereabouts(batch, &heartbeat->where);
    command_add_number(&batch->strings, (long long)extra);
    add_text_field(batch, WORKER_reported_status, heartbeat->reported_status); /* the script looks for it as the first one */
    add_text_field(batch, WORKER_available_memory, heartbeat->available_memory);
    add_text_field(batch, WORKER_specialization, heartbeat->specialization);
    add_text_field(batch, WORKER_loaded_models, heartbeat->loaded_models);
    add_text_field(batch, WORKER_services_status, heartbeat->services_status);
    add_number_field(batch, WORKER_active_requests, heartbeat->active_requests);
    add_number_field(batch, WORKER_gpu_utilization, heartbeat->gpu_utilization);
    batch->string_count += 10 + extra;
    if (batch_is_full(store, SCRIPT_heartbeat, batch->count, more)) {
        batch_send(store);
        link_flush(store->link); /* Redis begins with these while the rest of the turn's requests are read */
    }
    return ERR_NONE;
}
