/*
 * One task: shown, followed, cancelled.
 */
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/one.h"
#include "cli/tasks.h"
#include "cli/text.h"
#include "cli/view.h"
#include "model/json.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

#define WAIT_S 5          /* how long the coordinator waits in one request, which times out after 10 s */
#define FOLLOW_MS 1000    /* between two requests */
#define AWAY_MAX_MS 60000 /* without an answer, until the command gives up */

enum colour task_colour(struct str state)
{
    if (str_eq(state, STR("completed")))
        return COLOUR_GREEN;
    if (str_eq(state, STR("dead")) || str_eq(state, STR("expired")))
        return COLOUR_RED;
    return str_eq(state, STR("leased")) ? COLOUR_BOLD : str_eq(state, STR("cancelled")) ? COLOUR_FAINT : COLOUR_NONE;
}

static bool has_ended(struct str state)
{
    return str_eq(state, STR("completed")) || str_eq(state, STR("dead")) || str_eq(state, STR("cancelled")) ||
           str_eq(state, STR("expired"));
}

/* Appends a task's state in a line: "leased by rag-berlin, 37 %, reading page 12". */
static void add_summary(struct buffer *out, const cJSON *task)
{
    const cJSON *progress = cJSON_GetObjectItemCaseSensitive(task, "progress");
    struct str state = member_text(task, "state"), worker = member_text(task, "worker_id"), error = member_text(task, "error");
    struct str message = member_text(progress, "message");
    double percent = member_number(progress, "percent");
    buffer_append(out, state);
    if (worker.len > 0) {
        buffer_append(out, STR(" by "));
        buffer_append(out, worker);
    }
    if (percent >= 0 && percent <= 100)
        buffer_printf(out, ", %.0f %%", percent);
    if (message.len > 0) {
        buffer_append(out, STR(", "));
        buffer_append(out, message);
    }
    if (error.len > 0 && !str_eq(state, STR("leased"))) {
        buffer_append(out, STR(": "));
        buffer_append(out, error);
    }
}

/* Prints the summary of a task if it differs from *last, which it replaces. False if stdout takes no more. */
static bool print_change(const struct options *options, const struct answer *answer, struct buffer *last)
{
    struct buffer summary = BUFFER_INIT, out = BUFFER_INIT;
    add_summary(&summary, answer->json);
    bool changed = !str_eq(buffer_str(&summary), buffer_str(last));
    if (changed && options->json) {
        text_show_json(&out, buffer_str(&answer->body));
    } else if (changed) {
        time_t now = time(NULL);
        struct tm local;
        if (localtime_r(&now, &local) != NULL)
            buffer_printf(&out, "%02d:%02d:%02d  ", local.tm_hour, local.tm_min, local.tm_sec);
        text_show(&out, buffer_str(&summary), SIZE_MAX);
    }
    if (changed)
        buffer_append(&out, STR("\n"));
    last->len = 0;
    buffer_append(last, buffer_str(&summary));
    bool printed = print_buffer(&out);
    buffer_fini(&summary);
    buffer_fini(&out);
    return printed;
}

/* Prints the result of a task that has ended, or why there is none. Returns the exit code. */
static int finish(const struct options *options, const struct answer *answer, struct str id, bool follow)
{
    struct str state = member_text(answer->json, "state"), error = member_text(answer->json, "error");
    bool completed = str_eq(state, STR("completed"));
    int code = completed ? CLI_DONE : CLI_NOT_DONE;
    if (options->json && !follow)
        code = one_print_json(answer, code);
    else if (completed && !options->json) {
        struct buffer out = BUFFER_INIT;
        struct str result = json_member_text(buffer_str(&answer->body), "result");
        text_show_json(&out, result.len > 0 ? result : STR("null"));
        buffer_append(&out, STR("\n"));
        code = one_print(&out, CLI_DONE);
    }
    if (code == CLI_NOT_DONE)
        cli_fail(code, "%.*s is %.*s%s%.*s", STR_PRINTF(id), STR_PRINTF(state), error.len > 0 ? ": " : "",
                 error.len < 500 ? (int)error.len : 500, error.ptr != NULL ? error.ptr : "");
    return code;
}

