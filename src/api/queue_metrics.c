#include "api/queue_metrics.h"

#include "base/exposition.h"
#include "model/id.h"

#include <stdlib.h>

/* The queues as they were read. The last item is the sum of the queues without series of their own. */
struct queue_metrics {
    size_t count;
    int64_t lost; /* lost leases of all queues */
    struct {
        char name[ID_MAX + 1];
        struct queue queue;
    } items[QUEUE_METRICS_MAX + 1];
};

struct queue_metrics *queue_metrics_new(void)
{
    struct queue_metrics *queues = calloc(1, sizeof(*queues));
    if (queues == NULL)
        abort();
    return queues;
}

static void add_up(struct queue *sum, const struct queue *queue)
{
    sum->queued += queue->queued;
    sum->scheduled += queue->scheduled;
    sum->leased += queue->leased;
    sum->completed += queue->completed;
    sum->dead += queue->dead;
    sum->cancelled += queue->cancelled;
    sum->expired += queue->expired;
    sum->totals.enqueued += queue->totals.enqueued;
    sum->totals.completed += queue->totals.completed;
    sum->totals.failed += queue->totals.failed;
    sum->totals.dead += queue->totals.dead;
    sum->totals.cancelled += queue->totals.cancelled;
    sum->totals.expired += queue->totals.expired;
    sum->totals.lost += queue->totals.lost;
    sum->totals.retried += queue->totals.retried;
    if (queue->oldest_ms > sum->oldest_ms)
        sum->oldest_ms = queue->oldest_ms;
}

void queue_metrics_add(struct queue_metrics *queues, const struct queue *queue)
{
    if (!id_is_valid(queue->name)) /* only somebody's redis-cli can have made it */
        return;
    size_t at = queues->count < QUEUE_METRICS_MAX ? queues->count++ : QUEUE_METRICS_MAX;
    struct str name = at < QUEUE_METRICS_MAX ? queue->name : STR("(others)"); /* no queue can have this name */
    queues->lost += queue->totals.lost;
    memcpy(queues->items[at].name, name.ptr, name.len);
    queues->items[at].name[name.len] = '\0';
    if (at < QUEUE_METRICS_MAX)
        queues->items[at].queue = *queue;
    else
        add_up(&queues->items[at].queue, queue);
}

/* Returns number `i` of the queues that have series, and its name; NULL after the last one. */
static const struct queue *queue_at(const struct queue_metrics *queues, size_t i, struct str *name)
{
    bool exists = i < queues->count || (i == QUEUE_METRICS_MAX && queues->items[i].name[0] != '\0');
    *name = exists ? str_from(queues->items[i].name) : (struct str){NULL, 0};
    return exists ? &queues->items[i].queue : NULL;
}

static void write_states(struct buffer *out, struct str name, const struct queue *queue)
{
    const struct {
        struct str state;
        int64_t count;
    } states[] = {
        {STR("queued"), queue->queued},       {STR("scheduled"), queue->scheduled}, {STR("leased"), queue->leased},
        {STR("completed"), queue->completed}, {STR("dead"), queue->dead},           {STR("cancelled"), queue->cancelled},
        {STR("expired"), queue->expired},
    };
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        exposition_sample(out, "rma_tasks", LABELS({"queue", name}, {"state", states[i].state}), (double)states[i].count);
}

static void write_totals(struct buffer *out, struct str name, const struct queue *queue)
{
    const struct {
        struct str outcome;
        int64_t count;
    } totals[] = {
        {STR("enqueued"), queue->totals.enqueued},   {STR("completed"), queue->totals.completed},
        {STR("failed"), queue->totals.failed},       {STR("dead"), queue->totals.dead},
        {STR("cancelled"), queue->totals.cancelled}, {STR("expired"), queue->totals.expired},
        {STR("lost"), queue->totals.lost},           {STR("retried"), queue->totals.retried},
    };
    for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++)
        exposition_sample(out, "rma_tasks_total", LABELS({"queue", name}, {"outcome", totals[i].outcome}), (double)totals[i].count);
}

void queue_metrics_write(struct buffer *out, const struct queue_metrics *queues)
{
    struct str name;
    const struct queue *queue;
    exposition_family(out, "rma_tasks", "gauge",
                      "Tasks of a queue, by state; (others): those of all queues beyond the first hundred by name.");
    for (size_t i = 0; (queue = queue_at(queues, i, &name)) != NULL; i++)
        write_states(out, name, queue);
    exposition_family(out, "rma_tasks_total", "counter", "What has happened to the tasks of a queue, ever.");
    for (size_t i = 0; (queue = queue_at(queues, i, &name)) != NULL; i++)
        write_totals(out, name, queue);
    exposition_family(out, "rma_task_oldest_seconds", "gauge", "For how long the oldest queued task has waited; 0: none waits.");
    for (size_t i = 0; (queue = queue_at(queues, i, &name)) != NULL; i++)
        exposition_sample(out, "rma_task_oldest_seconds", LABELS({"queue", name}),
                          queue->oldest_ms > 0 ? (double)queue->oldest_ms / 1000 : 0);
    exposition_family(out, "rma_queue_paused", "gauge", "Whether a queue is paused.");
    for (size_t i = 0; (queue = queue_at(queues, i, &name)) != NULL; i++)
        exposition_sample(out, "rma_queue_paused", LABELS({"queue", name}), queue->paused);
    exposition_single(out, "rma_task_leases_lost_total", "counter",
                      "Leases that ended without a word of their worker: it was gone, or its time was over.", (double)queues->lost);
}
