/*
 * Many tasks: listed, and dead ones queued once more.
 */
#include "cli/tasks.h"

#include "base/json_writer.h"
#include "base/percent.h"
#include "cli/cli.h"
#include "cli/one.h"
#include "cli/text.h"
#include "cli/view.h"
#include "model/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PAGE 100 /* tasks in one request */
#define LIMIT_DEFAULT 100
#define CURSOR_MAX 2048 /* bytes */

static const struct column columns[] = {
    {"TASK", false, true},   {"STATE", false, false}, {"TYPE", false, true}, {"QUEUE", false, true},
    {"WORKER", false, true}, {"FAILED", true, false}, {"AGE", true, false},  {"NOTE", false, true},
};

/* Adds the buffer's text as the next cell, and empties the buffer. */
static void add_cell(struct table *table, struct buffer *text, enum colour colour)
{
    table_add(table, text->len > 0 ? buffer_str(text) : STR("-"), colour);
    text->len = 0;
}

static void add_text_cell(struct table *table, const cJSON *task, const char *name)
{
    struct str text = member_text(task, name);
    table_add(table, text.len > 0 ? text : STR("-"), COLOUR_NONE);
}

static void add_row(struct table *table, const cJSON *task, double now)
{
    struct buffer text = BUFFER_INIT;
    struct str state = member_text(task, "state"), error = member_text(task, "error");
    const cJSON *progress = cJSON_GetObjectItemCaseSensitive(task, "progress");
    add_text_cell(table, task, "task_id");
    table_add(table, state.len > 0 ? state : STR("-"), task_colour(state));
    add_text_cell(table, task, "type");
    add_text_cell(table, task, "queue");
    add_text_cell(table, task, "worker_id");
    add_count(&text, member_number(task, "attempts"));
    add_cell(table, &text, COLOUR_NONE);
    double created = view_time(member_text(task, "created_at"));
    text_add_duration(&text, isnan(created) ? NAN : fmax(now - created, 0));
    add_cell(table, &text, COLOUR_NONE);
    double percent = member_number(progress, "percent");
    if (percent >= 0 && percent <= 100)
        buffer_printf(&text, "%.0f %% ", percent);
    buffer_append(&text, str_eq(state, STR("leased")) ? member_text(progress, "message") : error);
    add_cell(table, &text, COLOUR_NONE);
    buffer_fini(&text);
}

/* A listing that is being printed. */
struct listing {
    struct client *client;
    const struct options *options;
    struct terminal terminal;
    struct table table;
    struct buffer out;
    char cursor[CURSOR_MAX]; /* empty: from the beginning */
    size_t total, limit;
};

static void add_filter(struct buffer *path, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    buffer_printf(path, "&%s=", name);
    percent_encode(path, str_from(value));
}

static int ask_page(struct listing *listing, struct answer *answer)
{
    const struct options *options = listing->options;
    size_t left = listing->limit - listing->total;
    struct buffer path = BUFFER_INIT;
    buffer_printf(&path, "/api/tasks?limit=%zu", left < PAGE ? left : PAGE);
    add_filter(&path, "queue", options->queue);
    add_filter(&path, "state", options->state);
    add_filter(&path, "type", options->type);
    add_filter(&path, "worker_id", options->worker);
    add_filter(&path, "error", options->error);
    add_filter(&path, "cursor", listing->cursor);
    buffer_append(&path, (struct str){"", 1});
    int code = client_ask(listing->client, "GET", path.ptr, answer);
    buffer_fini(&path);
    if (code != CLI_DONE)
        return cli_fail(CLI_FAILED, "%s", listing->client->why);
    if (!cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(answer->json, "tasks")))
        return cli_fail(CLI_FAILED, "%s answers with no list of tasks; check --url", listing->client->place);
    return CLI_DONE;
}

/* Takes the cursor of an answer. False if it is too long or the same as before. *more: whether another page follows. */
static bool take_cursor(const struct answer *answer, char cursor[CURSOR_MAX], bool *more)
{
    struct str next = member_text(answer->json, "next_cursor");
    *more = next.len > 0;
    if (next.len >= CURSOR_MAX || (*more && strcmp(next.ptr, cursor) == 0))
        return false;
    snprintf(cursor, CURSOR_MAX, "%s", *more ? next.ptr : "");
    return true;
}

