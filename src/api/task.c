/*
 * Reads one task, waits for its end, cancels it, or queues it again.
 */
#include "api/admit.h"
#include "api/api.h"
#include "api/watch.h"
#include "base/json_writer.h"
#include "http/reply.h"
#include "store/credentials.h"

#include <stdio.h>

#define WAIT_MAX_S 60

/* -- GET /api/tasks/{task_id} -------------------------------------------------------------------------------------------------- */

void api_task(struct request *request)
{
    struct faults faults = FAULTS_INIT;
    int wait = 0;
    if (!api_check_id(request, "task_id"))
        return;
    char room[4];
    if (!str_eq(request_query(request, "wait", room, sizeof(room)), STR("0")))
        api_query_number(request, "wait", WAIT_MAX_S, &wait, &faults);
    if (faults.count > 0) {
        api_refuse(request, ERR_INVALID, NULL, &faults);
        return;
    }
    watch_begin(request, wait);
}

/* -- DELETE /api/tasks/{task_id}, POST /api/tasks/{task_id}/retry -------------------------------------------------------------- */

static void answer_state(struct request *request, const char *state)
{
    struct buffer body = BUFFER_INIT;
    json_begin_object(&body, NULL);
    json_add_text(&body, "status", str_from(state));
    json_add_text(&body, "task_id", request_parameter(request, "task_id"));
    json_end_object(&body);
    reply_json(request, 200, &body);
}

/* "The task is completed already.": `state` of `detail`'s %s. */
static void refuse_state(struct request *request, enum err err, const char *detail, struct str state)
{
    char text[160];
    snprintf(text, sizeof(text), detail, STR_PRINTF(state));
    reply_error(request, err, text, NULL);
}

static void on_cancelled(void *data, enum err err, const struct task_change *change)
{
    if (err == ERR_NONE && change->outcome == TASK_UNKNOWN)
        err = ERR_TASK_NOT_FOUND;
    struct request *request = api_resume(data, err);
    if (request == NULL)
        return;
    if (change->outcome == TASK_ENDED)
        refuse_state(request, ERR_TASK_ENDED, "The task is %.*s already.", change->state);
    else
        answer_state(request, change->outcome == TASK_TELLING ? "cancelling" : "cancelled");
}

static void cancel(struct request *request)
{
    const struct api *api = request_app(request);
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_cancel_task(api->store, request_parameter(request, "task_id"), on_cancelled, pending));
}

/* Cancels the task if it is the user's own. */
static void on_task_to_cancel(void *data, enum err err, const struct task *task)
{
    struct request *request = api_resume(data, err);
    if (request == NULL)
        return;
    if (watch_is_permitted(request, task))
        cancel(request);
    else
        reply_error(request, ERR_FORBIDDEN, "This task is somebody else's; cancelling it takes the role operator.", NULL);
}

void api_task_cancel(struct request *request)
{
    const struct api *api = request_app(request);
    if (!api_check_id(request, "task_id"))
        return;
    if (admit_principal(request)->role != ROLE_USER) {
        admit_note_operation(request);
        cancel(request);
        return;
    }
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_get_task(api->store, request_parameter(request, "task_id"), on_task_to_cancel, pending));
}

static void on_retried(void *data, enum err err, const struct task_change *change)
{
    if (err == ERR_NONE && change->outcome == TASK_UNKNOWN)
        err = ERR_TASK_NOT_FOUND;
    if (err == ERR_NONE && change->outcome == TASK_BLOCKED)
        err = ERR_DEDUP_TAKEN;
    struct request *request = api_resume(data, err);
    if (request == NULL)
        return;
    if (change->outcome == TASK_ENDED)
        refuse_state(request, ERR_TASK_ALIVE, "Only a dead task can be tried again; this one is %.*s.", change->state);
    else
        answer_state(request, "queued");
}

void api_task_retry(struct request *request)
{
    const struct api *api = request_app(request);
    if (!api_check_id(request, "task_id"))
        return;
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_retry_task(api->store, request_parameter(request, "task_id"), false, on_retried, pending));
}
