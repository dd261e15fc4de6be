/*
 * One worker: shown, drained, removed.
 */
#include "base/json_writer.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define NAME_COLUMNS 20
#define INDENT_MAX 40 /* columns; what is nested more deeply stands there, too */

/* Where a view of a worker is written. */
struct view {
    struct terminal terminal;
    struct buffer out;
    double now; /* when the worker was looked at, in seconds since 1970 by Redis's clock; NAN: unknown */
};

static void add_blanks(struct buffer *out, size_t count)
{
    for (; count > 0; count--)
        buffer_append(out, STR(" "));
}

/* Seconds since 1970 of "2026-03-01T12:00:00.000Z"; NAN when the text is no such time. */
static double parse_time(struct str text)
{
    struct tm time = {.tm_year = 0};
    const char *end = text.ptr != NULL ? strptime(text.ptr, "%Y-%m-%dT%H:%M:%S", &time) : NULL;
    return end != NULL && (*end == '.' || *end == 'Z') ? (double)timegm(&time) : NAN;
}

/* Appends a value that is no object, in one line. */
static void add_scalar(struct view *view, const char *name, const cJSON *value)
{
    struct buffer *out = &view->out;
    if (cJSON_IsString(value)) {
        struct str text = str_from(value->valuestring);
        bool is_status = strcmp(name, "status") == 0;
        terminal_show(&view->terminal, out, text.len > 0 ? text : STR("\"\""), text.len + 2,
                      is_status ? status_colour(text) : COLOUR_NONE);
        double moment = parse_time(text);
        if (!isnan(moment) && !isnan(view->now)) {
            buffer_append(out, STR(" ("));
            text_add_duration(out, view->now > moment ? view->now - moment : 0);
            buffer_append(out, STR(" ago)"));
        }
    } else if (cJSON_IsNumber(value) && strcmp(name, "current_load") == 0) {
        text_add_load(out, value->valuedouble);
    } else if (cJSON_IsNumber(value)) {
        buffer_printf(out, "%.15g", value->valuedouble);
    } else if (cJSON_IsBool(value)) {
        buffer_append(out, cJSON_IsTrue(value) ? STR("yes") : STR("no"));
    } else {
        buffer_append(out, STR("-"));
    }
}

static bool is_nested(const cJSON *value)
{
    return cJSON_IsObject(value) || cJSON_IsArray(value);
}

static bool has_nested(const cJSON *array)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, array) if (is_nested(item)) return true;
    return false;
}

static void add_members(struct view *view, const cJSON *object, size_t indent);

/* Appends an array, behind its name: in a line if it is of plain values, else item by item. */
static void add_array(struct view *view, const char *name, const cJSON *array, size_t indent)
{
    bool in_a_line = !has_nested(array);
    const cJSON *item;
    cJSON_ArrayForEach(item, array)
    {
        if (in_a_line) {
            buffer_append(&view->out, item != array->child ? STR(", ") : STR(""));
            add_scalar(view, name, item);
            continue;
        }
        buffer_append(&view->out, STR("\n"));
        add_blanks(&view->out, indent);
        buffer_append(&view->out, STR("-"));
        if (is_nested(item)) {
            buffer_append(&view->out, STR("\n"));
            add_members(view, item, indent + 2);
            view->out.len--; /* the line's end comes */
        } else {
            buffer_append(&view->out, STR(" "));
            add_scalar(view, name, item);
        }
    }
}

/* Appends the members of an object or array, a line for each and more for what is nested. Recurses as deep as JSON may be. */
static void add_members(struct view *view, const cJSON *object, size_t indent)
{
    const cJSON *item;
    indent = indent < INDENT_MAX ? indent : INDENT_MAX;
    if (object->child == NULL) {
        add_blanks(&view->out, indent);
        buffer_append(&view->out, STR("-\n"));
    }
    cJSON_ArrayForEach(item, object)
    {
        const char *name = item->string != NULL ? item->string : "";
        if (indent == 2 && (strcmp(name, "worker_id") == 0 || strcmp(name, "age_seconds") == 0))
            continue; /* they stand above all, and at last_heartbeat */
        add_blanks(&view->out, indent);
        size_t columns = terminal_show(&view->terminal, &view->out, str_from(name), strlen(name), COLOUR_FAINT);
        if (cJSON_IsObject(item) && item->child != NULL) {
            buffer_append(&view->out, STR("\n"));
            add_members(view, item, indent + 2);
            continue;
        }
        if (!has_nested(item))
            add_blanks(&view->out, (columns < NAME_COLUMNS ? NAME_COLUMNS - columns : 0) + 1);
        if (cJSON_IsArray(item) && item->child != NULL)
            add_array(view, name, item, indent + 2);
        else
            add_scalar(view, name, item);
        buffer_append(&view->out, STR("\n"));
    }
}

