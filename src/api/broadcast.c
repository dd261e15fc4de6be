/*
 * POST /api/coordinator/broadcast-job: one task for each live worker that is capable, of tier 1 and 2.
 */
#include "model/broadcast.h"
#include "api/api.h"
#include "base/json_writer.h"
#include "http/reply.h"
#include "model/id.h"
#include "store/tasks.h"

#include <stdio.h>
#include <stdlib.h>

#define WORKERS_MAX 1000 /* of one broadcast */

struct broadcasting;

/* What becomes of one worker's task. */
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
    size_t waiting; /* outcomes still to come, and one for the listing */
    size_t count;
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

static void refuse_for_nobody(struct request *request, struct str type)
{
    char detail[256];
    snprintf(detail, sizeof(detail), "No capable workers available for job type: %.*s", STR_PRINTF(type));
    reply_error(request, ERR_NO_WORKER, detail, NULL);
}

static void end(struct broadcasting *broadcasting, enum err err)
{
    struct broadcast job = broadcasting->job;
    struct buffer body = BUFFER_INIT;
    size_t count = broadcasting->count;
    write_answer(&body, broadcasting);
    free(broadcasting->addressees);
    struct request *request = api_resume(broadcasting->pending, err);
    if (request != NULL && count == 0)
        refuse_for_nobody(request, job.type);
    else if (request != NULL)
        reply_json(request, 200, &body);
    buffer_fini(&body);
    broadcast_fini(&job);
}

static void on_submitted(void *data, enum err err, const struct task_change *change)
{
    struct addressee *addressee = data;
    struct broadcasting *broadcasting = addressee->broadcasting;
    addressee->err = err == ERR_NONE && change->outcome != TASK_DONE ? ERR_QUEUES_FULL : err;
    if (addressee->err == ERR_NONE)
        snprintf(addressee->task_id, sizeof(addressee->task_id), "%.*s", STR_PRINTF(change->task_id));
    if (--broadcasting->waiting == 0)
        end(broadcasting, ERR_NONE);
}

static bool on_worker(void *data, const struct worker *worker, int64_t now)
{
    (void)now;
    struct broadcasting *broadcasting = data;
    if (!broadcast_reaches(&broadcasting->job, worker))
        return true;
    struct addressee *addressee = &broadcasting->addressees[broadcasting->count++];
    addressee->broadcasting = broadcasting;
    snprintf(addressee->worker_id, sizeof(addressee->worker_id), "%.*s", STR_PRINTF(worker->id));
    return broadcasting->count < WORKERS_MAX;
}

static void on_workers(void *data, enum err err)
{
    struct broadcasting *broadcasting = data;
    struct str none = {NULL, 0};
    if (err != ERR_NONE)
        broadcasting->count = 0;
    for (size_t i = 0; i < broadcasting->count; i++) {
        struct addressee *addressee = &broadcasting->addressees[i];
        struct submission submission =
            submission_for_worker(broadcasting->job.type, broadcasting->job.data, str_from(addressee->worker_id));
        broadcasting->waiting++;
        enum err sent = store_submit(broadcasting->api->store, &submission, none, none, true, on_submitted, addressee);
        submission_fini(&submission);
        if (sent != ERR_NONE)
            on_submitted(addressee, sent, NULL);
    }
    if (--broadcasting->waiting == 0)
        end(broadcasting, err);
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
    *broadcasting = (struct broadcasting){.api = api, .pending = pending, .job = job, .waiting = 1};
    broadcasting->addressees = calloc(WORKERS_MAX, sizeof(*broadcasting->addressees));
    if (broadcasting->addressees == NULL)
        abort();
    err = store_list(api->store, (struct str){NULL, 0}, true, on_worker, on_workers, broadcasting);
    if (err != ERR_NONE)
        on_workers(broadcasting, err);
}
