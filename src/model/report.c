#include "model/report.h"

#include "base/json_writer.h"
#include "model/id.h"
#include "model/json.h"
#include "model/minify.h"

#include <math.h>
#include <stdlib.h>

static void read_name(const cJSON *root, const char *name, struct str *out, struct faults *faults)
{
    if (out->ptr == NULL && root != NULL)
        json_get_string(root, name, SIZE_MAX, name, out, faults);
    if (out->ptr == NULL)
        faults_add(faults, name, "is required");
    else if (!id_is_valid(*out))
        faults_add(faults, name, ID_RULE);
}

/* Reads the lease. The worker got it as "seq-nonce", which fits into a URL; the registry has a blank in place of the dash. */
static void read_lease(const cJSON *root, struct report *out, struct faults *faults)
{
    struct str lease = out->names.lease;
    if (lease.ptr == NULL && root != NULL)
        json_get_string(root, "lease", SIZE_MAX, "lease", &lease, faults);
    out->names.lease = lease;
    if (lease.len == 0)
        return;
    struct str rest = lease;
    struct str seq = str_cut(&rest, '-');
    if (lease.len >= LEASE_TEXT_MAX || !id_is_valid(lease) || rest.len == 0 || seq.len == 0) {
        faults_add(faults, "lease", "must be the lease with which the task was given");
        return;
    }
    memcpy(out->lease, lease.ptr, lease.len);
    out->lease[seq.len] = ' ';
}

/* Keeps the JSON value `raw` (absent: null) as the result. */
static enum err keep_result(struct str raw, struct report *out, const char **why)
{
    if (raw.ptr == NULL)
        raw = STR("null");
    out->text = malloc(raw.len + 1);
    if (out->text == NULL)
        abort();
    out->result = (struct str){out->text, json_minify(raw, out->text)};
    if (out->result.len <= TASK_RESULT_MAX)
        return ERR_NONE;
    *why = "The result is larger than 256 KiB of JSON; put it where others can fetch it, and send its address.";
    return ERR_TOO_LARGE;
}

/* Cuts a text to `max` bytes, between two characters. */
static struct str cut(struct str text, size_t max)
{
    if (text.len <= max)
        return text;
    while (max > 0 && ((unsigned char)text.ptr[max] & 0xc0) == 0x80)
        max--;
    return (struct str){text.ptr, max};
}

/* Reads the error, which may be text or any other JSON. */
static void read_error(const cJSON *root, struct str body, struct report *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, "error");
    if (item == NULL || cJSON_IsNull(item))
        out->error = STR("The worker said no reason.");
    else if (cJSON_IsString(item))
        out->error = str_from(item->valuestring);
    else
        out->error = json_member_text(body, "error");
    out->error = cut(out->error, TASK_ERROR_MAX);
}

static void read_fail(const cJSON *root, struct str body, struct report *out, struct faults *faults)
{
    double seconds = -1;
    read_error(root, body, out);
    out->retryable = true;
    json_get_bool(root, "retryable", "retryable", &out->retryable, faults);
    json_get_number(root, "retry_after", 0, 366 * 86400.0, "retry_after", &seconds, faults);
    out->retry_after_ms = seconds < 0 ? -1 : (int64_t)floor(seconds * 1000);
}

static void read_extend(const cJSON *root, struct report *out, struct faults *faults)
{
    double seconds = -1;
    json_get_number(root, "seconds", 1, 86400, "seconds", &seconds, faults);
    if (seconds < 0 && faults->count == 0)
        faults_add(faults, "seconds", "is required: for how many seconds from now on");
    out->extend_ms = (int64_t)floor(seconds * 1000);
}

static void read_progress(const cJSON *root, struct report *out, struct faults *faults)
{
    out->percent = -1;
    json_get_number(root, "percent", 0, 100, "percent", &out->percent, faults);
    json_get_string(root, "message", SIZE_MAX, "message", &out->message, faults);
    out->message = cut(out->message, TASK_MESSAGE_MAX);
    if (out->percent < 0 && out->message.ptr == NULL && faults->count == 0)
        faults_add(faults, "percent", "is required, or message");
}

