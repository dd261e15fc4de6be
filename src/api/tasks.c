/*
 * What workers report about their tasks: they complete them, fail at them, extend their leases and tell their progress.
 */
#include "api/api.h"
#include "api/asks.h"
#include "base/json_writer.h"
#include "http/reply.h"
#include "model/id.h"
#include "model/report.h"

/* Room for decoded names of the query. */
struct names_room {
    char worker_id[ID_MAX + 2], task_id[ID_MAX + 2], lease[LEASE_TEXT_MAX + 2];
};

/* Reads a worker's report from query and body; its texts are in them and in `room`. False: the request has been answered. */
static bool read_report(struct request *request, enum report_kind kind, struct names_room *room, struct report *report)
{
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    struct report_names names = {
        .worker_id = request_query(request, "worker_id", room->worker_id, sizeof(room->worker_id)),
        .task_id = kind == REPORT_PROGRESS ? request_parameter(request, "task_id")
                                           : request_query(request, "task_id", room->task_id, sizeof(room->task_id)),
        .lease = request_query(request, "lease", room->lease, sizeof(room->lease)),
    };
    if (kind == REPORT_COMPLETE || kind == REPORT_FAIL)
        asks_check_next(request, &faults);
    enum err err = report_parse(kind, request->body, &names, report, &faults, &why);
    if (err != ERR_NONE) {
        reply_error(request, err, why, err == ERR_INVALID ? &faults : NULL);
        faults_fini(&faults);
        return false;
    }
    request_name_worker(request, report->names.worker_id);
    return true;
}

/*
 * Sets *holding to the lease that the report is about. False: the sender may not speak for that worker; the request has been
 * answered, and the report is freed.
 */
static bool read_holding(struct request *request, struct report *report, struct holding *holding)
{
    *holding = (struct holding){.worker_id = report->names.worker_id, report->names.task_id, str_from(report->lease)};
    bool may = admit_worker(request, holding->worker_id, &holding->join);
    if (!may)
        report_fini(report);
    return may;
}

/* Returns the error that the worker gets for an outcome. */
static enum err outcome_err(enum task_outcome outcome)
{
    if (outcome == TASK_UNKNOWN)
        return ERR_TASK_NOT_FOUND;
    if (outcome == TASK_OTHERS)
        return ERR_OTHERS;
    return outcome == TASK_LOST || outcome == TASK_NOT_YOURS ? ERR_LEASE_LOST : ERR_NONE;
}

/* What the answer to a report needs of its request. */
struct reporting {
    struct pending *pending;
    char task_id[ID_MAX];
    size_t task_id_len;
};

static struct reporting *reporting_new(struct request *request, const struct report *report)
{
    struct pending *pending = api_wait(request, sizeof(struct reporting));
    struct reporting *reporting = pending_payload(pending);
    reporting->pending = pending;
    reporting->task_id_len = report->names.task_id.len;
    memcpy(reporting->task_id, report->names.task_id.ptr, report->names.task_id.len);
    return reporting;
}

static void on_completed(void *data, enum err err, const struct task_change *change)
{
    struct reporting *reporting = data;
    struct buffer body = BUFFER_INIT;
    if (err == ERR_NONE)
        err = outcome_err(change->outcome);
    json_add_text(&body, "status", STR("ok"));
    json_add_text(&body, "message", STR("Task result received"));
    json_add_text(&body, "task_id", (struct str){reporting->task_id, reporting->task_id_len});
    json_add_text(&body, "state", STR("completed"));
    struct request *request = api_resume(reporting->pending, err);
    if (request != NULL)
        asks_reply_report(request, buffer_str(&body));
    buffer_fini(&body);
}

void api_task_complete(struct request *request)
{
    const struct api *api = request_app(request);
    struct names_room room;
    struct report report;
    struct holding holding;
    if (!read_report(request, REPORT_COMPLETE, &room, &report) || !read_holding(request, &report, &holding))
        return;
    struct reporting *reporting = reporting_new(request, &report);
    api_sent(reporting->pending, store_complete_task(api->store, &holding, report.result, false, on_completed, reporting));
    report_fini(&report);
}

static void on_failed(void *data, enum err err, const struct task_change *change)
{
    struct reporting *reporting = data;
    struct buffer body = BUFFER_INIT;
    if (err == ERR_NONE)
        err = outcome_err(change->outcome);
    if (err == ERR_NONE) {
        json_add_text(&body, "status", STR("ok"));
        json_add_text(&body, "task_id", (struct str){reporting->task_id, reporting->task_id_len});
        json_add_text(&body, "state", change->state);
        if (change->time > 0)
            json_add_time(&body, "available_at", change->time);
        else
            json_add_null(&body, "available_at");
    }
    struct request *request = api_resume(reporting->pending, err);
    if (request != NULL)
        asks_reply_report(request, buffer_str(&body));
    buffer_fini(&body);
}

void api_task_fail(struct request *request)
{
    const struct api *api = request_app(request);
    struct names_room room;
    struct report report;
    struct holding holding;
    if (!read_report(request, REPORT_FAIL, &room, &report) || !read_holding(request, &report, &holding))
        return;
    struct reporting *reporting = reporting_new(request, &report);
    api_sent(reporting->pending, store_fail_task(api->store, &holding, report.error, report.retryable, report.retry_after_ms, false,
                                                 on_failed, reporting));
    report_fini(&report);
}

static void reply_touched(struct pending *pending, enum err err, const struct touched *touched, bool with_deadline)
{
    struct buffer body = BUFFER_INIT;
    if (err == ERR_NONE)
        err = outcome_err(touched->outcome);
    if (err == ERR_NONE) {
        json_begin_object(&body, NULL);
        json_add_text(&body, "status", STR("ok"));
        if (with_deadline)
            json_add_time(&body, "deadline", touched->deadline);
        json_add_bool(&body, "cancel", touched->cancel);
        json_end_object(&body);
    }
    struct request *request = api_resume(pending, err);
    if (request != NULL)
        reply_json(request, 200, &body);
    buffer_fini(&body);
}

static void on_extended(void *data, enum err err, const struct touched *touched)
{
    reply_touched(data, err, touched, true);
}

static void on_progress(void *data, enum err err, const struct touched *touched)
{
    reply_touched(data, err, touched, false);
}

void api_task_extend(struct request *request)
{
    const struct api *api = request_app(request);
    struct names_room room;
    struct report report;
    struct holding holding;
    if (!read_report(request, REPORT_EXTEND, &room, &report) || !read_holding(request, &report, &holding))
        return;
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_touch_task(api->store, &holding, report.extend_ms, -1, (struct str){NULL, 0}, on_extended, pending));
    report_fini(&report);
}

void api_task_progress(struct request *request)
{
    const struct api *api = request_app(request);
    struct names_room room;
    struct report report;
    struct holding holding;
    if (!api_check_id(request, "task_id") || !read_report(request, REPORT_PROGRESS, &room, &report) ||
        !read_holding(request, &report, &holding))
        return;
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_touch_task(api->store, &holding, -1, report.percent, report.message, on_progress, pending));
    report_fini(&report);
}
