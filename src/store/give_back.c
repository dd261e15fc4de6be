/*
 * Gives back tasks whose answers no worker has received. Their leases may last as long as the worker lives: each call is repeated
 * until Redis has answered it.
 */
#include "base/clock.h"
#include "base/log_repeat.h"
#include "store/batch.h"
#include "store/internal.h"
#include "store/leases.h"

#include <stdlib.h>

#define AGAIN_MS 1000
#define KEPT_MAX 4096 /* calls that have failed; more are not repeated */

struct giving_back {
    struct giving_back *next; /* of those that have failed */
    struct store *store;
    struct buffer strings; /* the arguments, as they are sent: the worker's id, the ask's, and the tasks of its answer */
    size_t ids_len;        /* of these, the bytes of the ids */
};

static void giving_back_free(struct giving_back *giving)
{
    buffer_fini(&giving->strings);
    free(giving);
}

static void keep(struct giving_back *giving)
{
    struct store *store = giving->store;
    if (store->giving_back_count == KEPT_MAX) {
        log_repeatable(LOG_WARN, "tasks_kept",
                       "tasks that no worker has received can't be given back; they wait until their leases run out", 0);
        giving_back_free(giving);
        return;
    }
    giving->strings.len = giving->ids_len; /* by then, Redis's downtime may have moved the deadlines that the answer had */
    command_add(&giving->strings, STR(""));
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
        giving_back_free(data);
}

static void send(struct giving_back *giving)
{
    struct buffer *out = batch_begin(giving->store, SCRIPT_task_give_back);
    if (out == NULL) {
        keep(giving);
        return;
    }
    buffer_append(out, buffer_str(&giving->strings));
    batch_add(giving->store, SCRIPT_task_give_back, 3, false, on_given, giving);
}

void store_give_back(struct store *store, struct str worker_id, struct str ask_id, const struct asked *answer)
{
    struct giving_back *giving = store_alloc(sizeof(*giving));
    struct buffer tasks = BUFFER_INIT;
    giving->store = store;
    for (size_t i = 0; answer != NULL && i < answer->count; i++) {
        struct lease lease = asked_lease(answer, i);
        buffer_printf(&tasks, "%.*s %.*s ", STR_PRINTF(lease.task_id), STR_PRINTF(lease.deadline));
    }
    command_add(&giving->strings, worker_id);
    command_add(&giving->strings, ask_id);
    giving->ids_len = giving->strings.len;
    command_add(&giving->strings, buffer_str(&tasks));
    buffer_fini(&tasks);
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
