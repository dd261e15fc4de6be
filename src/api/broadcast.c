/*
 * POST /api/coordinator/broadcast-job: submits one task for each capable live worker of tier 1 and 2.
 */
#include "model/broadcast.h"
#include "api/api.h"
#include "base/json_writer.h"
#include "http/reply.h"
#include "model/id.h"
#include "store/tasks.h"

#include <stdio.h>
#include <stdlib.h>

#define WORKERS_MAX 10000            /* of one broadcast */
#define BYTES_MAX ((size_t)64 << 20) /* of the tasks' payloads together */
#define STEP 500                     /* tasks that are on their way at once */
#define PATIENCE_MS 20000            /* a client that was told "too late" would send the job again, and workers would do it twice */

struct broadcasting;

/* The outcome of one worker's task. */
struct addressee {
    struct broadcasting *broadcasting;
    enum err err;
    char worker_id[ID_MAX + 1];
    char task_id[TASK_ID_MAX];
};

struct broadcasting {
    struct api *api;
    struct pending *pending;
    struct broadcast job;
    size_t waiting; /* outcomes still to come, and one more while tasks are being submitted */
    size_t count, begun;
    size_t room; /* in addressees */
    struct addressee *addressees;
};

static void write_addressee(struct buffer *out, const struct addressee *addressee)
{
    json_begin_object(out, NULL);
    json_add_text(out, "worker_id", str_from(addressee->worker_id));
    json_add_text(out, "status", addressee->err == ERR_NONE ? STR("queued") : STR("failed"));
    json_add_text(out, "message",
                  addressee->err == ERR_NONE ? STR("Job broadcast successful") : str_from(api_explain(addressee->err)));
    if (addressee->err == ERR_NONE)
        json_add_text(out, "task_id", str_from(addressee->task_id));
    json_end_object(out);
}

static void write_answer(struct buffer *out, const struct broadcasting *broadcasting)
{
    size_t failed = 0;
    for (size_t i = 0; i < broadcasting->count; i++)
        failed += broadcasting->addressees[i].err != ERR_NONE;
    json_begin_object(out, NULL);
    json_add_text(out, "job_type", broadcasting->job.type);
    json_add_integer(out, "broadcasted_to", (int64_t)broadcasting->count);
    json_add_integer(out, "successful", (int64_t)(broadcasting->count - failed));
    json_add_integer(out, "failed", (int64_t)failed);
    json_begin_array(out, "workers");
    for (size_t i = 0; i < broadcasting->count; i++)
        write_addressee(out, &broadcasting->addressees[i]);
    json_end_array(out);
    json_end_object(out);
}

/* Whether the job has too many workers, or too many bytes for them all. Then no worker gets it. */
static bool is_too_much(const struct broadcasting *broadcasting)
{
    return broadcasting->count > WORKERS_MAX || broadcasting->count * broadcasting->job.data.len > BYTES_MAX;
}

static void refuse(struct request *request, const struct broadcasting *broadcasting)
{
    char detail[256];
    if (broadcasting->count == 0) {
        snprintf(detail, sizeof(detail), "No capable workers available for job type: %.*s", STR_PRINTF(broadcasting->job.type));
        reply_error(request, ERR_NO_WORKER, detail, NULL);
    } else if (broadcasting->count > WORKERS_MAX) {
        snprintf(detail, sizeof(detail),
                 "More than %d workers are capable of this job, and no task was made. Name a required_capability that fewer have.",
                 WORKERS_MAX);
        reply_error(request, ERR_TOO_MANY, detail, NULL);
    } else {
        snprintf(detail, sizeof(detail),
                 "job_data of %zu bytes for %zu workers is more than %zu MiB, and no task was made. Put the data where workers can "
                 "fetch it, and send its address.",
                 broadcasting->job.data.len, broadcasting->count, BYTES_MAX >> 20);
        reply_error(request, ERR_TOO_LARGE, detail, NULL);
    }
}

