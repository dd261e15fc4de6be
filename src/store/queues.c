/*
 * Reads, pauses and limits queues.
 */
#include "store/internal.h"
#include "store/tasks.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGE "50" /* queues read by one call */

struct queue_reading {
    struct store *store;
    struct buffer from, only;
    store_queue_callback *row;
    store_done_callback *done;
    void *data;
};

static void reading_free(struct queue_reading *reading)
{
    buffer_fini(&reading->from);
    buffer_fini(&reading->only);
    free(reading);
}

static void set_field(struct queue *queue, struct str name, int64_t value)
{
    const struct {
        const char *name;
        int64_t *to;
    } fields[] = {
        {"limit", &queue->limit},
        {"leased", &queue->leased},
        {"enqueued", &queue->totals.enqueued},
        {"completed", &queue->totals.completed},
        {"failed", &queue->totals.failed},
        {"dead", &queue->totals.dead},
        {"cancelled", &queue->totals.cancelled},
        {"expired", &queue->totals.expired},
        {"lost", &queue->totals.lost},
        {"retried", &queue->totals.retried},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (str_eq(name, str_from(fields[i].name)))
            *fields[i].to = value;
    if (str_eq(name, STR("paused")))
        queue->paused = true;
}

/* Reads the queue whose nine elements begin at `at`; see lua/queue_list.lua. */
static struct queue read_queue(const struct redisReply *reply, size_t at)
{
    struct queue queue = {.name = reply_text(reply_element(reply, at)), .limit = -1, .oldest_ms = -1};
    int64_t *const counts[] = {&queue.queued, &queue.scheduled, &queue.completed, &queue.dead, &queue.cancelled, &queue.expired};
    for (size_t i = 0; i < 6; i++)
        *counts[i] = reply_number(reply_element(reply, at + 1 + i));
    if (reply_text(reply_element(reply, at + 7)).len > 0)
        queue.oldest_ms = reply_number(reply_element(reply, at + 7));
    const struct redisReply *fields = reply_element(reply, at + 8);
    for (size_t i = 0; reply_element(fields, i + 1) != NULL; i += 2)
        set_field(&queue, reply_text(reply_element(fields, i)), reply_number(reply_element(fields, i + 1)));
    return queue;
}

static enum err ask_for_page(struct queue_reading *reading);

static void on_queues(void *data, enum err err, const struct redisReply *reply)
{
    struct queue_reading *reading = data;
    bool any = false;
    for (size_t at = 1; err == ERR_NONE && reply_element(reply, at + 8) != NULL; at += 9) {
        struct queue queue = read_queue(reply, at);
        reading->row(reading->data, &queue);
        reading->from.len = 0;
        buffer_append(&reading->from, queue.name);
        any = true;
    }
    if (err == ERR_NONE && any && reading->only.len == 0) {
        err = ask_for_page(reading);
        if (err == ERR_NONE)
            return;
    }
    reading->done(reading->data, err);
    reading_free(reading);
}

static enum err ask_for_page(struct queue_reading *reading)
{
    struct str args[QUEUE_LIST_ARGS] = {
        [QUEUE_LIST_from] = buffer_str(&reading->from),
        [QUEUE_LIST_only] = buffer_str(&reading->only),
        [QUEUE_LIST_max] = STR(PAGE),
    };
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_queue_list, args, 0);
    return link_run(reading->store->link, SCRIPT_queue_list, &command, on_queues, reading);
}

enum err store_queues(struct store *store, struct str only, store_queue_callback *row, store_done_callback *done, void *data)
{
    struct queue_reading *reading = store_alloc(sizeof(*reading));
    *reading = (struct queue_reading){.store = store, .row = row, .done = done, .data = data};
    buffer_append(&reading->only, only);
    enum err err = ask_for_page(reading);
    if (err != ERR_NONE)
        reading_free(reading);
    return err;
}

static void on_set(void *data, enum err err, const struct redisReply *reply)
{
    if (err == ERR_NONE && str_eq(reply_text(reply), STR("full")))
        err = ERR_QUEUES_FULL;
    waiter_end(data, err);
}

static enum err set_setting(struct store *store, struct str queue, struct str field, struct str value, store_done_callback *done,
                            void *data)
{
    struct waiter *waiter = waiter_new(store, done, data);
    struct str args[QUEUE_SET_ARGS] = {[QUEUE_SET_queue] = queue, [QUEUE_SET_field] = field, [QUEUE_SET_value] = value};
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_queue_set, args, 0);
    enum err err = link_run(store->link, SCRIPT_queue_set, &command, on_set, waiter);
    if (err != ERR_NONE)
        free(waiter);
    return err;
}

enum err store_pause_queue(struct store *store, struct str queue, bool pause, store_done_callback *done, void *data)
{
    return set_setting(store, queue, STR("paused"), pause ? STR("1") : STR(""), done, data);
}

enum err store_limit_queue(struct store *store, struct str queue, int64_t limit, store_done_callback *done, void *data)
{
    char digits[24] = "";
    if (limit >= 0)
        snprintf(digits, sizeof(digits), "%lld", (long long)limit);
    return set_setting(store, queue, STR("limit"), str_from(digits), done, data);
}
