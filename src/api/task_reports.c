/*
 * Takes many results or many failures of a worker in one request. Each gets an outcome of its own.
 */
#include "api/api.h"
#include "api/asks.h"
#include "base/json_writer.h"
#include "model/id.h"
#include "model/json.h"
#include "model/report.h"

#include <stdio.h>
#include <stdlib.h>

#define REPORTS_MAX 1000

struct reports;

/* One report of the request. */
struct report_item {
    struct reports *reports;
    char task_id[ID_MAX];
    size_t task_id_len;
    int status; /* the HTTP status that the report would have got alone */
    struct str code;
    struct buffer why; /* its faults, as members of a JSON object */
    char state[16];
    int64_t available_at;
};

struct reports {
    struct pending *pending;
    enum report_kind kind;
    struct str join; /* the caller that the script must check, see admit_worker; absent: none */
    enum err err;    /* of any report; the whole request is then answered with it */
    size_t waiting;  /* outcomes still to come, plus 1 while the request is read */
    size_t count;
    struct report_item *items;
};

static void write_item(struct buffer *out, const struct report_item *item)
{
    json_begin_object(out, NULL);
    if (item->task_id_len > 0)
        json_add_text(out, "task_id", (struct str){item->task_id, item->task_id_len});
    else
        json_add_null(out, "task_id");
    json_add_integer(out, "status", item->status);
    if (item->code.len > 0)
        json_add_text(out, "code", item->code);
    if (item->state[0] != '\0')
        json_add_text(out, "state", str_from(item->state));
    if (item->available_at > 0)
        json_add_time(out, "available_at", item->available_at);
    if (item->why.len > 0)
        json_add_raw(out, NULL, buffer_str(&item->why));
    json_end_object(out);
}

/* Counts one outcome less to wait for. Answers the request after the last one. */
static void arrived(struct reports *reports)
{
    if (--reports->waiting > 0)
        return;
    struct buffer body = BUFFER_INIT;
    json_begin_array(&body, "results");
    for (size_t i = 0; i < reports->count; i++) {
        write_item(&body, &reports->items[i]);
        buffer_fini(&reports->items[i].why);
    }
    json_end_array(&body);
    free(reports->items);
    struct request *request = api_resume(reports->pending, reports->err);
    if (request != NULL)
        asks_reply_report(request, buffer_str(&body));
    buffer_fini(&body);
}

static void refuse(struct report_item *item, enum err err)
{
    item->status = err_status(err);
    item->code = err_code(err);
}

static void on_change(void *data, enum err err, const struct task_change *change)
{
    struct report_item *item = data;
    struct reports *reports = item->reports;
    if (err != ERR_NONE) {
        reports->err = err;
    } else if (change->outcome == TASK_DONE) {
        item->status = 200;
        item->available_at = change->time;
        snprintf(item->state, sizeof(item->state), "%.*s", STR_PRINTF(change->state));
    } else {
        refuse(item, change->outcome == TASK_UNKNOWN  ? ERR_TASK_NOT_FOUND
                     : change->outcome == TASK_OTHERS ? ERR_OTHERS
                                                      : ERR_LEASE_LOST);
    }
    arrived(reports);
}

/* Copies the member `name` of a JSON object, if it is a valid id. Returns its length; 0 if there is no such id. */
static size_t read_id(struct str object, const char *name, char room[ID_MAX])
{
    struct str text = object.ptr[0] == '{' ? json_member_text(object, name) : (struct str){NULL, 0};
    if (text.ptr == NULL || text.len < 2 || text.len - 2 > ID_MAX || text.ptr[0] != '"')
        return 0;
    struct str id = {text.ptr + 1, text.len - 2};
    if (!id_is_valid(id))
        return 0;
    memcpy(room, id.ptr, id.len);
    return id.len;
}

/* Sends one report to Redis, if it is valid. */
static void take_report(struct reports *reports, struct store *store, struct str worker_id, struct str text)
{
    struct report_item *item = &reports->items[reports->count++];
    struct report report;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    item->reports = reports;
    item->task_id_len = read_id(text, "task_id", item->task_id);
    enum err err = report_parse(reports->kind, text, &(struct report_names){.worker_id = worker_id}, &report, &faults, &why);
    if (err != ERR_NONE) {
        refuse(item, err);
        if (err == ERR_BAD_REQUEST) /* the whole body was checked before */
            why = "Each of results must be a JSON object.";
        if (faults.count > 0)
            faults_write(&item->why, "errors", &faults);
        else if (why != NULL)
            json_add_text(&item->why, "detail", str_from(why));
        faults_fini(&faults);
        return;
    }
    item->task_id_len = report.names.task_id.len;
    memcpy(item->task_id, report.names.task_id.ptr, report.names.task_id.len);
    struct holding holding = {report.names.worker_id, report.names.task_id, str_from(report.lease), reports->join};
    reports->waiting++;
    if (reports->kind == REPORT_COMPLETE)
        err = store_complete_task(store, &holding, report.result, true, on_change, item);
    else
        err = store_fail_task(store, &holding, report.error, report.retryable, report.retry_after_ms, true, on_change, item);
    report_fini(&report);
    if (err != ERR_NONE)
        on_change(item, err, NULL);
}

/* Reads the worker that all reports are from. Returns an absent text, and adds a fault, if the body does not name it. */
static struct str read_worker(struct str body, char room[ID_MAX], struct faults *faults)
{
    size_t len = read_id(body, "worker_id", room);
    if (len > 0)
        return (struct str){room, len};
    faults_add(faults, "worker_id", json_member_text(body, "worker_id").ptr == NULL ? "is required" : ID_RULE);
    return (struct str){NULL, 0};
}

static void take_all(struct request *request, enum report_kind kind)
{
    const struct api *api = request_app(request);
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    char room[ID_MAX];
    asks_check_next(request, &faults);
    enum err err = json_check_object(request->body, &why);
    if (err != ERR_NONE) {
        api_refuse(request, err, why, &faults);
        return;
    }
    struct str worker_id = read_worker(request->body, room, &faults);
    struct str list = json_member_text(request->body, "results");
    size_t count = api_count_elements(list, REPORTS_MAX);
    bool fits = count >= 1 && count <= REPORTS_MAX;
    if (!fits)
        faults_add(&faults, "results", "must be an array of 1 to %d", REPORTS_MAX);
    if (!fits || faults.count > 0) {
        api_refuse(request, ERR_INVALID, NULL, &faults);
        return;
    }
    request_name_worker(request, worker_id);
    struct str join;
    if (!admit_worker(request, worker_id, &join))
        return;
    struct pending *pending = api_wait(request, sizeof(struct reports));
    struct reports *reports = pending_payload(pending);
    *reports = (struct reports){
        .pending = pending, .kind = kind, .join = join, .waiting = 1, .items = calloc(count, sizeof(*reports->items))};
    if (reports->items == NULL)
        abort();
    struct json_items items = json_items(list);
    struct json_item item;
    while (json_next(&items, &item))
        take_report(reports, api->store, worker_id, item.value);
    arrived(reports);
}

void api_tasks_complete(struct request *request)
{
    take_all(request, REPORT_COMPLETE);
}

void api_tasks_fail(struct request *request)
{
    take_all(request, REPORT_FAIL);
}
