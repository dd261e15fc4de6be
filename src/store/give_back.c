/*
 * Gives back tasks whose answers no worker has received. Their leases may last as long as the worker lives: each call is repeated
 * until Redis has answered it.
 */
#include "base/clock.h"
#include "store/batch.h"
#include "store/internal.h"
#include "store/leases.h"

#include <stdlib.h>

#define AGAIN_MS 1000
#define KEPT_MAX 4096 /* calls that have failed; more are not repeated */

struct giving_back {
    struct giving_back *next; /* of those that have failed */
    struct store *store;
    size_t worker_len, ask_len;
    char text[]; /* the worker's id, and the ask's */
};

static void keep(struct giving_back *giving)
{
    struct store *store = giving->store;
    if (store->giving_back_count == KEPT_MAX) {
        free(giving);
        return;
    }
    if (store->giving_back == NULL)
        store->give_back_at = clock_ms() + AGAIN_MS;
    giving->next = store->giving_back;
    store->giving_back = giving;
    store->giving_back_count++;
}

static void on_given(void *data, enum err err, const struct redisReply *reply, size_t index)
{
    (void)reply, (void)index;
    if (err_is_retryable(err))
        keep(data);
    else
        free(data);
}

static void send(struct giving_back *giving)
{
    struct buffer *out = batch_begin(giving->store, SCRIPT_task_give_back);
    if (out == NULL) {
        keep(giving);
        return;
    }
    command_add(out, (struct str){giving->text, giving->worker_len});
    command_add(out, (struct str){giving->text + giving->worker_len, giving->ask_len});
    batch_add(giving->store, SCRIPT_task_give_back, 2, false, on_given, giving);
}

void store_give_back(struct store *store, struct str worker_id, struct str ask_id)
{
    struct giving_back *giving = store_alloc(sizeof(*giving) + worker_id.len + ask_id.len);
    *giving = (struct giving_back){.store = store, .worker_len = worker_id.len, .ask_len = ask_id.len};
    memcpy(giving->text, worker_id.ptr, worker_id.len);
    memcpy(giving->text + worker_id.len, ask_id.ptr, ask_id.len);
    send(giving);
}

int32_t store_give_back_tick(struct store *store)
{
    int64_t left = store->give_back_at - clock_ms();
    if (store->giving_back == NULL)
        return AGAIN_MS;
    if (left > 0)
        return (int32_t)left;
    struct giving_back *giving = store->giving_back;
    store->giving_back = NULL;
    store->giving_back_count = 0;
    while (giving != NULL) {
        struct giving_back *next = giving->next;
        send(giving);
        giving = next;
    }
    return AGAIN_MS;
}
