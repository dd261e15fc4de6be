/*
 * Takes new tasks: POST /api/tasks, POST /api/tasks/bulk.
 */
#include "api/admit.h"
#include "api/api.h"
#include "auth/secret.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "http/reply.h"
#include "model/json.h"
#include "store/credentials.h"
#include "store/tasks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TASKS_MAX 1000 /* of one request */

/* Digests of an Idempotency-Key and of the task that came with it; both empty without a key. */
struct idempotency {
    char key[SECRET_DIGEST_LEN + 1], body[SECRET_DIGEST_LEN + 1];
};

/* Returns who submits; absent if nobody has to say so. */
static struct str submitter(struct request *request)
{
    return admit_principal(request)->kind != PRINCIPAL_NONE ? admit_actor(request).who : (struct str){NULL, 0};
}

static void note_submitter(struct request *request, struct submission *submission)
{
    submission->by = submitter(request);
    submission->own = submission->by.len > 0 && admit_principal(request)->role == ROLE_USER;
}

/*
 * Reads Idempotency-Key. The submitter is a part of the key, so that nobody gets the task of somebody else by it. So is `place`,
 * the task's place in a bulk request (-1: none). A fault of the header goes to *faults.
 */
static struct idempotency read_key(struct request *request, int place, struct str body, struct faults *faults)
{
    struct idempotency digests = {.key = ""};
    struct str key = request_header(request, "idempotency-key");
    if (key.ptr == NULL)
        return digests;
    bool valid = key.len > 0 && key.len <= TASK_KEY_MAX;
    for (size_t i = 0; valid && i < key.len; i++)
        valid = key.ptr[i] >= ' ' && key.ptr[i] <= '~';
    if (!valid) {
        faults_add(faults, "Idempotency-Key", "must be 1 to %d printable ASCII characters", TASK_KEY_MAX);
        return digests;
    }
    struct str by = submitter(request);
    struct buffer text = BUFFER_INIT;
    buffer_append(&text, key);
    if (place >= 0)
        buffer_printf(&text, "\n%d", place);
    if (by.len > 0)
        buffer_printf(&text, "\nby %.*s", STR_PRINTF(by));
    secret_digest(buffer_str(&text), digests.key);
    buffer_fini(&text);
    secret_digest(body, digests.body);
    return digests;
}

static struct str digest(const char *text)
{
    return text[0] != '\0' ? str_from(text) : (struct str){NULL, 0};
}

/* Returns the error that an outcome means; ERR_NONE if there is a task. */
static enum err refusal(enum task_outcome outcome)
{
    return outcome == TASK_OTHER     ? ERR_KEY_REUSED
           : outcome == TASK_BLOCKED ? ERR_DEDUP_TAKEN
           : outcome == TASK_FULL    ? ERR_QUEUES_FULL
                                     : ERR_NONE;
}

/* -- one task ------------------------------------------------------------------------------------------------------------------ */

struct submitting {
    struct pending *pending;
    struct store *store;
    struct submission submission;
    bool again; /* an earlier request with this Idempotency-Key made the task */
    char id[TASK_ID_MAX];
};

struct digits {
    char text[24];
};

static struct str number(struct digits *digits, int64_t value)
{
    int len = snprintf(digits->text, sizeof(digits->text), "%" PRId64, value);
    return (struct str){digits->text, (size_t)len};
}

/* Writes a task that was made at `now`, with the same members as a read would have. */
static void write_new(struct buffer *out, const struct submission *submission, struct str task_id, int64_t now)
{
    int64_t due = submission->delay_ms > 0 ? now + submission->delay_ms : submission->run_at;
    struct digits digits[8];
    struct task task = {.id = task_id};
    task.fields[TASK_state] = due > now ? STR("scheduled") : STR("queued");
    task.fields[TASK_queue] = submission->queue;
    task.fields[TASK_type] = submission->type;
    task.fields[TASK_payload] = submission->payload;
    task.fields[TASK_requirements] = submission->requirements;
    task.fields[TASK_dedup] = submission->dedup_key;
    task.fields[TASK_by] = submission->by;
    task.fields[TASK_priority] = number(&digits[0], submission->priority);
    task.fields[TASK_created_at] = number(&digits[1], now);
    if (due > now)
        task.fields[TASK_available_at] = number(&digits[2], due);
    if (submission->ttl_ms >= 0)
        task.fields[TASK_expires_at] = number(&digits[3], now + submission->ttl_ms);
    if (submission->max_attempts >= 0)
        task.fields[TASK_max_attempts] = number(&digits[4], submission->max_attempts);
    if (submission->lease_ms >= 0)
        task.fields[TASK_lease_ms] = number(&digits[5], submission->lease_ms);
    if (submission->result_ttl_ms >= 0)
        task.fields[TASK_result_ttl] = number(&digits[6], submission->result_ttl_ms);
    task_write(out, &task, true);
}