static void broadcasting_end(struct broadcasting *broadcasting, enum err err)
{
    if (err == ERR_NONE && broadcasting->begun > 0)
        err = api_common_error(&broadcasting->addressees->err, sizeof(*broadcasting->addressees), broadcasting->begun);
    struct broadcasting last = *broadcasting;
    struct request *request = api_resume(broadcasting->pending, err);
    if (request != NULL && (last.count == 0 || is_too_much(&last))) {
        refuse(request, &last);
    } else if (request != NULL) {
        struct buffer body = BUFFER_INIT;
        write_answer(&body, &last);
        reply_json(request, 200, &body);
        buffer_fini(&body);
    }
    broadcast_fini(&last.job);
    free(last.addressees);
}

static void submit_some(struct broadcasting *broadcasting);

static void on_submitted(void *data, enum err err, const struct task_change *change)
{
    struct addressee *addressee = data;
    struct broadcasting *broadcasting = addressee->broadcasting;
    addressee->err = err == ERR_NONE && change->outcome != TASK_DONE ? ERR_QUEUES_FULL : err;
    if (addressee->err == ERR_NONE)
        snprintf(addressee->task_id, sizeof(addressee->task_id), "%.*s", STR_PRINTF(change->task_id));
    if (--broadcasting->waiting == 0)
        submit_some(broadcasting);
}

static void submit(struct broadcasting *broadcasting, struct addressee *addressee)
{
    struct str none = {NULL, 0};
    struct submission submission =
        submission_for_worker(broadcasting->job.type, broadcasting->job.data, str_from(addressee->worker_id));
    addressee->broadcasting = broadcasting;
    broadcasting->waiting++;
    enum err err = store_submit(broadcasting->api->store, &submission, none, none, true, on_submitted, addressee);
    submission_fini(&submission);
    if (err != ERR_NONE)
        on_submitted(addressee, err, NULL);
}

/* Submits the next STEP tasks when all tasks before them have an outcome. After the last one, answers. */
static void submit_some(struct broadcasting *broadcasting)
{
    while (broadcasting->waiting == 0 && broadcasting->begun < broadcasting->count) {
        broadcasting->waiting = 1;
        for (size_t i = 0; i < STEP && broadcasting->begun < broadcasting->count; i++)
            submit(broadcasting, &broadcasting->addressees[broadcasting->begun++]);
        broadcasting->waiting--;
    }
    if (broadcasting->waiting == 0)
        broadcasting_end(broadcasting, ERR_NONE);
}

static bool on_worker(void *data, const struct worker *worker, int64_t now)
{
    (void)now;
    struct broadcasting *broadcasting = data;
    if (!broadcast_reaches(&broadcasting->job, worker))
        return true;
    if (broadcasting->count == broadcasting->room) {
        broadcasting->room = broadcasting->room > 0 ? 2 * broadcasting->room : 64;
        broadcasting->addressees = realloc(broadcasting->addressees, broadcasting->room * sizeof(struct addressee));
        if (broadcasting->addressees == NULL)
            abort();
    }
    struct addressee *addressee = &broadcasting->addressees[broadcasting->count++];
    snprintf(addressee->worker_id, sizeof(addressee->worker_id), "%.*s", STR_PRINTF(worker->id));
    return !is_too_much(broadcasting);
}

/* Submits the tasks, unless the client has left or was told that its time is over: then no task may be made. */
static void on_workers(void *data, enum err err)
{
    struct broadcasting *broadcasting = data;
    if (err != ERR_NONE || is_too_much(broadcasting) || !pending_is_waited_for(broadcasting->pending))
        broadcasting_end(broadcasting, err);
    else
        submit_some(broadcasting);
}

void api_broadcast(struct request *request)
{
    struct api *api = request_app(request);
    struct broadcast job;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    enum err err = broadcast_parse(request->body, &job, &faults, &why);
    if (err != ERR_NONE) {
        reply_error(request, err, err != ERR_INVALID ? why : NULL, err == ERR_INVALID ? &faults : NULL);
        faults_fini(&faults);
        return;
    }
    struct pending *pending = api_wait(request, sizeof(struct broadcasting));
    struct broadcasting *broadcasting = pending_payload(pending);
    *broadcasting = (struct broadcasting){.api = api, .pending = pending, .job = job};
    pending_allow(pending, PATIENCE_MS);
    err = store_list(api->store, (struct str){NULL, 0}, true, on_worker, on_workers, broadcasting);
    if (err != ERR_NONE)
        on_workers(broadcasting, err);
}
