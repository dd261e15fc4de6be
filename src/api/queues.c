/*
 * Reads queues, limits them and pauses them.
 */
#include "api/api.h"
#include "base/json_writer.h"
#include "http/reply.h"
#include "model/json.h"
#include "store/tasks.h"

#include <math.h>

#define LIMIT_MAX 1000000

struct reading {
    struct pending *pending;
    struct buffer body;
    size_t count;
};

static void write_queue(struct buffer *out, const struct queue *queue)
{
    json_begin_object(out, NULL);
    json_add_text(out, "queue", queue->name);
    json_add_bool(out, "paused", queue->paused);
    if (queue->limit >= 0)
        json_add_integer(out, "limit", queue->limit);
    else
        json_add_null(out, "limit");
    json_begin_object(out, "counts");
    json_add_integer(out, "scheduled", queue->scheduled);
    json_add_integer(out, "queued", queue->queued);
    json_add_integer(out, "leased", queue->leased);
    json_add_integer(out, "completed", queue->completed);
    json_add_integer(out, "dead", queue->dead);
    json_add_integer(out, "cancelled", queue->cancelled);
    json_add_integer(out, "expired", queue->expired);
    json_end_object(out);
    json_begin_object(out, "totals");
    json_add_integer(out, "enqueued", queue->totals.enqueued);
    json_add_integer(out, "completed", queue->totals.completed);
    json_add_integer(out, "failed", queue->totals.failed);
    json_add_integer(out, "dead", queue->totals.dead);
    json_add_integer(out, "cancelled", queue->totals.cancelled);
    json_add_integer(out, "expired", queue->totals.expired);
    json_add_integer(out, "lost", queue->totals.lost);
    json_add_integer(out, "retried", queue->totals.retried);
    json_end_object(out);
    if (queue->oldest_ms >= 0)
        json_add_number(out, "oldest_seconds", (double)queue->oldest_ms / 1000);
    else
        json_add_null(out, "oldest_seconds");
    json_end_object(out);
}

static void on_queue(void *data, const struct queue *queue)
{
    struct reading *reading = data;
    reading->count++;
    write_queue(&reading->body, queue);
}

static void finish(struct reading *reading, enum err err)
{
    struct buffer body = reading->body;
    struct request *request = api_resume(reading->pending, err);
    if (request != NULL)
        reply_json(request, 200, &body);
    buffer_fini(&body);
}

static void on_queues(void *data, enum err err)
{
    struct reading *reading = data;
    json_end_array(&reading->body);
    json_end_object(&reading->body);
    finish(reading, err);
}

static void on_one_queue(void *data, enum err err)
{
    struct reading *reading = data;
    finish(reading, err == ERR_NONE && reading->count == 0 ? ERR_QUEUE_NOT_FOUND : err);
}

static void read_queues(struct request *request, struct str only)
{
    const struct api *api = request_app(request);
    struct pending *pending = api_wait(request, sizeof(struct reading));
    struct reading *reading = pending_payload(pending);
    reading->pending = pending;
    if (only.ptr == NULL) {
        json_begin_object(&reading->body, NULL);
        json_begin_array(&reading->body, "queues");
    }
    store_done_callback *done = only.ptr != NULL ? on_one_queue : on_queues;
    enum err err = store_queues(api->store, only, on_queue, done, reading);
    if (err != ERR_NONE)
        done(reading, err);
}

void api_queues(struct request *request)
{
    read_queues(request, (struct str){NULL, 0});
}

void api_queue(struct request *request)
{
    if (api_check_id(request, "queue"))
        read_queues(request, request_parameter(request, "queue"));
}

/* -- changes: the answer is the queue after the change ------------------------------------------------------------------------- */

static void on_changed(void *data, enum err err)
{
    struct request *request = api_resume(data, err);
    if (request != NULL)
        read_queues(request, request_parameter(request, "queue"));
}

/* Reads {"limit": n | null} into *limit, -1 for null. */
static enum err read_limit(struct str body, int64_t *limit, struct faults *faults, const char **why)
{
    cJSON *root;
    enum err err = json_parse_object(body, &root, why);
    if (err != ERR_NONE)
        return err;
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, "limit");
    double number = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (cJSON_IsNull(item))
        *limit = -1;
    else if (item == NULL)
        faults_add(faults, "limit", "is required: a number, or null for none");
    else if (!(number >= 0 && number <= LIMIT_MAX && floor(number) >= number))
        faults_add(faults, "limit", "must be a whole number from 0 to %d, or null for none", LIMIT_MAX);
    else
        *limit = (int64_t)number;
    cJSON_Delete(root);
    return faults->count > 0 ? ERR_INVALID : ERR_NONE;
}

void api_queue_limit(struct request *request)
{
    const struct api *api = request_app(request);
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    int64_t limit = -1;
    if (!api_check_id(request, "queue"))
        return;
    enum err err = read_limit(request->body, &limit, &faults, &why);
    if (err != ERR_NONE) {
        api_refuse(request, err, why, &faults);
        return;
    }
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_limit_queue(api->store, request_parameter(request, "queue"), limit, on_changed, pending));
}

static void pause_queue(struct request *request, bool pause)
{
    const struct api *api = request_app(request);
    if (!api_check_id(request, "queue"))
        return;
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_pause_queue(api->store, request_parameter(request, "queue"), pause, on_changed, pending));
}

void api_queue_pause(struct request *request)
{
    pause_queue(request, true);
}

void api_queue_resume(struct request *request)
{
    pause_queue(request, false);
}
