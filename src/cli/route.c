/*
 * Which worker would get a request for a service, and why not the others.
 */
#include "base/percent.h"
#include "cli/cli.h"
#include "cli/one.h"
#include "cli/text.h"

#include <math.h>
#include <string.h>

static const struct column columns[] = {
    {"WORKER", false, true}, {"STATUS", false, false}, {"IN FLIGHT", true, false}, {"LOAD", true, false}, {"WHY", false, true},
};

static enum colour colour_of(const cJSON *row)
{
    struct str code = member_text(row, "code");
    if (str_eq(code, STR("eligible")))
        return COLOUR_GREEN;
    if (str_eq(code, STR("breaker-open")) || str_eq(code, STR("tried")) || str_eq(code, STR("unwell")) ||
        str_eq(code, STR("unusable-url")) || str_eq(code, STR("no-address")))
        return COLOUR_RED;
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(row, "eligible")) ? COLOUR_YELLOW : COLOUR_FAINT;
}

static void add_row(struct table *table, const cJSON *row)
{
    struct buffer text = BUFFER_INIT;
    struct str status = member_text(row, "status");
    double load = member_number(row, "current_load");
    table_add(table, member_text(row, "worker_id"), COLOUR_NONE);
    table_add(table, status, status_colour(status));
    add_count(&text, member_number(row, "requests_in_flight"));
    table_add(table, buffer_str(&text), COLOUR_NONE);
    text.len = 0;
    text_add_load(&text, isnan(load) ? 0 : load);
    table_add(table, buffer_str(&text), COLOUR_NONE);
    table_add(table, member_text(row, "text"), colour_of(row));
    buffer_fini(&text);
}

/* Prints the answer: a table of workers, then a sentence. */
static int show(const struct answer *answer)
{
    struct terminal terminal;
    struct table table;
    struct buffer out = BUFFER_INIT;
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(answer->json, "workers"), *row;
    struct str text = member_text(answer->json, "text");
    double left_out = member_number(answer->json, "left_out");
    if (!cJSON_IsArray(rows) || text.ptr == NULL)
        return cli_fail(CLI_FAILED, "what answers says nothing of routes; is it a coordinator? check --url");
    terminal_look(&terminal);
    table_init(&table, &terminal, columns, sizeof(columns) / sizeof(columns[0]));
    cJSON_ArrayForEach(row, rows) add_row(&table, row);
    if (table.cell_count > 0)
        table_print(&table, &out);
    table_fini(&table);
    text_show(&out, text, SIZE_MAX);
    if (left_out > 0) {
        buffer_append(&out, STR(" "));
        add_count(&out, left_out);
        buffer_append(&out, STR(" more workers are not shown."));
    }
    buffer_append(&out, STR("\n"));
    return one_print(&out, CLI_DONE);
}

int cli_route(char **args)
{
    struct options options;
    struct answer answer;
    int code = options_read("route", args, &options);
    if (code != CLI_DONE)
        return code;
    struct buffer behind = BUFFER_INIT;
    if (options.model != NULL) {
        buffer_append(&behind, STR("&model="));
        percent_encode(&behind, str_from(options.model));
    }
    buffer_append(&behind, (struct str){"", 1});
    code = one_ask(&options, "GET", "/api/route/explain?service=", behind.ptr, STR(""), &answer);
    if (code == CLI_DONE)
        code = options.json ? one_print_json(&answer, CLI_DONE) : show(&answer);
    buffer_fini(&behind);
    answer_fini(&answer);
    return code;
}
