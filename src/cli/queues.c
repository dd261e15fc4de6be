/*
 * Queues: listed, paused, resumed.
 */
#include "base/json_writer.h"
#include "base/percent.h"
#include "cli/cli.h"
#include "cli/one.h"
#include "cli/text.h"
#include "model/id.h"
#include "model/json.h"

#include <math.h>
#include <stdio.h>

static const struct column columns[] = {
    {"QUEUE", false, true},     {"STATE", false, false}, {"WAITING", true, false}, {"RUNNING", true, false},
    {"SCHEDULED", true, false}, {"DEAD", true, false},   {"OLDEST", true, false},  {"COMPLETED", true, false},
};

static void add_count_cell(struct table *table, const cJSON *counts, const char *name, enum colour colour)
{
    struct buffer text = BUFFER_INIT;
    double count = member_number(counts, name);
    add_count(&text, isnan(count) ? 0 : count);
    table_add(table, buffer_str(&text), count > 0 ? colour : COLOUR_NONE);
    buffer_fini(&text);
}

static void add_row(struct table *table, const cJSON *queue)
{
    struct buffer text = BUFFER_INIT;
    const cJSON *counts = cJSON_GetObjectItemCaseSensitive(queue, "counts");
    bool paused = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(queue, "paused"));
    double limit = member_number(queue, "limit"), oldest = member_number(queue, "oldest_seconds");
    table_add(table, member_text(queue, "queue"), COLOUR_NONE);
    buffer_append(&text, paused ? STR("paused") : STR("open"));
    if (limit >= 0) {
        buffer_append(&text, STR(", limit "));
        add_count(&text, limit);
    }
    table_add(table, buffer_str(&text), paused ? COLOUR_YELLOW : COLOUR_NONE);
    add_count_cell(table, counts, "queued", COLOUR_NONE);
    add_count_cell(table, counts, "leased", COLOUR_NONE);
    add_count_cell(table, counts, "scheduled", COLOUR_NONE);
    add_count_cell(table, counts, "dead", COLOUR_RED);
    text.len = 0;
    if (oldest >= 0)
        text_add_duration(&text, oldest);
    table_add(table, text.len > 0 ? buffer_str(&text) : STR("-"), COLOUR_NONE);
    add_count_cell(table, cJSON_GetObjectItemCaseSensitive(queue, "totals"), "completed", COLOUR_NONE);
    buffer_fini(&text);
}

/* Asks for a page and adds it to the table, or as JSON to `out`. `cursor` becomes that of the next page, empty after the last. */
static int take_page(struct client *client, const struct options *options, char cursor[ID_MAX + 1], struct table *table,
                     struct buffer *out)
{
    struct answer answer;
    struct buffer path = BUFFER_INIT;
    buffer_append(&path, STR("/api/queues"));
    if (cursor[0] != '\0') {
        buffer_append(&path, STR("?cursor="));
        percent_encode(&path, str_from(cursor));
    }
    buffer_append(&path, (struct str){"", 1});
    int code = client_ask(client, "GET", path.ptr, &answer);
    buffer_fini(&path);
    const cJSON *queues = cJSON_GetObjectItemCaseSensitive(answer.json, "queues"), *queue;
    struct str next = member_text(answer.json, "next_cursor");
    if (code != CLI_DONE)
        code = cli_fail(CLI_FAILED, "%s", client->why);
    else if (!cJSON_IsArray(queues))
        code = cli_fail(CLI_FAILED, "%s answers with no list of queues; check --url", client->place);
    else if (next.len > ID_MAX || (next.len > 0 && strcmp(next.ptr, cursor) <= 0)) /* pages are ordered by name */
        code = cli_fail(CLI_FAILED, "%s answers with pages that lead nowhere; is it a coordinator?", client->place);
    if (code == CLI_DONE) {
        struct str rows = json_member_text(buffer_str(&answer.body), "queues");
        if (options->json && queues->child != NULL) {
            json_begin_value(out, (struct str){NULL, 0});
            text_show_json(out, (struct str){rows.ptr + 1, rows.len - 2}); /* without the brackets */
        }
        cJSON_ArrayForEach(queue, queues) add_row(table, queue);
        snprintf(cursor, ID_MAX + 1, "%s", next.len > 0 ? next.ptr : "");
    }
    answer_fini(&answer);
    return code;
}

int cli_queues(char **args)
{
    struct options options;
    struct client client;
    struct terminal terminal;
    struct table table;
    struct buffer out = BUFFER_INIT;
    char cursor[ID_MAX + 1] = "";
    int code = options_read("queues", args, &options);
    if (code == CLI_DONE)
        code = client_open(&client, &options);
    if (code != CLI_DONE)
        return code;
    terminal_look(&terminal);
    table_init(&table, &terminal, columns, sizeof(columns) / sizeof(columns[0]));
    do
        code = take_page(&client, &options, cursor, &table, &out);
    while (code == CLI_DONE && cursor[0] != '\0');
    client_close(&client);
    struct buffer whole = BUFFER_INIT;
    if (code == CLI_DONE && options.json) {
        json_begin_object(&whole, NULL);
        json_begin_array(&whole, "queues");
        if (out.len > 0)
            json_add_raw(&whole, NULL, buffer_str(&out));
        json_end_array(&whole);
        json_end_object(&whole);
        buffer_append(&whole, STR("\n"));
    } else if (code == CLI_DONE && table.cell_count == 0) {
        buffer_append(&whole, STR("There are no queues.\n"));
    } else if (code == CLI_DONE) {
        table_print(&table, &whole);
    }
    table_fini(&table);
    buffer_fini(&out);
    return one_print(&whole, code);
}

int cli_pause(char **args)
{
    struct options options;
    int code = options_read("pause", args, &options);
    return code != CLI_DONE ? code : one_act(&options, "POST", "/api/queues/", "/pause", STR(""), "queue", "is paused");
}

int cli_resume(char **args)
{
    struct options options;
    int code = options_read("resume", args, &options);
    return code != CLI_DONE ? code : one_act(&options, "POST", "/api/queues/", "/resume", STR(""), "queue", "is resumed");
}
