#include "api/watch.h"

#include "api/admit.h"
#include "api/api.h"
#include "base/clock.h"
#include "http/reply.h"
#include "model/id.h"
#include "store/credentials.h"
#include "store/leases.h"
#include "store/tasks.h"

#define SOONEST_MS 50  /* the shortest pause between two readings of a task if no message will tell its end */
#define LATEST_MS 1000 /* the longest such pause */
#define TOLD_MS 5000   /* the pause between two readings of a task if a message will tell its end */

/* A request that waits for the end of a task. It is the payload of the request's pending object. */
struct watch {
    struct watch *previous, *next; /* in api->watches */
    struct api *api;
    struct pending *pending;
    int64_t began_at, look_at; /* clock_ms */
    struct tenure tenure;
    bool looking; /* the task is being read */
    bool told;    /* a message comes when the task ends */
    bool ended;   /* the message has come since the last reading began */
    size_t id_len;
    char id[ID_MAX];
};

bool watch_is_permitted(struct request *request, const struct task *task)
{
    const struct principal *principal = admit_principal(request);
    enum role role = admit_role_now(request);
    if (principal->kind == PRINCIPAL_NONE || role >= ROLE_OPERATOR)
        return true;
    return role == ROLE_USER && str_eq(task->fields[TASK_by], admit_actor(request).who);
}

void watch_answer(struct request *request, const struct task *task)
{
    struct buffer body = BUFFER_INIT;
    task_write(&body, task, watch_is_permitted(request, task));
    reply_json(request, 200, &body);
}

static void unlink_watch(struct watch *watch)
{
    tenure_end(&watch->tenure);
    if (watch->previous != NULL)
        watch->previous->next = watch->next;
    else
        watch->api->watches = watch->next;
    if (watch->next != NULL)
        watch->next->previous = watch->previous;
}

static void watch_end(struct watch *watch, enum err err, const struct task *task)
{
    unlink_watch(watch);
    struct request *request = api_resume(watch->pending, err);
    if (request != NULL)
        watch_answer(request, task);
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
    if (watch->ended)
        watch_look(watch);
    else if (watch->told)
        watch->look_at = now + TOLD_MS;
    else
        watch->look_at = now + (pause < SOONEST_MS ? SOONEST_MS : pause > LATEST_MS ? LATEST_MS : pause);
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
    if (store_get_task(watch->api->store, (struct str){watch->id, watch->id_len}, on_look, watch) == ERR_NONE)
        return;
    watch->looking = watch->told = false; /* Redis is away, and may be back before the wait is over */
    watch->look_at = clock_ms() + LATEST_MS;
}

/* A task has ended. `task_id` absent: messages may have been lost, so every watch asks for its message again. */
static void on_end(void *data, struct str task_id)
{
    const struct api *api = data;
    for (struct watch *watch = api->watches; watch != NULL; watch = watch->next) {
        if (task_id.ptr != NULL && !str_eq(task_id, (struct str){watch->id, watch->id_len}))
            continue;
        watch->told = watch->told && task_id.ptr != NULL;
        watch->ended = true;
        watch->look_at = 0; /* it is read in this turn */
    }
}

void watch_init(struct api *api)
{
    store_take_ends(api->store, on_end, api);
}

static void on_task(void *data, enum err err, const struct task *task)
{
    struct request *request = api_resume(data, err);
    if (request != NULL)
        watch_answer(request, task);
}

/* Answers with the task as it is now, because the client does not wait or its time is over. */
static void answer_now(struct request *request)
{
    const struct api *api = request_app(request);
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_get_task(api->store, request_parameter(request, "task_id"), on_task, pending));
}

/* Refuses the request, because its credential has ended. */
static void on_over(void *data, enum err err)
{
    struct watch *watch = data;
    struct request *request = pending_take(watch->pending); /* the next tick releases what is left */
    if (request != NULL)
        admit_refuse(request, err);
}

void watch_begin(struct request *request, int wait_s)
{
    struct api *api = request_app(request);
    struct str id = request_parameter(request, "task_id");
    if (wait_s == 0) {
        answer_now(request);
        return;
    }
    struct pending *pending = pending_new(request, answer_now, sizeof(struct watch));
    struct watch *watch = pending_payload(pending);
    *watch = (struct watch){.next = api->watches, .api = api, .pending = pending, .began_at = clock_ms(), .id_len = id.len};
    memcpy(watch->id, id.ptr, id.len);
    if (api->watches != NULL)
        api->watches->previous = watch;
    api->watches = watch;
    pending_park(pending, wait_s * 1000);
    tenure_begin(&watch->tenure, request, on_over, watch);
    watch_look(watch);
}

int32_t watch_tick(struct api *api)
{
    int64_t now = clock_ms();
    int32_t wait = LATEST_MS;
    for (struct watch *watch = api->watches, *next; watch != NULL; watch = next) {
        next = watch->next;
        if (watch->looking)
            continue;
        if (!pending_is_waited_for(watch->pending)) {
            unlink_watch(watch);
            pending_release(watch->pending, ERR_INTERNAL);
        } else if (watch->look_at <= now) {
            watch_look(watch);
        } else if (watch->look_at - now < wait) {
            wait = (int32_t)(watch->look_at - now);
        }
    }
    return wait;
}
