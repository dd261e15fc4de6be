#include "model/task.h"

#include "base/json_writer.h"

#include <stdlib.h>

#define HISTORY_MAX 10 /* attempts kept, see lua/lib/task_history.lua */

const struct str task_field_names[TASK_FIELD_COUNT] = {
#define X(name) [TASK_##name] = {#name, sizeof(#name) - 1},
    TASK_FIELDS(X)
#undef X
};

static bool is(const struct task *task, const char *state)
{
    return str_eq(task->fields[TASK_state], str_from(state));
}

bool task_has_ended(const struct task *task)
{
    return is(task, "completed") || is(task, "dead") || is(task, "cancelled") || is(task, "expired");
}

/* Returns the number at the beginning of a text from Redis; `otherwise` if the text is empty or too long. */
static int64_t number(struct str text, int64_t otherwise)
{
    char digits[24] = "";
    if (text.len == 0 || text.len >= sizeof(digits))
        return otherwise;
    memcpy(digits, text.ptr, text.len);
    return strtoll(digits, NULL, 10);
}

static void add_text(struct buffer *out, const char *key, struct str text)
{
    json_add_text(out, key, text.len > 0 ? text : (struct str){NULL, 0});
}

static void add_time(struct buffer *out, const char *key, struct str text)
{
    if (text.len > 0)
        json_add_time(out, key, number(text, 0));
    else
        json_add_null(out, key);
}

static void add_json(struct buffer *out, const char *key, struct str json)
{
    if (json.len > 0)
        json_add_raw(out, key, json);
    else
        json_add_null(out, key);
}

static void add_progress(struct buffer *out, struct str progress)
{
    if (progress.len == 0) {
        json_add_null(out, "progress");
        return;
    }
    struct str percent = str_cut(&progress, ' ');
    char digits[32] = "";
    json_begin_object(out, "progress");
    if (percent.len > 0 && percent.len < sizeof(digits)) {
        memcpy(digits, percent.ptr, percent.len);
        json_add_number(out, "percent", strtod(digits, NULL));
    } else {
        json_add_null(out, "percent");
    }
    add_text(out, "message", progress);
    json_end_object(out);
}

static void add_attempt(struct buffer *out, struct str worker_id, struct str started, struct str ended, struct str outcome,
                        struct str error)
{
    json_begin_object(out, NULL);
    add_text(out, "worker_id", worker_id);
    add_time(out, "started_at", started);
    add_time(out, "ended_at", ended);
    add_text(out, "outcome", outcome);
    add_text(out, "error", error);
    json_end_object(out);
}

/* Adds the attempts, the last one last: those in `history`, and the one that is under way or has completed the task. */
static void add_history(struct buffer *out, const struct task *task)
{
    struct str lines[HISTORY_MAX], rest = task->fields[TASK_history];
    size_t count = 0;
    while (rest.len > 0 && count < HISTORY_MAX)
        lines[count++] = str_cut(&rest, '\n');
    bool is_open = is(task, "leased"), is_done = is(task, "completed");
    if ((is_open || is_done) && count == HISTORY_MAX)
        count--;
    json_begin_array(out, "history");
    while (count > 0) {
        struct str line = lines[--count];
        struct str worker_id = str_cut(&line, ' ');
        str_cut(&line, ' '); /* the two words of the lease */
        str_cut(&line, ' ');
        struct str started = str_cut(&line, ' '), ended = str_cut(&line, ' '), outcome = str_cut(&line, ' ');
        add_attempt(out, worker_id, started, ended, outcome, line);
    }
    if (is_open || is_done)
        add_attempt(out, task->fields[TASK_worker_id], task->fields[TASK_started_at],
                    is_done ? task->fields[TASK_finished_at] : STR(""), task->fields[TASK_state], STR(""));
    json_end_array(out);
}

static void write_members(struct buffer *out, const struct task *task, bool whole)
{
    const struct str *fields = task->fields;
    bool waits = is(task, "queued") || is(task, "scheduled"); /* no worker has it */
    json_add_text(out, "task_id", task->id);
    json_add_text(out, "queue", fields[TASK_queue]);
    json_add_text(out, "type", fields[TASK_type]);
    if (whole)
        add_json(out, "payload", fields[TASK_payload]);
    json_add_integer(out, "priority", number(fields[TASK_priority], 0));
    json_add_text(out, "state", fields[TASK_state]);
    json_add_integer(out, "attempts", number(fields[TASK_attempts], 0));
    json_add_integer(out, "max_attempts", number(fields[TASK_max_attempts], 5));
    add_progress(out, fields[TASK_progress]);
    if (whole)
        add_json(out, "result", fields[TASK_result]);
    add_text(out, "error", fields[TASK_error]);
    add_text(out, "reason", fields[TASK_reason]);
    add_time(out, "created_at", fields[TASK_created_at]);
    add_time(out, "available_at", fields[TASK_available_at].len > 0 ? fields[TASK_available_at] : fields[TASK_created_at]);
    add_time(out, "started_at", waits ? STR("") : fields[TASK_started_at]);
    add_time(out, "finished_at", fields[TASK_finished_at]);
    add_time(out, "expires_at", fields[TASK_expires_at]);
    add_text(out, "worker_id", waits ? STR("") : fields[TASK_worker_id]);
    json_add_number(out, "lease_seconds", (double)number(fields[TASK_lease_ms], 90000) / 1000);
    json_add_raw(out, "requirements", fields[TASK_requirements].len > 0 ? fields[TASK_requirements] : STR("{}"));
    add_text(out, "dedup_key", fields[TASK_dedup]);
    json_add_bool(out, "cancelling", fields[TASK_cancel].len > 0 && is(task, "leased"));
    if (!whole)
        return;
    json_add_number(out, "result_ttl_seconds", (double)number(fields[TASK_result_ttl], 86400000) / 1000);
    if (fields[TASK_late_result].len > 0) {
        json_add_raw(out, "late_result", fields[TASK_late_result]);
        add_text(out, "late_by", fields[TASK_late_by]);
    }
    if (fields[TASK_by].len > 0)
        add_text(out, "submitted_by", fields[TASK_by]);
    add_history(out, task);
}

void task_write(struct buffer *out, const struct task *task, bool whole)
{
    json_begin_object(out, NULL);
    write_members(out, task, whole);
    json_end_object(out);
}