static void answer_submission(struct submitting *submitting, enum err err, int status, struct buffer *body)
{
    bool again = submitting->again;
    submission_fini(&submitting->submission);
    struct request *request = api_resume(submitting->pending, err);
    if (request != NULL && again)
        request_set_header(request, "Idempotency-Replayed", "true");
    if (request != NULL)
        reply_json(request, status, body);
    buffer_fini(body);
}

/* Answers with the task that was there already; only with its id if it has been removed since. */
static void on_existing(void *data, enum err err, const struct task *task)
{
    struct submitting *submitting = data;
    struct buffer body = BUFFER_INIT;
    if (err == ERR_NONE) {
        task_write(&body, task, true);
    } else if (err == ERR_TASK_NOT_FOUND) {
        json_begin_object(&body, NULL);
        json_add_text(&body, "task_id", str_from(submitting->id));
        json_add_null(&body, "state");
        json_end_object(&body);
        err = ERR_NONE;
    }
    answer_submission(submitting, err, 200, &body);
}

static void on_submitted(void *data, enum err err, const struct task_change *change)
{
    struct submitting *submitting = data;
    struct buffer body = BUFFER_INIT;
    if (err == ERR_NONE)
        err = refusal(change->outcome);
    if (err == ERR_NONE && change->outcome != TASK_DONE) {
        submitting->again = change->outcome == TASK_AGAIN;
        snprintf(submitting->id, sizeof(submitting->id), "%.*s", STR_PRINTF(change->task_id));
        err = store_get_task(submitting->store, str_from(submitting->id), on_existing, submitting);
        if (err == ERR_NONE)
            return;
    }
    if (err == ERR_NONE)
        write_new(&body, &submitting->submission, change->task_id, change->time);
    answer_submission(submitting, err, 201, &body);
}

void api_submit(struct request *request)
{
    const struct api *api = request_app(request);
    struct submission submission;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    struct idempotency key = read_key(request, -1, request->body, &faults);
    enum err err = submission_parse(request->body, clock_wall_ms(), &submission, &faults, &why);
    if (err != ERR_NONE) {
        reply_error(request, err, err != ERR_INVALID ? why : NULL, err == ERR_INVALID ? &faults : NULL);
        faults_fini(&faults);
        return;
    }
    struct pending *pending = api_wait(request, sizeof(struct submitting));
    struct submitting *submitting = pending_payload(pending);
    submitting->pending = pending;
    submitting->store = api->store;
    note_submitter(request, &submission);
    submitting->submission = submission;
    err = store_submit(api->store, &submission, digest(key.key), digest(key.body), false, on_submitted, submitting);
    if (err != ERR_NONE)
        on_submitted(submitting, err, NULL);
}

/* -- many ---------------------------------------------------------------------------------------------------------------------- */

struct bulk;

/* One task of the request, and its outcome. */
struct item {
    struct bulk *bulk;
    enum err err;
    bool existing;
    char id[TASK_ID_MAX];
    struct buffer errors; /* its faults, as the member "errors" */
    const char *why;
};

struct bulk {
    struct pending *pending;
    size_t waiting; /* outcomes still to come, plus 1 while the request is read */
    size_t count;
    struct item *items;
};

static void write_item(struct buffer *out, const struct item *item)
{
    json_begin_object(out, NULL);
    json_add_integer(out, "status", item->err != ERR_NONE ? err_status(item->err) : item->existing ? 200 : 201);
    if (item->err == ERR_NONE) {
        json_add_text(out, "task_id", str_from(item->id));
    } else {
        json_add_text(out, "code", err_code(item->err));
        json_add_text(out, "detail", str_from(item->why != NULL ? item->why : api_explain(item->err)));
        if (item->errors.len > 0)
            json_add_raw(out, NULL, buffer_str(&item->errors));
    }
    json_end_object(out);
}

