#include "api/shared.h"

#include "api/api.h"
#include "base/clock.h"
#include "http/reply.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define LOOK_MS 5 /* how often a thread looks whether the answer that another thread makes is done */

/*
 * One answer. It never changes once it is published. Its slot holds it while it is the latest, and so does each request that is
 * answered with it.
 */
struct answer {
    struct shared *shared;
    atomic_int holders;
    uint64_t number;        /* its place among the answers of its slot, from 1 on */
    int64_t began_at;       /* clock_ms; all that is in it was read later */
    int64_t complete_until; /* of the replica that it was read from, or READING_FROM_PRIMARY */
    enum err err;
    struct buffer body;
};

struct slot {
    pthread_mutex_t lock; /* of all that follows */
    struct answer *latest;
    uint64_t published; /* answers so far */
    bool making;        /* a thread makes an answer, since began_at */
    int64_t began_at;
};

struct shared {
    struct slot slots[SHARED_COUNT];
    atomic_size_t bytes;
};

/* A request that waits: its pending object's payload. */
struct shared_waiter {
    struct shared_waiter *next;
    struct pending *pending;
    uint64_t seen; /* answers published before it came: it waits for a later one */
};

struct shared *shared_new(void)
{
    struct shared *shared = calloc(1, sizeof(*shared));
    if (shared == NULL)
        abort();
    for (int name = 0; name < SHARED_COUNT; name++)
        pthread_mutex_init(&shared->slots[name].lock, NULL);
    return shared;
}

size_t shared_bytes(const struct shared *shared)
{
    return atomic_load(&shared->bytes);
}

bool shared_suits(const struct request *request)
{
    return request->query.len == 0 && request_header(request, "origin").ptr != NULL;
}

static void let_go(void *holding)
{
    struct answer *answer = holding;
    if (answer == NULL || atomic_fetch_sub(&answer->holders, 1) > 1)
        return;
    atomic_fetch_sub(&answer->shared->bytes, answer->body.capacity);
    buffer_fini(&answer->body);
    free(answer);
}

/*
 * Looks for an answer that is fresh, or that was published after `*seen` others. *found is that answer, held for the caller, or
 * NULL. If it is NULL, returns whether the caller must make an answer. *seen becomes the number of answers published so far.
 */
static bool slot_look(struct slot *slot, uint64_t *seen, struct answer **found)
{
    int64_t now = clock_ms();
    bool claimed = false;
    *found = NULL;
    pthread_mutex_lock(&slot->lock);
    struct answer *latest = slot->latest;
    if (latest != NULL && (slot->published > *seen || (latest->err == ERR_NONE && now - latest->began_at < SHARED_FRESH_MS))) {
        atomic_fetch_add(&latest->holders, 1);
        *found = latest;
    } else if (!slot->making) {
        claimed = slot->making = true;
        slot->began_at = now;
    }
    *seen = slot->published;
    pthread_mutex_unlock(&slot->lock);
    return claimed;
}

static void answer_give(struct request *request, struct answer *answer)
{
    if (answer->err != ERR_NONE) {
        reply_error(request, answer->err, NULL, NULL);
        return;
    }
    int64_t now = clock_ms();
    if (answer->complete_until != READING_FROM_PRIMARY)
        reading_tell_lag(request, answer->complete_until, now);
    atomic_fetch_add(&answer->holders, 1);
    reply_shared(request, buffer_str(&answer->body), (int)((now - answer->began_at) / 1000), let_go, answer);
}

static struct shared_waiter *take_first(struct shared_queue *queue)
{
    struct shared_waiter *waiter = queue->first;
    queue->first = waiter->next;
    if (queue->first == NULL)
        queue->last = NULL;
    return waiter;
}

/* Gives an answer to the requests that have waited for it. */
static void serve(struct shared_queue *queue, struct answer *answer)
{
    while (queue->first != NULL && queue->first->seen < answer->number) {
        struct pending *pending = take_first(queue)->pending;
        struct request *request = pending_take(pending);
        if (request != NULL)
            answer_give(request, answer);
        pending_release(pending, ERR_UNAVAILABLE); /* nobody waits any more */
    }
}

static void answer_make(struct api *api, struct shared_queue *queue)
{
    struct store *store = reading_store_for_all(api, &queue->complete_until);
    queue->make(api, store);
}

void shared_answer(struct request *request, enum shared_name name, shared_maker *maker)
{
    struct api *api = request_app(request);
    struct shared_queue *queue = &api->waiting[name];
    struct answer *answer;
    uint64_t seen = UINT64_MAX;
    bool claimed = slot_look(&api->shared->slots[name], &seen, &answer);
    if (answer != NULL) {
        answer_give(request, answer);
        let_go(answer);
        return;
    }
    struct pending *pending = api_wait(request, sizeof(struct shared_waiter));
    struct shared_waiter *waiter = pending_payload(pending);
    *waiter = (struct shared_waiter){NULL, pending, seen};
    if (queue->last != NULL)
        queue->last->next = waiter;
    else
        queue->first = waiter;
    queue->last = waiter;
    queue->make = maker;
    if (claimed)
        answer_make(api, queue);
}

void shared_publish(struct api *api, enum shared_name name, enum err err, struct buffer *body)
{
    struct slot *slot = &api->shared->slots[name];
    struct shared_queue *queue = &api->waiting[name];
    if (err != ERR_NONE && queue->complete_until != READING_FROM_PRIMARY && store_is_up(api->store)) {
        buffer_fini(body); /* the replica has failed */
        queue->complete_until = READING_FROM_PRIMARY;
        queue->make(api, api->store);
        return;
    }
    struct answer *answer = calloc(1, sizeof(*answer));
    if (answer == NULL)
        abort();
    answer->shared = api->shared;
    answer->err = err;
    answer->complete_until = queue->complete_until;
    answer->body = *body;
    *body = BUFFER_INIT;
    atomic_init(&answer->holders, 2); /* the slot, and this function */
    atomic_fetch_add(&api->shared->bytes, answer->body.capacity);

    pthread_mutex_lock(&slot->lock);
    struct answer *before = slot->latest;
    answer->number = ++slot->published;
    answer->began_at = slot->began_at;
    slot->latest = answer;
    slot->making = false;
    pthread_mutex_unlock(&slot->lock);

    let_go(before);
    serve(queue, answer);
    let_go(answer);
}

int32_t shared_tick(struct api *api)
{
    int32_t wait = 1000;
    for (int name = 0; name < SHARED_COUNT; name++) {
        struct shared_queue *queue = &api->waiting[name];
        while (queue->first != NULL && !pending_is_waited_for(queue->first->pending))
            pending_release(take_first(queue)->pending, ERR_UNAVAILABLE);
        if (queue->first == NULL)
            continue;
        struct answer *answer;
        uint64_t seen = queue->first->seen;
        bool claimed = slot_look(&api->shared->slots[name], &seen, &answer);
        if (answer != NULL)
            serve(queue, answer);
        let_go(answer);
        if (claimed)
            answer_make(api, queue);
        if (queue->first != NULL)
            wait = LOOK_MS;
    }
    return wait;
}