int task_await(struct client *client, const struct options *options, struct str task_id, bool follow)
{
    char id[160], path[256];
    struct buffer last = BUFFER_INIT;
    int64_t answered = clock_ms();
    snprintf(id, sizeof(id), "%.*s", STR_PRINTF(task_id));
    snprintf(path, sizeof(path), follow ? "/api/tasks/%s" : "/api/tasks/%s?wait=%d", id, WAIT_S);
    for (;;) {
        struct answer answer;
        int code = client_ask(client, "GET", path, &answer);
        struct str state = member_text(answer.json, "state");
        bool is_away = code == CLI_FAILED && (answer.status == 0 || answer.status >= 500) && clock_ms() - answered < AWAY_MAX_MS;
        bool over = true;
        if (code == CLI_NO_WORKER)
            cli_fail(code, "there is no task %s (any more)", id);
        else if (code != CLI_DONE && !is_away)
            cli_fail(code, "%s; the task is %s", client->why, id);
        else if (code == CLI_DONE && state.ptr == NULL)
            code = cli_fail(CLI_FAILED, "%s shows no task; is it a coordinator?", client->place);
        else if (code == CLI_DONE && follow && !print_change(options, &answer, &last))
            code = cli_fail(CLI_FAILED, "stdout takes no more");
        else if (code == CLI_DONE && has_ended(state))
            code = finish(options, &answer, str_from(id), follow);
        else
            over = false;
        answered = answer.status > 0 && answer.status < 500 ? clock_ms() : answered;
        answer_fini(&answer);
        if (over) {
            buffer_fini(&last);
            return code;
        }
        if (follow || is_away)
            poll(NULL, 0, FOLLOW_MS);
    }
}

/* Appends why a task waits, if it does. */
static void add_explanation(struct buffer *out, const cJSON *explanation)
{
    struct str text = member_text(explanation, "text"), state = member_text(explanation, "state");
    if (text.len == 0 || (!str_eq(state, STR("queued")) && !str_eq(state, STR("scheduled"))))
        return;
    buffer_append(out, STR("\nwhy it waits\n  "));
    text_show(out, text, SIZE_MAX);
    buffer_append(out, STR("\n"));
    const cJSON *reason;
    cJSON_ArrayForEach(reason, cJSON_GetObjectItemCaseSensitive(explanation, "reasons"))
    {
        struct str more = member_text(reason, "text");
        if (more.len == 0 || strstr(text.ptr, more.ptr) != NULL)
            continue;
        buffer_append(out, STR("  - "));
        text_show(out, more, SIZE_MAX);
        buffer_append(out, STR("\n"));
    }
}

static int show(struct client *client, const struct options *options)
{
    static const char *const left_out[] = {"task_id", NULL};
    struct answer answer, explanation = {.status = 0};
    char path[256];
    snprintf(path, sizeof(path), "/api/tasks/%s", options->id);
    int code = one_say(client_ask(client, "GET", path, &answer), client, options);
    struct str state = member_text(answer.json, "state");
    if (code == CLI_DONE && state.ptr == NULL) {
        code = cli_fail(CLI_FAILED, "%s shows no task; is it a coordinator? check --url", client->place);
    } else if (code == CLI_DONE && options->json) {
        code = one_print_json(&answer, CLI_DONE);
    } else if (code == CLI_DONE) {
        struct buffer out = BUFFER_INIT;
        view_object(&out, member_text(answer.json, "task_id"), answer.json, (double)time(NULL), left_out);
        snprintf(path, sizeof(path), "/api/tasks/%s/explain", options->id);
        if (!has_ended(state) && client_ask(client, "GET", path, &explanation) == CLI_DONE)
            add_explanation(&out, explanation.json);
        code = one_print(&out, CLI_DONE);
    }
    answer_fini(&answer);
    answer_fini(&explanation);
    return code;
}

int cli_task(char **args)
{
    struct options options;
    struct client client;
    int code = options_read("task", args, &options);
    if (code == CLI_DONE)
        code = client_open(&client, &options);
    if (code != CLI_DONE)
        return code;
    code = options.follow ? task_await(&client, &options, str_from(options.id), true) : show(&client, &options);
    client_close(&client);
    return code;
}

int cli_cancel(char **args)
{
    struct options options;
    struct answer answer;
    int code = options_read("cancel", args, &options);
    if (code != CLI_DONE)
        return code;
    code = one_ask(&options, "DELETE", "/api/tasks/", "", STR(""), &answer);
    struct str status = member_text(answer.json, "status");
    if (code == CLI_DONE && status.ptr == NULL) {
        code = cli_fail(CLI_FAILED, "what answers does not say that it was done; is it a coordinator? check --url");
    } else if (code == CLI_DONE && options.json) {
        code = one_print_json(&answer, CLI_DONE);
    } else if (code == CLI_DONE) {
        struct buffer out = BUFFER_INIT;
        buffer_printf(&out, "%s is %s.\n", options.id,
                      str_eq(status, STR("cancelling")) ? "being cancelled: its worker is told" : "cancelled");
        code = one_print(&out, CLI_DONE);
    }
    answer_fini(&answer);
    return code;
}
