#include "store/store.h"

#include "base/log.h"
#include "redis/replica.h"
#include "store/internal.h"

#include <stdlib.h>
#include <sys/random.h>

void *store_alloc(size_t size)
{
    void *ptr = calloc(1, size);
    if (ptr == NULL)
        abort();
    return ptr;
}

uint64_t store_random(void)
{
    static __thread uint64_t supply[32];
    static __thread size_t left;
    if (left == 0) {
        if (getrandom(supply, sizeof(supply), 0) != (ssize_t)sizeof(supply))
            abort();
        left = sizeof(supply) / sizeof(supply[0]);
    }
    return supply[--left];
}

void store_log_conflict(struct str worker_id, const char *how)
{
    const struct log_field fields[] = {log_str("worker_id", worker_id), log_text("reason", how), LOG_END};
    log_write(LOG_WARN, "worker", "two machines use one worker id in turn; give each an id of its own", fields);
}

struct str reply_text(const struct redisReply *reply)
{
    if (reply == NULL || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS))
        return (struct str){NULL, 0};
    return (struct str){reply->str, reply->len};
}

int64_t reply_number(const struct redisReply *reply)
{
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
        return reply->integer;
    return reply != NULL && reply->type == REDIS_REPLY_STRING ? strtoll(reply->str, NULL, 10) : 0;
}

const struct redisReply *reply_element(const struct redisReply *reply, size_t i)
{
    return reply != NULL && reply->type == REDIS_REPLY_ARRAY && i < reply->elements ? reply->element[i] : NULL;
}

struct store *store_new(struct link *link, const struct store_config *config)
{
    struct store *store = store_alloc(sizeof(*store));
    store->link = store->shared.link = link;
    store->config = config;
    buffer_printf(&store->timeout, "%d", config->heartbeat_timeout_ms);
    buffer_printf(&store->removal, "%d", config->worker_timeout_ms - config->heartbeat_timeout_ms);
    buffer_printf(&store->revive, "%d", config->revive_ms);
    buffer_printf(&store->interval, "%d", config->interval_ms);
    buffer_printf(&store->missed, "%d", config->interval_ms / 2 * 3);
    buffer_printf(&store->edge_interval, "%d", config->edge_interval_ms);
    buffer_printf(&store->missed_edge, "%d", config->edge_interval_ms / 2 * 3);
    return store;
}

struct store *store_new_replica(struct link *link, struct link *primary, const struct store_config *config)
{
    struct store *store = store_new(link, config);
    store->replica = replica_new(primary, link);
    return store;
}

int64_t store_complete_until(const struct store *store)
{
    return replica_complete_until(store->replica);
}

int32_t store_follow(struct store *store)
{
    return replica_tick(store->replica);
}

bool store_ignores_ttls(const struct store *store)
{
    return store->is_barred || (store->replica != NULL && replica_is_alone(store->replica));
}

enum err store_check(const struct store *store)
{
    return link_check(store->link);
}

const char *store_why(const struct store *store)
{
    return link_why(store->link);
}

bool store_is_up(const struct store *store)
{
    return link_is_up(store->link);
}

const char *store_script_name(size_t i)
{
    return i < SCRIPT_COUNT ? script_texts[i].name : NULL;
}

struct waiter *waiter_new(struct store *store, store_callback *done, void *data)
{
    struct waiter *waiter = store_alloc(sizeof(*waiter));
    *waiter = (struct waiter){store, done, data};
    return waiter;
}

void waiter_end(void *data, enum err err)
{
    struct waiter *waiter = data;
    waiter->done(waiter->data, err);
    free(waiter);
}

/* The callback of a call that waits for the fleet's counters. */
struct fleet_waiter {
    store_fleet_callback *done;
    void *data;
};

static void on_fleet(void *data, enum err err, const struct redisReply *reply)
{
    struct fleet_waiter *waiter = data;
    struct fleet fleet = {.load = {0}};
    for (size_t i = 0; err == ERR_NONE && reply_element(reply, i + 1) != NULL; i += 2)
        fleet_set_counter(&fleet, reply_text(reply_element(reply, i)), reply_number(reply_element(reply, i + 1)));
    waiter->done(waiter->data, err, err == ERR_NONE ? &fleet : NULL);
    free(waiter);
}

enum err store_fleet(struct store *store, store_fleet_callback *callback, void *data)
{
    struct fleet_waiter *waiter = store_alloc(sizeof(*waiter));
    *waiter = (struct fleet_waiter){callback, data};
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_stats, NULL, 0);
    enum err err = store_run_swept(store, SCRIPT_stats, &command, on_fleet, waiter);
    if (err != ERR_NONE)
        free(waiter);
    return err;
}