/*
 * Whether the body is not the result itself, though the query names worker and task, but repeats the names and has the result as a
 * member. An object that has the names and something else, but no "result", is a result.
 */
static bool has_result_as_member(const cJSON *root)
{
    const cJSON *item;
    size_t others = 0;
    if (!cJSON_IsString(cJSON_GetObjectItemCaseSensitive(root, "worker_id")) ||
        !cJSON_IsString(cJSON_GetObjectItemCaseSensitive(root, "task_id")))
        return false;
    cJSON_ArrayForEach(item, root)
    {
        if (strcmp(item->string, "result") == 0)
            return true;
        others +=
            strcmp(item->string, "worker_id") != 0 && strcmp(item->string, "task_id") != 0 && strcmp(item->string, "lease") != 0;
    }
    return others == 0;
}

/* Checks a body that is the result itself: it may be any one JSON value. */
static enum err check_value(struct str body, const char **why)
{
    struct buffer wrapped = BUFFER_INIT;
    json_begin_object(&wrapped, NULL);
    json_add_raw(&wrapped, "result", body);
    json_end_object(&wrapped);
    enum err err = json_check_object(buffer_str(&wrapped), why);
    if (err == ERR_NONE) {
        struct json_items items = json_items(buffer_str(&wrapped));
        struct json_item item;
        size_t count = 0;
        while (json_next(&items, &item))
            count++;
        if (count != 1) {
            *why = "The body is not valid JSON.";
            err = ERR_BAD_REQUEST;
        }
    }
    buffer_fini(&wrapped);
    return err;
}

static bool is_object(struct str body)
{
    size_t at = 0;
    while (at < body.len && strchr(" \t\r\n", body.ptr[at]) != NULL)
        at++;
    return at < body.len && body.ptr[at] == '{';
}

/* Reads a report. `root` NULL: the body has no members, but is the result itself. */
static enum err read_body(enum report_kind kind, const cJSON *root, struct str body, bool is_envelope, struct report *out,
                          struct faults *faults, const char **why)
{
    read_name(root, "worker_id", &out->names.worker_id, faults);
    read_name(root, "task_id", &out->names.task_id, faults);
    read_lease(root, out, faults);
    switch (kind) {
    case REPORT_COMPLETE:
        return keep_result(is_envelope ? json_member_text(body, "result") : body, out, why);
    case REPORT_FAIL:
        read_fail(root, body, out, faults);
        break;
    case REPORT_EXTEND:
        read_extend(root, out, faults);
        break;
    case REPORT_PROGRESS:
        read_progress(root, out, faults);
        break;
    }
    return ERR_NONE;
}

enum err report_parse(enum report_kind kind, struct str body, const struct report_names *query, struct report *out,
                      struct faults *faults, const char **why)
{
    cJSON *root = NULL;
    struct report report = {.names = *query, .retry_after_ms = -1};
    bool query_names_both = query->worker_id.ptr != NULL && query->task_id.ptr != NULL;
    bool is_result = kind == REPORT_COMPLETE && query_names_both;
    enum err err = ERR_NONE;
    if (body.len == 0)
        body = is_result ? STR("null") : STR("{}");
    if (is_result && !is_object(body))
        err = check_value(body, why);
    else
        err = json_parse_object(body, &root, why);
    if (err != ERR_NONE)
        return err;
    report.document = root;
    bool is_envelope = root != NULL && (!is_result || has_result_as_member(root));
    err = read_body(kind, is_envelope || kind != REPORT_COMPLETE ? root : NULL, body, is_envelope, &report, faults, why);
    if (err == ERR_NONE && faults->count > 0)
        err = ERR_INVALID;
    if (err != ERR_NONE)
        report_fini(&report);
    else
        *out = report;
    return err;
}

void report_fini(struct report *report)
{
    cJSON_Delete(report->document);
    free(report->text);
    *report = (struct report){.retry_after_ms = -1};
}