/* Prints a page. *more says whether another one follows. */
static int list_page(struct listing *listing, struct answer *answer, bool *more)
{
    int code = ask_page(listing, answer);
    if (code != CLI_DONE)
        return code;
    const cJSON *tasks = cJSON_GetObjectItemCaseSensitive(answer->json, "tasks"), *task;
    size_t count = (size_t)cJSON_GetArraySize(tasks);
    if (listing->options->json && count > 0) {
        struct str rows = json_member_text(buffer_str(&answer->body), "tasks");
        if (listing->total > 0)
            buffer_append(&listing->out, STR(",")); /* the writer does not see rows that were printed already */
        text_show_json(&listing->out, (struct str){rows.ptr + 1, rows.len - 2}); /* without the brackets */
    } else if (count > 0) {
        cJSON_ArrayForEach(task, tasks) add_row(&listing->table, task, (double)time(NULL));
        table_print(&listing->table, &listing->out);
    }
    listing->total += count;
    if (!print_buffer(&listing->out))
        return cli_fail(CLI_FAILED, "stdout takes no more");
    if (!take_cursor(answer, listing->cursor, more))
        return cli_fail(CLI_FAILED, "%s answers with pages that lead nowhere; is it a coordinator?", listing->client->place);
    return CLI_DONE;
}

static void add_end(struct listing *listing, bool more)
{
    if (listing->options->json) {
        json_end_array(&listing->out);
        json_add_text(&listing->out, "next_cursor", more ? str_from(listing->cursor) : (struct str){NULL, 0});
        json_end_object(&listing->out);
        buffer_append(&listing->out, STR("\n"));
    } else if (listing->total == 0) {
        buffer_append(&listing->out, STR("There are no such tasks.\n"));
    } else {
        struct buffer text = BUFFER_INIT;
        buffer_printf(&text, "%zu task%s%s", listing->total, listing->total == 1 ? "" : "s",
                      more ? "; more follow, see --limit" : "");
        terminal_show(&listing->terminal, &listing->out, buffer_str(&text), listing->terminal.columns, COLOUR_FAINT);
        buffer_append(&listing->out, STR("\n"));
        buffer_fini(&text);
    }
}

int cli_tasks(char **args)
{
    struct options options;
    struct client client;
    int code = options_read("tasks", args, &options);
    if (code == CLI_DONE)
        code = client_open(&client, &options);
    if (code != CLI_DONE)
        return code;
    struct listing listing = {.client = &client, .options = &options, .limit = LIMIT_DEFAULT};
    if (options.limit != NULL)
        listing.limit = strtoul(options.limit, NULL, 10);
    terminal_look(&listing.terminal);
    table_init(&listing.table, &listing.terminal, columns, sizeof(columns) / sizeof(columns[0]));
    if (options.json) {
        json_begin_object(&listing.out, NULL);
        json_begin_array(&listing.out, "tasks");
    }
    bool more = true;
    while (code == CLI_DONE && more && listing.total < listing.limit) {
        struct answer answer;
        code = list_page(&listing, &answer, &more);
        answer_fini(&answer);
    }
    if (code == CLI_DONE) {
        add_end(&listing, more);
        code = print_buffer(&listing.out) ? CLI_DONE : cli_fail(CLI_FAILED, "stdout takes no more");
    }
    table_fini(&listing.table);
    buffer_fini(&listing.out);
    client_close(&client);
    return code;
}

/* -- retry --------------------------------------------------------------------------------------------------------------------- */

struct retried {
    double matched, retried;
};

static void write_filters(struct buffer *body, const struct options *options, bool dry, const char *cursor)
{
    const struct {
        const char *name, *value;
    } filters[] = {{"queue", options->queue}, {"type", options->type}, {"worker_id", options->worker}, {"error", options->error}};
    json_begin_object(body, NULL);
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
        if (filters[i].value != NULL)
            json_add_text(body, filters[i].name, str_from(filters[i].value));
    json_add_bool(body, "dry_run", dry);
    if (cursor[0] != '\0')
        json_add_text(body, "cursor", str_from(cursor));
    json_end_object(body);
}

