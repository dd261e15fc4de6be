#include "api/watch.h"

#include "api/admit.h"
#include "api/api.h"
#include "base/clock.h"
#include "base/heap.h"
#include "http/reply.h"
#include "model/id.h"
#include "store/credentials.h"
#include "store/leases.h"
#include "store/tasks.h"

#include <stddef.h>
#include <stdlib.h>

#define SOONEST_MS 50  /* the shortest pause between two readings of a task if no message will tell its end */
#define LATEST_MS 1000 /* the longest such pause */
#define TOLD_MS 5000   /* the pause between two readings of a task if a message will tell its end */

#define BUCKETS 1024 /* a power of two */

/* A request that waits for the end of a task. It is the payload of the request's pending object. */
struct watch {
    struct watch *next, **link; /* in its bucket: the next one, and what points to this one */
    struct api *api;
    struct pending *pending;
    struct heap_entry look; /* clock_ms; when the task is read next; in no heap while it is being read */
    int64_t began_at;       /* clock_ms */
    struct tenure tenure;
    bool looking; /* the task is being read */
    bool told;    /* a message comes when the task ends */
    bool ended;   /* the message has come since the last reading began */
    size_t id_len;
    char id[ID_MAX];
};

/* The watches of a thread: by their tasks' ids, and by when they read their tasks next. */
struct watches {
    struct watch *buckets[BUCKETS];
    struct heap looks;
};

static struct watch **find_bucket(struct watches *watches, struct str id)
{
    return &watches->buckets[str_hash(id) & (BUCKETS - 1)];
}

static void look_at(struct watch *watch, int64_t at)
{
    heap_remove(&watch->api->watches->looks, &watch->look);
    watch->look.at = at;
    heap_insert(&watch->api->watches->looks, &watch->look);
}

static struct watch *of_look(struct heap_entry *entry)
{
    return (struct watch *)(void *)((char *)entry - offsetof(struct watch, look));
}

/* Has the watch looked after in this turn. While it reads its task, it looks after itself when that is done. */
static void look_now(struct watch *watch)
{
    if (!watch->looking)
        look_at(watch, 0);
}

bool watch_is_permitted(struct request *request, const struct task *task)
{
    const struct principal *principal = admit_principal(request);
    enum role role = admit_role_now(request);
    if (principal->kind == PRINCIPAL_NONE || role >= ROLE_OPERATOR)
        return true;
    return role == ROLE_USER && str_eq(task->fields[TASK_by], admit_actor(request).who);
}

/* Answers with a task. Only operators and its submitter get the payload and the results. */
static void answer(struct request *request, const struct task *task)
{
    struct buffer body = BUFFER_INIT;
    task_write(&body, task, watch_is_permitted(request, task));
    reply_json(request, 200, &body);
}

static void unlink_watch(struct watch *watch)
{
    tenure_end(&watch->tenure);
    heap_remove(&watch->api->watches->looks, &watch->look);
    *watch->link = watch->next;
    if (watch->next != NULL)
        watch->next->link = watch->link;
}

static void watch_end(struct watch *watch, enum err err, const struct task *task)
{
    unlink_watch(watch);
    struct request *request = api_resume(watch->pending, err);
    if (request != NULL)
        answer(request, task);
}

static void watch_look(struct watch *watch);

static void on_look(void *data, enum err err, const struct task *task)
{
    struct watch *watch = data;
    watch->looking = false;
    if (err == ERR_TASK_NOT_FOUND || (err == ERR_NONE && task_has_ended(task))) {
        watch_end(watch, err, task);
        return;
    }
    watch->told = watch->told && err == ERR_NONE;
    int64_t now = clock_ms(), pause = (now - watch->began_at) / 10;
    if (watch->told)
        pause = TOLD_MS;
    else
        pause = pause < SOONEST_MS ? SOONEST_MS : pause > LATEST_MS ? LATEST_MS : pause;
    look_at(watch, watch->ended || !pending_is_waited_for(watch->pending) ? 0 : now + pause);
}

