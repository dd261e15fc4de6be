/*
 * Many tasks: GET /api/tasks, POST /api/tasks/retry, DELETE /api/queues/{queue}/tasks.
 */
#include "api/api.h"
#include "base/json_writer.h"
#include "http/reply.h"
#include "model/id.h"
#include "model/json.h"
#include "store/tasks.h"

#include <stdlib.h>

#define LIMIT_DEFAULT 100
#define TEXT_MAX 256 /* bytes of a type, or of a part of an error, that is looked for */
#define CURSOR_MAX 1024
#define STATE_RULE "must be scheduled, queued, leased, completed, dead, cancelled or expired"

static bool is_state(struct str word)
{
    static const char *const states[] = {"scheduled", "queued", "leased", "completed", "dead", "cancelled", "expired"};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (str_eq(word, str_from(states[i])))
            return true;
    return false;
}

static void check_id(struct str id, const char *name, struct faults *faults)
{
    if (id.ptr != NULL && !id_is_valid(id))
        faults_add(faults, name, ID_RULE);
}

static void check_text(struct str text, const char *name, struct faults *faults)
{
    if (text.ptr != NULL && text.len == 0) /* in a script, the filter may have been lost; it must not select all */
        faults_add(faults, name, "must not be empty");
    if (text.len > TEXT_MAX || (text.len > 0 && !json_is_utf8(text)))
        faults_add(faults, name, "must be UTF-8 of at most %d bytes", TEXT_MAX);
}

static void check_filter(const struct task_filter *filter, struct faults *faults)
{
    check_id(filter->queue, "queue", faults);
    check_id(filter->worker_id, "worker_id", faults);
    check_text(filter->type, "type", faults);
    check_text(filter->error, "error", faults);
    if (filter->state.ptr != NULL && !is_state(filter->state))
        faults_add(faults, "state", STATE_RULE);
}

/* -- GET /api/tasks ------------------------------------------------------------------------------------------------------------ */

struct rooms {
    char queue[ID_MAX + 1], state[16], type[TEXT_MAX + 1], worker_id[ID_MAX + 1], error[TEXT_MAX + 1], cursor[CURSOR_MAX + 1];
};

struct listing {
    struct api *api;
    struct pending *pending;
    struct buffer body;
    size_t listed; /* bytes counted in api->listed */
};

static void on_row(void *data, const struct task *task)
{
    struct listing *listing = data;
    size_t before = listing->body.len;
    task_write(&listing->body, task, false);
    listing->listed += listing->body.len - before;
    listing->api->listed += listing->body.len - before;
}

static void on_listed(void *data, enum err err, struct str next)
{
    struct listing *listing = data;
    struct buffer *body = &listing->body;
    listing->api->listed -= listing->listed;
    json_end_array(body);
    json_add_text(body, "next_cursor", next.len > 0 ? next : (struct str){NULL, 0});
    json_end_object(body);
    struct buffer whole = *body;
    struct request *request = api_resume(listing->pending, err);
    if (request != NULL)
        reply_json(request, 200, &whole);
    buffer_fini(&whole);
}

