/*
 * What comes of submissions and reports must be within their bounds: safe as parts of keys, and JSON where it is JSON. The
 * first byte says which of them it is.
 */
#include "base/json_writer.h"
#include "model/id.h"
#include "model/json.h"
#include "model/report.h"
#include "model/submission.h"
#include "model/task.h"
#include "must.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has_white_space(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
            return true;
    return false;
}

/* Shows a task with what was sent; that must be JSON. */
static void check_shown(const struct submission *submission)
{
    struct task task = {.id = STR("t")};
    struct buffer row = BUFFER_INIT;
    const char *why;
    task.fields[TASK_state] = STR("queued");
    task.fields[TASK_queue] = submission->queue;
    task.fields[TASK_type] = submission->type;
    task.fields[TASK_payload] = submission->payload;
    task.fields[TASK_requirements] = submission->requirements;
    task.fields[TASK_dedup] = submission->dedup_key;
    task_write(&row, &task, true);
    /* a level deeper than it came */
    must(json_check_object(buffer_str(&row), &why) == ERR_NONE || submission->payload.len + submission->requirements.len > 60);
    buffer_fini(&row);
}

static void try_submission(struct str body)
{
    struct submission submission;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    switch (submission_parse(body, 1900000000000, &submission, &faults, &why)) {
    case ERR_NONE:
        must(faults.count == 0);
        must(id_is_valid(submission.queue) && submission.type.len > 0 && submission.type.len <= TASK_TYPE_MAX);
        must(submission.payload.len > 0 && submission.payload.len <= TASK_PAYLOAD_MAX);
        must(submission.dedup_key.len <= TASK_DEDUP_MAX && submission.requirements.len <= TASK_REQUIREMENTS_MAX);
        must(submission.group.len > 0 && !has_white_space(buffer_str(&submission.group)));
        must(!has_white_space(buffer_str(&submission.shape)));
        must(submission.priority >= -TASK_PRIORITY_MAX && submission.priority <= TASK_PRIORITY_MAX);
        check_shown(&submission);
        submission_fini(&submission);
        break;
    case ERR_INVALID:
        must(faults.count > 0);
        faults_fini(&faults);
        break;
    default:
        must(why != NULL);
        faults_fini(&faults);
    }
}

static void try_report(enum report_kind kind, struct str body, const struct report_names *query)
{
    struct report report;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    switch (report_parse(kind, body, query, &report, &faults, &why)) {
    case ERR_NONE:
        must(id_is_valid(report.names.worker_id) && id_is_valid(report.names.task_id));
        must(strlen(report.lease) < LEASE_TEXT_MAX);
        must(report.result.len <= TASK_RESULT_MAX && (kind == REPORT_COMPLETE) == (report.result.len > 0));
        must(report.error.len <= TASK_ERROR_MAX && json_is_utf8(report.error));
        must(report.message.len <= TASK_MESSAGE_MAX && json_is_utf8(report.message));
        report_fini(&report);
        break;
    case ERR_INVALID:
        must(faults.count > 0);
        faults_fini(&faults);
        break;
    default:
        must(why != NULL);
        faults_fini(&faults);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct report_names named = {.worker_id = {"w", 1}, .task_id = {"t", 1}};
    if (size == 0)
        return 0;
    struct str body = {(const char *)data + 1, size - 1};
    switch (data[0] % 6) {
    case 0:
    case 1:
        try_submission(body);
        break;
    case 2:
        try_report(REPORT_COMPLETE, body, &named);
        break;
    default:
        try_report((enum report_kind)(data[0] % 6 - 2), body, &(struct report_names){.lease = {NULL, 0}});
    }
    return 0;
}
