/*
 * Reads the services that live workers provide: their counters, and the workers of each.
 */
#include "model/id.h"
#include "model/status.h"
#include "store/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define NAMED_MAX 100 /* services whose workers are named in one answer, since anybody may invent names of services */

struct counted {
    char name[ID_MAX];
    size_t len;
    int64_t healthy, degraded, draining;
};

struct inventory {
    struct store *store;
    bool with_ids;
    store_service_callback *row;
    store_callback *done;
    void *data;
    enum err err;
    struct counted *services; /* in the order of their names */
    size_t count, at;         /* `at`: the service whose ids come next */
    size_t waiting;           /* replies still to come */
};

static int by_name(const void *a, const void *b)
{
    const struct counted *x = a, *y = b;
    size_t len = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->name, y->name, len);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static void end_inventory(struct inventory *inventory)
{
    inventory->done(inventory->data, inventory->err);
    free(inventory->services);
    free(inventory);
}

/*
 * Reads "status service" = count; false if the pair has another form. "status !service" = how many of these workers report the
 * service as unhealthy: healthy workers among them count as degraded.
 */
static bool read_counter(struct str field, int64_t value, struct counted *out)
{
    struct str name = field;
    struct str status = str_cut(&name, ' ');
    bool unwell = name.len > 0 && name.ptr[0] == '!';
    if (unwell)
        name = (struct str){name.ptr + 1, name.len - 1};
    if (name.ptr == NULL || !id_is_valid(name) || value <= 0)
        return false;
    *out = (struct counted){.len = name.len};
    memcpy(out->name, name.ptr, name.len);
    if (str_eq(status, worker_status_words[WORKER_HEALTHY])) {
        out->healthy = unwell ? -value : value;
        out->degraded = unwell ? value : 0;
    } else if (!unwell) {
        out->degraded = str_eq(status, worker_status_words[WORKER_DEGRADED]) ? value : 0;
        out->draining = str_eq(status, worker_status_words[WORKER_DRAINING]) ? value : 0;
    }
    return true;
}

/* Adds up the counters of each service. */
static void read_counters(struct inventory *inventory, const struct redisReply *pairs)
{
    size_t size = pairs != NULL && pairs->type == REDIS_REPLY_ARRAY ? pairs->elements / 2 : 0;
    struct counted *services = store_alloc((size + 1) * sizeof(*services));
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < size; i++)
        count += read_counter(reply_text(pairs->element[2 * i]), reply_number(pairs->element[2 * i + 1]), &services[count]);
    qsort(services, count, sizeof(*services), by_name);
    for (size_t i = 1; i < count; i++) {
        if (by_name(&services[kept], &services[i]) != 0) {
            services[++kept] = services[i];
            continue;
        }
        services[kept].healthy += services[i].healthy;
        services[kept].degraded += services[i].degraded;
        services[kept].draining += services[i].draining;
    }
    inventory->services = services;
    inventory->count = count > 0 ? kept + 1 : 0;
}

static void tell_service(struct inventory *inventory, const struct counted *counted, const struct str *ids, size_t id_count)
{
    int64_t healthy = counted->healthy > 0 ? counted->healthy : 0;
    struct service service = {{counted->name, counted->len}, healthy, counted->degraded, counted->draining, ids, id_count};
    inventory->row(inventory->data, &service);
}

static void on_ids(void *data, enum err err, const struct redisReply *reply)
{
    struct inventory *inventory = data;
    const struct counted *counted = &inventory->services[inventory->at++];
    if (err != ERR_NONE && inventory->err == ERR_NONE)
        inventory->err = err;
    if (inventory->err == ERR_NONE) {
        struct str ids[STORE_SERVICE_IDS_MAX];
        size_t count = 0;
        for (size_t i = 0; i < STORE_SERVICE_IDS_MAX && reply_element(reply, i) != NULL; i++)
            ids[count++] = reply_text(reply_element(reply, i));
        tell_service(inventory, counted, ids, count);
    }
    if (--inventory->waiting == 0)
        end_inventory(inventory);
}

static void ask_for_ids(struct inventory *inventory)
{
    for (size_t i = NAMED_MAX; i < inventory->count; i++)
        tell_service(inventory, &inventory->services[i], NULL, 0);
    for (size_t i = 0; i < inventory->count && i < NAMED_MAX; i++) {
        struct str prefix = key_name(KEY_service);
        char key[KEY_MAX];
        int len = snprintf(key, sizeof(key), "%.*s%.*s", STR_PRINTF(prefix), (int)inventory->services[i].len,
                           inventory->services[i].name);
        struct buffer command = BUFFER_INIT;
        command_begin(&command, 4);
        command_add(&command, STR("ZRANGE"));
        command_add(&command, (struct str){key, (size_t)len});
        command_add(&command, STR("0"));
        command_add_number(&command, STORE_SERVICE_IDS_MAX - 1);
        enum err err = link_send(inventory->store->link, &command, on_ids, inventory);
        if (err != ERR_NONE) {
            inventory->err = err;
            return;
        }
        inventory->waiting++;
    }
}

static void on_counters(void *data, enum err err, const struct redisReply *reply)
{
    struct inventory *inventory = data;
    inventory->err = err;
    if (err == ERR_NONE) {
        read_counters(inventory, reply);
        if (inventory->with_ids)
            ask_for_ids(inventory);
        else
            for (size_t i = 0; i < inventory->count; i++)
                tell_service(inventory, &inventory->services[i], NULL, 0);
    }
    if (inventory->waiting == 0)
        end_inventory(inventory);
}

enum err store_services(struct store *store, bool with_ids, store_service_callback *row, store_callback *done, void *data)
{
    struct inventory *inventory = store_alloc(sizeof(*inventory));
    *inventory = (struct inventory){.store = store, .with_ids = with_ids, .row = row, .done = done, .data = data};
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_services, NULL, 0);
    enum err err = store_run_swept(store, SCRIPT_services, &command, on_counters, inventory);
    if (err != ERR_NONE)
        free(inventory);
    return err;
}