void api_task_list(struct request *request)
{
    struct api *api = request_app(request);
    struct rooms rooms;
    struct faults faults = FAULTS_INIT;
    int limit = LIMIT_DEFAULT;
    struct task_filter filter = {
        .queue = request_query(request, "queue", rooms.queue, sizeof(rooms.queue)),
        .state = request_query(request, "state", rooms.state, sizeof(rooms.state)),
        .type = request_query(request, "type", rooms.type, sizeof(rooms.type)),
        .worker_id = request_query(request, "worker_id", rooms.worker_id, sizeof(rooms.worker_id)),
        .error = request_query(request, "error", rooms.error, sizeof(rooms.error)),
    };
    struct str cursor = request_query(request, "cursor", rooms.cursor, sizeof(rooms.cursor));
    api_query_number(request, "limit", STORE_TASKS_MAX, &limit, &faults);
    check_filter(&filter, &faults);
    if (faults.count > 0) {
        api_refuse(request, ERR_INVALID, NULL, &faults);
        return;
    }
    if (api_is_crowded(api)) {
        reply_error(request, ERR_CROWDED, NULL, NULL);
        return;
    }
    struct pending *pending = api_wait(request, sizeof(struct listing));
    struct listing *listing = pending_payload(pending);
    listing->api = api;
    listing->pending = pending;
    json_begin_object(&listing->body, NULL);
    json_begin_array(&listing->body, "tasks");
    enum err err = store_list_tasks(api->store, &filter, cursor, (size_t)limit, on_row, on_listed, listing);
    if (err == ERR_BAD_REQUEST) {
        faults_add(&faults, "cursor", "must be the next_cursor of an earlier answer");
        buffer_fini(&listing->body);
        struct request *again = api_resume(pending, ERR_NONE);
        if (again != NULL)
            api_refuse(again, ERR_INVALID, NULL, &faults);
        faults_fini(&faults);
    } else if (err != ERR_NONE) {
        on_listed(listing, err, (struct str){NULL, 0});
    }
}

/* -- changes to all tasks that a filter finds ---------------------------------------------------------------------------------- */

/* One change to many tasks: the retry of dead ones, or the purge of a queue. */
struct sweep {
    struct api *api;
    struct pending *pending;
    bool purge; /* else it retries */
    bool dry_run;
    enum err err;
    size_t waiting; /* outcomes still to come, plus 1 during the listing */
    size_t matched, changed;
    struct buffer found, next; /* id and state of each task, each with a NUL behind it, until they have been sent */
};

static void write_sweep(struct buffer *out, const struct sweep *sweep)
{
    json_begin_object(out, NULL);
    json_add_integer(out, "matched", (int64_t)sweep->matched);
    json_add_integer(out, sweep->purge ? "removed" : "retried", (int64_t)sweep->changed);
    json_add_text(out, "next_cursor", sweep->next.len > 0 ? buffer_str(&sweep->next) : (struct str){NULL, 0});
    json_end_object(out);
}

static void arrived(struct sweep *sweep)
{
    if (--sweep->waiting > 0)
        return;
    struct buffer body = BUFFER_INIT;
    write_sweep(&body, sweep);
    buffer_fini(&sweep->found);
    buffer_fini(&sweep->next);
    struct request *request = api_resume(sweep->pending, sweep->err);
    if (request != NULL)
        reply_json(request, 200, &body);
    buffer_fini(&body);
}

static void on_changed(void *data, enum err err, const struct task_change *change)
{
    struct sweep *sweep = data;
    if (err != ERR_NONE)
        sweep->err = err;
    else
        sweep->changed += change->outcome == TASK_DONE || change->outcome == TASK_DELETED || change->outcome == TASK_TELLING;
    arrived(sweep);
}

static void on_match(void *data, const struct task *task)
{
    struct sweep *sweep = data;
    sweep->matched++;
    if (sweep->dry_run)
        return;
    buffer_append(&sweep->found, task->id);
    buffer_append(&sweep->found, (struct str){"", 1});
    buffer_append(&sweep->found, task->fields[TASK_state]);
    buffer_append(&sweep->found, (struct str){"", 1});
}

static void on_matched(void *data, enum err err, struct str next)
{
    struct sweep *sweep = data;
    struct str rest = buffer_str(&sweep->found);
    sweep->err = err;
    buffer_append(&sweep->next, next);
    while (err == ERR_NONE && rest.len > 0) {
        struct str id = str_cut(&rest, '\0'), state = str_cut(&rest, '\0');
        sweep->waiting++;
        enum err sent = sweep->purge ? store_purge_task(sweep->api->store, id, state, on_changed, sweep)
                                     : store_retry_task(sweep->api->store, id, true, on_changed, sweep);
        if (sent != ERR_NONE)
            on_changed(sweep, sent, NULL);
    }
    arrived(sweep);
}

