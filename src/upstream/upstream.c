#include "upstream/internal.h"

#include "base/clock.h"

#include <stdlib.h>

#define WAIT_MAX_MS 60000

/* Calls the waiters in `soon`. A waiter that is added meanwhile is called in the next turn. */
static void call_those_due(struct upstream *upstream)
{
    h2o_linklist_t now;
    h2o_linklist_init_anchor(&now);
    h2o_linklist_insert_list(&now, &upstream->soon);
    while (!h2o_linklist_is_empty(&now)) {
        struct waiter *waiter = H2O_STRUCT_FROM_MEMBER(struct waiter, soon, now.next);
        h2o_linklist_unlink(&waiter->soon);
        waiter->call(waiter, false);
    }
}

struct upstream *upstream_new(h2o_loop_t *loop, const struct upstream_rules *rules, void (*wake)(void *data), void *data)
{
    struct upstream *upstream = h2o_mem_alloc(sizeof(*upstream));
    memset(upstream, 0, sizeof(*upstream));
    upstream->rules = rules;
    pool_init(&upstream->pool, loop);
    upstream->lookups = lookups_new(loop);
    h2o_linklist_init_anchor(&upstream->soon);
    upstream->wake = wake;
    upstream->wake_data = data;
    return upstream;
}

void upstream_free(struct upstream *upstream)
{
    pool_fini(&upstream->pool);
    lookups_free(upstream->lookups);
    heap_fini(&upstream->moments);
    while (upstream->spare != NULL) {
        union spare_buffer *buffer = upstream->spare;
        upstream->spare = buffer->next;
        free(buffer);
    }
    free(upstream);
}

void upstream_wait(struct upstream *upstream, struct waiter *waiter, int ms)
{
    waiter->due = clock_ms() + ms;
    if (waiter->entry.place != 0 && waiter->entry.at <= waiter->due)
        return; /* upstream_tick moves the entry later: most deadlines are put off often, and moving each time would cost more */
    heap_remove(&upstream->moments, &waiter->entry);
    waiter->entry.at = waiter->due;
    heap_insert(&upstream->moments, &waiter->entry);
    if (waiter->due < upstream->wakes_at)
        upstream->wake(upstream->wake_data);
}

void upstream_wait_no_more(struct waiter *waiter)
{
    waiter->due = INT64_MAX;
}

void upstream_call_soon(struct upstream *upstream, struct waiter *waiter)
{
    if (!h2o_linklist_is_linked(&waiter->soon))
        h2o_linklist_insert(&upstream->soon, &waiter->soon);
    upstream->wake(upstream->wake_data);
}

void upstream_forget(struct upstream *upstream, struct waiter *waiter)
{
    heap_remove(&upstream->moments, &waiter->entry);
    if (h2o_linklist_is_linked(&waiter->soon))
        h2o_linklist_unlink(&waiter->soon);
}

int32_t upstream_tick(void *data)
{
    struct upstream *upstream = data;
    struct heap_entry *entry;
    call_those_due(upstream);
    int64_t now = clock_ms();
    while ((entry = heap_first(&upstream->moments)) != NULL && entry->at <= now) {
        struct waiter *waiter = H2O_STRUCT_FROM_MEMBER(struct waiter, entry, entry);
        heap_remove(&upstream->moments, entry);
        if (waiter->due <= now) {
            waiter->due = INT64_MAX;
            waiter->call(waiter, true);
        } else if (waiter->due != INT64_MAX) {
            entry->at = waiter->due;
            heap_insert(&upstream->moments, entry);
        }
    }
    int32_t wait = pool_tick(&upstream->pool, now);
    wait = heap_wait(&upstream->moments, now, wait < WAIT_MAX_MS ? wait : WAIT_MAX_MS);
    upstream->wakes_at = now + wait;
    return wait;
}

const char *upstream_check_url(const struct upstream *upstream, struct str url)
{
    struct target target;
    struct lookup_result found = {.count = 0};
    const char *why = target_read(url, &target);
    if (why == NULL)
        why = rules_check_target(upstream->rules, &target);
    if (why == NULL && target.is_address)
        return rules_check_address(upstream->rules, &target, &target.address);
    if (why == NULL && lookup_find(target.host, &found))
        why = found.why;
    for (size_t i = 0; i < found.count && why == NULL; i++)
        why = rules_check_address(upstream->rules, &target, &found.addresses[i]);
    return why;
}

char *upstream_take_buffer(struct upstream *upstream)
{
    union spare_buffer *buffer = upstream->spare;
    if (buffer == NULL)
        return h2o_mem_alloc(sizeof(*buffer));
    upstream->spare = buffer->next;
    upstream->spare_count--;
    return buffer->bytes;
}

void upstream_give_buffer(struct upstream *upstream, char *buffer)
{
    union spare_buffer *spare = (union spare_buffer *)(void *)buffer;
    if (upstream->spare_count >= UPSTREAM_BUFFERS_SPARE) {
        free(spare);
        return;
    }
    spare->next = upstream->spare;
    upstream->spare = spare;
    upstream->spare_count++;
}

struct upstream_counts upstream_count(const struct upstream *upstream)
{
    const struct pool *pool = &upstream->pool;
    return (struct upstream_counts){pool->connects, pool->reuses, pool->count - pool->idle_count, pool->idle_count};
}