static void write_bulk(struct buffer *out, const struct bulk *bulk)
{
    size_t created = 0, existing = 0;
    for (size_t i = 0; i < bulk->count; i++) {
        created += bulk->items[i].err == ERR_NONE && !bulk->items[i].existing;
        existing += bulk->items[i].err == ERR_NONE && bulk->items[i].existing;
    }
    json_begin_object(out, NULL);
    json_add_integer(out, "created", (int64_t)created);
    json_add_integer(out, "existing", (int64_t)existing);
    json_add_integer(out, "failed", (int64_t)(bulk->count - created - existing));
    json_begin_array(out, "results");
    for (size_t i = 0; i < bulk->count; i++)
        write_item(out, &bulk->items[i]);
    json_end_array(out);
    json_end_object(out);
}

/* Counts one outcome less to wait for. Answers the request after the last one. */
static void arrived(struct bulk *bulk)
{
    if (--bulk->waiting > 0)
        return;
    struct buffer body = BUFFER_INIT;
    enum err err = api_common_error(&bulk->items->err, sizeof(*bulk->items), bulk->count);
    if (err == ERR_NONE)
        write_bulk(&body, bulk);
    for (size_t i = 0; i < bulk->count; i++)
        buffer_fini(&bulk->items[i].errors);
    free(bulk->items);
    struct request *request = api_resume(bulk->pending, err);
    if (request != NULL)
        reply_json(request, 200, &body);
    buffer_fini(&body);
}

static void on_item(void *data, enum err err, const struct task_change *change)
{
    struct item *item = data;
    item->err = err != ERR_NONE ? err : refusal(change->outcome);
    if (item->err == ERR_NONE) {
        item->existing = change->outcome != TASK_DONE;
        snprintf(item->id, sizeof(item->id), "%.*s", STR_PRINTF(change->task_id));
    }
    arrived(item->bulk);
}

static void submit_item(struct request *request, struct item *item, int place, struct str text)
{
    const struct api *api = request_app(request);
    struct submission submission;
    struct faults faults = FAULTS_INIT;
    struct idempotency key = read_key(request, place, text, &faults);
    item->err = submission_parse(text, clock_wall_ms(), &submission, &faults, &item->why);
    if (item->err != ERR_NONE) {
        if (item->err == ERR_INVALID)
            faults_write(&item->errors, "errors", &faults);
        else if (item->err == ERR_BAD_REQUEST) /* the whole body was checked before */
            item->why = "Each of tasks must be a JSON object.";
        faults_fini(&faults);
        return;
    }
    item->bulk->waiting++;
    note_submitter(request, &submission);
    enum err err = store_submit(api->store, &submission, digest(key.key), digest(key.body), true, on_item, item);
    submission_fini(&submission);
    if (err != ERR_NONE)
        on_item(item, err, NULL);
}

void api_submit_bulk(struct request *request)
{
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    enum err err = json_check_object(request->body, &why);
    if (err != ERR_NONE) {
        api_refuse(request, err, why, &faults);
        return;
    }
    struct str list = json_member_text(request->body, "tasks");
    size_t count = api_count_elements(list, TASKS_MAX);
    bool fits = count >= 1 && count <= TASKS_MAX;
    if (!fits)
        faults_add(&faults, "tasks", "must be an array of 1 to %d tasks", TASKS_MAX);
    (void)read_key(request, 0, STR("{}"), &faults);
    if (!fits || faults.count > 0) {
        api_refuse(request, ERR_INVALID, NULL, &faults);
        return;
    }
    struct pending *pending = api_wait(request, sizeof(struct bulk));
    struct bulk *bulk = pending_payload(pending);
    bulk->pending = pending;
    bulk->count = count;
    bulk->items = calloc(count, sizeof(*bulk->items));
    if (bulk->items == NULL)
        abort();
    bulk->waiting = 1;
    struct json_items items = json_items(list);
    struct json_item item;
    for (size_t i = 0; json_next(&items, &item); i++) {
        bulk->items[i].bulk = bulk;
        submit_item(request, &bulk->items[i], (int)i, item.value);
    }
    arrived(bulk);
}