/* Begins to change the tasks that `filter` finds from `cursor` on. Refuses an invalid cursor. */
static void begin_sweep(struct request *request, const struct task_filter *filter, struct str cursor, size_t limit, bool purge,
                        bool dry_run)
{
    struct api *api = request_app(request);
    struct pending *pending = api_wait(request, sizeof(struct sweep));
    struct sweep *sweep = pending_payload(pending);
    *sweep = (struct sweep){.api = api, .pending = pending, .purge = purge, .dry_run = dry_run, .waiting = 1};
    enum err err = store_list_tasks(api->store, filter, cursor, limit, on_match, on_matched, sweep);
    if (err == ERR_BAD_REQUEST) {
        struct faults faults = FAULTS_INIT;
        faults_add(&faults, "cursor", "must be the next_cursor of an earlier answer");
        struct request *again = api_resume(pending, ERR_NONE);
        if (again != NULL)
            api_refuse(again, ERR_INVALID, NULL, &faults);
        faults_fini(&faults);
    } else if (err != ERR_NONE) {
        on_matched(sweep, err, (struct str){NULL, 0});
    }
}

/* Refuses unknown members: a misspelt filter must not select all dead tasks. */
static void refuse_other_members(const cJSON *root, struct faults *faults)
{
    static const char *const names[] = {"queue", "type", "worker_id", "error", "cursor", "limit", "dry_run"};
    const cJSON *item;
    cJSON_ArrayForEach(item, root)
    {
        size_t i = 0;
        if (strcmp(item->string, "state") == 0 && cJSON_IsString(item) && strcmp(item->valuestring, "dead") == 0)
            continue; /* only dead tasks are retried anyway */
        while (i < sizeof(names) / sizeof(names[0]) && strcmp(item->string, names[i]) != 0)
            i++;
        if (i == sizeof(names) / sizeof(names[0]))
            faults_add(faults, item->string,
                       "is no member of this request; there are queue, type, worker_id, error, cursor, limit and dry_run");
    }
}

void api_tasks_retry(struct request *request)
{
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    cJSON *root;
    enum err err = json_parse_object(request->body, &root, &why);
    if (err != ERR_NONE) {
        api_refuse(request, err, why, &faults);
        return;
    }
    struct task_filter filter = {.state = STR("dead")};
    struct str cursor = {NULL, 0};
    double limit = STORE_TASKS_MAX;
    bool dry_run = false;
    json_get_string(root, "queue", SIZE_MAX, "queue", &filter.queue, &faults);
    json_get_string(root, "type", SIZE_MAX, "type", &filter.type, &faults);
    json_get_string(root, "worker_id", SIZE_MAX, "worker_id", &filter.worker_id, &faults);
    json_get_string(root, "error", SIZE_MAX, "error", &filter.error, &faults);
    json_get_string(root, "cursor", CURSOR_MAX, "cursor", &cursor, &faults);
    json_get_number(root, "limit", 1, STORE_TASKS_MAX, "limit", &limit, &faults);
    json_get_bool(root, "dry_run", "dry_run", &dry_run, &faults);
    refuse_other_members(root, &faults);
    check_filter(&filter, &faults);
    if (faults.count > 0)
        api_refuse(request, ERR_INVALID, NULL, &faults);
    else
        begin_sweep(request, &filter, cursor, (size_t)limit, false, dry_run);
    cJSON_Delete(root);
}

void api_queue_purge(struct request *request)
{
    char state_room[16], cursor_room[CURSOR_MAX + 1];
    struct faults faults = FAULTS_INIT;
    if (!api_check_id(request, "queue"))
        return;
    struct task_filter filter = {
        .queue = request_parameter(request, "queue"),
        .state = request_query(request, "state", state_room, sizeof(state_room)),
    };
    struct str cursor = request_query(request, "cursor", cursor_room, sizeof(cursor_room));
    if (filter.state.ptr == NULL)
        faults_add(&faults, "state", "is required: which tasks to remove; it " STATE_RULE);
    check_filter(&filter, &faults);
    if (faults.count > 0)
        api_refuse(request, ERR_INVALID, NULL, &faults);
    else
        begin_sweep(request, &filter, cursor, STORE_TASKS_MAX, true, false);
}