/* Retries the dead tasks that the options match, page by page; with `dry` it only counts them. */
static int retry_all(struct client *client, const struct options *options, bool dry, struct retried *sum)
{
    char cursor[CURSOR_MAX] = "";
    bool more = true;
    int code = CLI_DONE;
    *sum = (struct retried){0, 0};
    while (code == CLI_DONE && more) {
        struct answer answer;
        struct buffer body = BUFFER_INIT;
        write_filters(&body, options, dry, cursor);
        code = client_send(client, "POST", "/api/tasks/retry", buffer_str(&body), &answer);
        double matched = member_number(answer.json, "matched"), retried = member_number(answer.json, "retried");
        if (code != CLI_DONE)
            code = cli_fail(CLI_FAILED, "%s; %.0f are queued once more, run it again for the rest", client->why, sum->retried);
        else if (isnan(matched) || !take_cursor(&answer, cursor, &more))
            code = cli_fail(CLI_FAILED, "%s does not say what was done; is it a coordinator?", client->place);
        sum->matched += isnan(matched) ? 0 : matched;
        sum->retried += isnan(retried) ? 0 : retried;
        buffer_fini(&body);
        answer_fini(&answer);
    }
    return code;
}

/* Asks for a confirmation at a terminal. Without a terminal, or with --yes, none is needed. */
static bool is_meant(const struct options *options, double matched)
{
    if (options->yes || !isatty(STDIN_FILENO))
        return true;
    fprintf(stderr, "Queue %.0f dead task%s once more? [y/N] ", matched, matched == 1 ? "" : "s");
    char line[16];
    return fgets(line, sizeof(line), stdin) != NULL && (strcasecmp(line, "y\n") == 0 || strcasecmp(line, "yes\n") == 0);
}

static int retry_matching(struct client *client, const struct options *options)
{
    struct retried sum;
    int code = retry_all(client, options, true, &sum);
    if (code != CLI_DONE)
        return code;
    if (!options->dry_run && sum.matched > 0) {
        if (!is_meant(options, sum.matched))
            return cli_fail(CLI_FAILED, "nothing was retried");
        code = retry_all(client, options, false, &sum);
    }
    if (code != CLI_DONE)
        return code;
    struct buffer out = BUFFER_INIT;
    if (options->json) {
        json_begin_object(&out, NULL);
        json_add_integer(&out, "matched", (int64_t)sum.matched);
        json_add_integer(&out, "retried", (int64_t)sum.retried);
        json_end_object(&out);
        buffer_append(&out, STR("\n"));
    } else if (options->dry_run)
        buffer_printf(&out, "%.0f dead task%s would be queued once more.\n", sum.matched, sum.matched == 1 ? "" : "s");
    else
        buffer_printf(&out, "%.0f of %.0f dead task%s queued once more.\n", sum.retried, sum.matched, sum.matched == 1 ? "" : "s");
    return one_print(&out, CLI_DONE);
}

int cli_retry(char **args)
{
    struct options options;
    struct client client;
    int code = options_read("retry", args, &options);
    if (code != CLI_DONE)
        return code;
    bool filtered = options.queue != NULL || options.type != NULL || options.worker != NULL || options.error != NULL;
    if (options.id != NULL && (filtered || options.dry_run))
        return cli_fail(CLI_USAGE, "retry takes the ID of a task, or flags that say which ones; not both");
    if (options.id == NULL && !filtered)
        return cli_fail(CLI_USAGE, "which tasks? rma-coordinator retry ID, or --queue, --type, --worker, --error");
    if (options.id != NULL)
        return one_act(&options, "POST", "/api/tasks/", "/retry", STR(""), "task_id", "is queued once more");
    code = client_open(&client, &options);
    if (code != CLI_DONE)
        return code;
    code = retry_matching(&client, &options);
    client_close(&client);
    return code;
}