static void add_worker(struct view *view, const cJSON *worker)
{
    terminal_look(&view->terminal);
    view->now = parse_time(member_text(worker, "last_heartbeat")) + member_number(worker, "age_seconds");
    terminal_show(&view->terminal, &view->out, member_text(worker, "worker_id"), view->terminal.columns, COLOUR_BOLD);
    buffer_append(&view->out, STR("\n"));
    add_members(view, worker, 2);
}

/* Asks about the worker of the options, and says what went wrong. */
static int ask(const struct options *options, const char *method, const char *before, const char *behind, struct str body,
               struct answer *answer)
{
    struct client client;
    *answer = (struct answer){.status = 0};
    int code = client_open(&client, options);
    if (code != CLI_DONE)
        return code;
    struct buffer path = BUFFER_INIT;
    buffer_printf(&path, "%s%s%s", before, options->id, behind); /* an id needs no percent-encoding */
    buffer_append(&path, (struct str){"", 1});
    code = client_send(&client, method, path.ptr, body, answer);
    if (code == CLI_NO_WORKER)
        cli_fail(code, "there is no worker %s", options->id);
    else if (code != CLI_DONE)
        cli_fail(code, "%s", client.why);
    buffer_fini(&path);
    client_close(&client);
    return code;
}

static int print(struct buffer *out)
{
    bool printed = print_buffer(out);
    buffer_fini(out);
    return printed ? CLI_DONE : cli_fail(CLI_FAILED, "stdout takes no more");
}

static int print_json(const struct answer *answer)
{
    struct buffer out = BUFFER_INIT;
    text_show_json(&out, buffer_str(&answer->body));
    buffer_append(&out, STR("\n"));
    return print(&out);
}

int cli_worker(char **args)
{
    struct options options;
    struct answer answer;
    int code = options_read("worker", args, &options);
    if (code != CLI_DONE)
        return code;
    code = ask(&options, "GET", "/api/worker/", "", STR(""), &answer);
    if (code == CLI_DONE && member_text(answer.json, "worker_id").ptr == NULL)
        code = cli_fail(CLI_FAILED, "what answers shows no worker; is it a coordinator? check --url");
    if (code == CLI_DONE && options.json) {
        code = print_json(&answer);
    } else if (code == CLI_DONE) {
        struct view view = {.out = BUFFER_INIT};
        add_worker(&view, answer.json);
        code = print(&view.out);
    }
    answer_fini(&answer);
    return code;
}

/* Does something to a worker, and says so. */
static int act(const struct options *options, const char *method, const char *before, const char *behind, struct str body,
               const char *done)
{
    struct answer answer;
    int code = ask(options, method, before, behind, body, &answer);
    if (code == CLI_DONE && !str_eq(member_text(answer.json, "status"), STR("ok"))) {
        code = cli_fail(CLI_FAILED, "what answers does not say that it was done; is it a coordinator? check --url");
    } else if (code == CLI_DONE && options->json) {
        code = print_json(&answer);
    } else if (code == CLI_DONE) {
        struct buffer out = BUFFER_INIT;
        buffer_printf(&out, "%s %s.\n", options->id, done);
        code = print(&out);
    }
    answer_fini(&answer);
    return code;
}

int cli_drain(char **args)
{
    struct options options;
    int code = options_read("drain", args, &options);
    if (code != CLI_DONE)
        return code;
    struct buffer body = BUFFER_INIT;
    if (options.reason != NULL) {
        json_begin_object(&body, NULL);
        json_add_text(&body, "reason", str_from(options.reason));
        json_end_object(&body);
    }
    code = act(&options, "POST", "/api/worker/", "/drain", buffer_str(&body), "is drained: it gets no new work");
    buffer_fini(&body);
    return code;
}

int cli_undrain(char **args)
{
    struct options options;
    int code = options_read("undrain", args, &options);
    return code != CLI_DONE ? code : act(&options, "POST", "/api/worker/", "/undrain", STR(""), "gets work again");
}

/* Asks whoever sits at the terminal; where nobody does, the command itself is the answer. */
static bool is_meant(const struct options *options)
{
    if (options->yes || !isatty(STDIN_FILENO))
        return true;
    fprintf(stderr, "Remove %s? [y/N] ", options->id);
    char line[16];
    return fgets(line, sizeof(line), stdin) != NULL && (strcasecmp(line, "y\n") == 0 || strcasecmp(line, "yes\n") == 0);
}

int cli_remove(char **args)
{
    struct options options;
    int code = options_read("remove", args, &options);
    if (code != CLI_DONE)
        return code;
    if (!is_meant(&options))
        return cli_fail(CLI_FAILED, "nothing was removed");
    return act(&options, "DELETE", "/api/worker/unregister/", "", STR(""), "is removed");
}