/* Reads the task. If messages of ends can be heard, it asks for one before it reads, so that no end is missed in between. */
static void watch_look(struct watch *watch)
{
    bool hears = store_hears_wakes(watch->api->store);
    if (hears && !watch->told)
        store_watch_task(watch->api->store, (struct str){watch->id, watch->id_len});
    watch->told = hears;
    watch->ended = false;
    watch->looking = true;
    heap_remove(&watch->api->watches->looks, &watch->look);
    if (store_get_task(watch->api->store, (struct str){watch->id, watch->id_len}, on_look, watch) == ERR_NONE)
        return;
    watch->looking = watch->told = false; /* Redis is away, and may be back before the wait is over */
    look_at(watch, clock_ms() + LATEST_MS);
}

/* A task has ended. `task_id` absent: messages may have been lost, so every watch asks for its message again. */
static void on_end(void *data, struct str task_id)
{
    struct watches *watches = data;
    bool is_one = task_id.ptr != NULL;
    struct watch **end = watches->buckets + BUCKETS, **bucket = is_one ? find_bucket(watches, task_id) : watches->buckets;
    for (; bucket != end; bucket = is_one ? end : bucket + 1)
        for (struct watch *watch = *bucket; watch != NULL; watch = watch->next) {
            if (is_one && !str_eq(task_id, (struct str){watch->id, watch->id_len}))
                continue;
            watch->told = watch->told && is_one;
            watch->ended = true;
            look_now(watch);
        }
}

void watch_init(struct api *api)
{
    api->watches = calloc(1, sizeof(*api->watches));
    if (api->watches == NULL)
        abort();
    store_take_ends(api->store, on_end, api->watches);
}

static void on_task(void *data, enum err err, const struct task *task)
{
    struct request *request = api_resume(data, err);
    if (request != NULL)
        answer(request, task);
}

/* Answers with the task as it is now, because the client does not wait or its time is over. */
static void answer_now(struct request *request)
{
    const struct api *api = request_app(request);
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_get_task(api->store, request_parameter(request, "task_id"), on_task, pending));
}

/* Answers with the task as it is: the time is over, the client has left, or the program ends. */
static void on_late(struct request *request)
{
    look_now(request->waiting); /* which releases the watch */
    answer_now(request);
}

/* Refuses the request, because its credential has ended. */
static void on_over(void *data, enum err err)
{
    struct watch *watch = data;
    struct request *request = pending_take(watch->pending);
    if (request != NULL)
        admit_refuse(request, err);
    look_now(watch);
}

void watch_begin(struct request *request, int wait_s)
{
    struct api *api = request_app(request);
    struct str id = request_parameter(request, "task_id");
    if (wait_s == 0) {
        answer_now(request);
        return;
    }
    struct pending *pending = pending_new(request, on_late, sizeof(struct watch));
    struct watch *watch = pending_payload(pending), **bucket = find_bucket(api->watches, id);
    *watch =
        (struct watch){.next = *bucket, .link = bucket, .api = api, .pending = pending, .began_at = clock_ms(), .id_len = id.len};
    memcpy(watch->id, id.ptr, id.len);
    if (watch->next != NULL)
        watch->next->link = &watch->next;
    *bucket = watch;
    request->waiting = watch;
    pending_park(pending, wait_s * 1000);
    tenure_begin(&watch->tenure, request, on_over, watch);
    watch_look(watch);
}

int32_t watch_tick(struct api *api)
{
    struct heap *looks = &api->watches->looks;
    int64_t now = clock_ms();
    while (looks->count > 0 && heap_wait(looks, now, 1) == 0) {
        struct watch *watch = of_look(heap_first(looks));
        if (pending_is_waited_for(watch->pending)) {
            watch_look(watch);
        } else {
            unlink_watch(watch);
            pending_release(watch->pending, ERR_INTERNAL);
        }
    }
    return heap_wait(looks, now, LATEST_MS);
}
