#include "cli/workers.h"

#include "base/json_writer.h"
#include "cli/cli.h"
#include "model/id.h"
#include "model/json.h"
#include "model/status.h"

#include <math.h>
#include <stdio.h>

#define PAGE 100 /* workers in one request */

static const struct column columns[] = {
    {"WORKER", false, true},    {"TIER", false, false},    {"STATUS", false, true},  {"LOAD", true, false},
    {"HEARTBEAT", true, false}, {"SERVICES", false, true}, {"ADDRESS", false, true},
};

void workers_table(struct table *table, const struct terminal *terminal)
{
    table_init(table, terminal, columns, sizeof(columns) / sizeof(columns[0]));
}

/* Adds the buffer's text as the next cell, and empties the buffer. */
static void add_cell(struct table *table, struct buffer *text, enum colour colour)
{
    table_add(table, text->len > 0 ? buffer_str(text) : STR("-"), colour);
    text->len = 0;
}

/* Appends the strings of an array, or the names of its objects, with commas between, except those in the array `but`. */
static void add_names(struct buffer *out, const cJSON *array, const cJSON *but)
{
    const cJSON *item, *other;
    cJSON_ArrayForEach(item, array)
    {
        struct str name = cJSON_IsObject(item) ? member_text(item, "name") : str_from(cJSON_GetStringValue(item));
        bool is_known = name.len == 0;
        cJSON_ArrayForEach(other, but) is_known = is_known || str_eq(str_from(cJSON_GetStringValue(other)), name);
        if (is_known)
            continue;
        buffer_append(out, out->len > 0 ? STR(", ") : STR(""));
        buffer_append(out, name);
    }
}

static void add_row(struct table *table, const cJSON *worker)
{
    struct buffer text = BUFFER_INIT;
    struct str status = member_text(worker, "status"), tunnel_url = member_text(worker, "tunnel_url");
    buffer_append(&text, member_text(worker, "worker_id"));
    add_cell(table, &text, COLOUR_NONE);

    add_count(&text, member_number(worker, "tier"));
    buffer_append(&text, STR(" "));
    buffer_append(&text, member_text(worker, "worker_type"));
    add_cell(table, &text, COLOUR_NONE);

    /* an offline worker may be drained, too */
    bool drained = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(worker, "drained"));
    buffer_append(&text, status);
    buffer_append(&text, drained && !str_eq(status, worker_status_words[WORKER_DRAINING]) ? STR(", drained") : STR(""));
    struct str reason = member_text(worker, "drain_reason");
    buffer_append(&text, drained && reason.len > 0 ? STR(": ") : STR(""));
    buffer_append(&text, drained ? reason : STR(""));
    add_cell(table, &text, status_colour(status));

    text_add_load(&text, member_number(worker, "current_load"));
    add_cell(table, &text, COLOUR_NONE);

    text_add_duration(&text, member_number(worker, "age_seconds"));
    buffer_append(&text, STR(" ago"));
    add_cell(table, &text, COLOUR_NONE);

    const cJSON *assigned = cJSON_GetObjectItemCaseSensitive(worker, "assigned_services");
    add_names(&text, assigned, NULL);
    add_names(&text, cJSON_GetObjectItemCaseSensitive(worker, "services"), assigned);
    add_cell(table, &text, COLOUR_NONE);

    buffer_append(&text, tunnel_url.len > 0 ? tunnel_url : member_text(worker, "ip_address"));
    add_cell(table, &text, COLOUR_NONE);
    buffer_fini(&text);
}

void workers_add(struct table *table, const cJSON *workers)
{
    const cJSON *worker;
    cJSON_ArrayForEach(worker, workers) add_row(table, worker);
}

int workers_ask(struct client *client, const struct options *options, size_t limit, const char *cursor, struct answer *answer,
                const cJSON **workers)
{
    const struct {
        const char *name, *value;
    } query[] = {{"tier", options->tier}, {"status", options->status}, {"service", options->service}, {"cursor", cursor}};
    struct buffer path = BUFFER_INIT; /* ids need no percent-encoding in a query */
    buffer_printf(&path, "/api/admin/workers?limit=%zu", limit);
    for (size_t i = 0; i < sizeof(query) / sizeof(query[0]); i++)
        if (query[i].value != NULL)
            buffer_printf(&path, "&%s=%s", query[i].name, query[i].value);
    buffer_append(&path, (struct str){"", 1});
    int code = client_ask(client, "GET", path.ptr, answer);
    buffer_fini(&path);
    if (code != CLI_DONE)
        return code;
    *workers = cJSON_GetObjectItemCaseSensitive(answer->json, "workers");
    if (cJSON_IsArray(*workers))
        return CLI_DONE;
    snprintf(client->why, sizeof(client->why), "%s answers with no list of workers; check --url", client->place);
    return CLI_FAILED;
}

/* A listing that is being printed. */
struct listing {
    struct client *client;
    const struct options *options;
    struct terminal terminal;
    struct table table;
    struct buffer out;
    char cursor[ID_MAX + 1]; /* empty: from the beginning */
    size_t total;
    double healthy;
};

/* Appends the rows of an answer as they came, after those of the pages before. */
static void add_rows_as_json(struct listing *listing, const struct answer *answer)
{
    struct str rows = json_member_text(buffer_str(&answer->body), "workers");
    rows = (struct str){rows.ptr + 1, rows.len - 2}; /* without the brackets */
    if (listing->total > 0)
        buffer_append(&listing->out, STR(",")); /* the writer does not see rows that were printed already */
    text_show_json(&listing->out, rows);
}

/* Prints a page. *more says whether another one follows. */
static int list_page(struct listing *listing, struct answer *answer, bool *more)
{
    const cJSON *workers;
    const char *cursor = listing->cursor[0] != '\0' ? listing->cursor : NULL;
    int code = workers_ask(listing->client, listing->options, PAGE, cursor, answer, &workers);
    if (code != CLI_DONE)
        return cli_fail(CLI_FAILED, "%s", listing->client->why);

    size_t count = (size_t)cJSON_GetArraySize(workers);
    if (listing->options->json) {
        if (listing->total == 0) {
            json_begin_object(&listing->out, NULL);
            json_begin_array(&listing->out, "workers");
        }
        if (count > 0)
            add_rows_as_json(listing, answer);
    } else {
        workers_add(&listing->table, workers);
        if (count > 0)
            table_print(&listing->table, &listing->out);
    }
    double healthy = member_number(answer->json, "healthy");
    listing->healthy += isnan(healthy) ? 0 : healthy;
    listing->total += count;
    if (!print_buffer(&listing->out))
        return cli_fail(CLI_FAILED, "stdout takes no more");

    struct str next = member_text(answer->json, "next_cursor");
    *more = next.ptr != NULL;
    if (!*more)
        return CLI_DONE;
    /* pages are ordered by id; pages that are not might never end */
    if (count == 0 || !id_is_valid(next) || strcmp(next.ptr, listing->cursor) <= 0)
        return cli_fail(CLI_FAILED, "%s answers with pages that lead nowhere; is it a coordinator?", listing->client->place);
    snprintf(listing->cursor, sizeof(listing->cursor), "%s", next.ptr);
    return CLI_DONE;
}

static void add_end(struct listing *listing)
{
    if (listing->options->json) {
        json_end_array(&listing->out);
        json_add_integer(&listing->out, "total", (int64_t)listing->total);
        json_add_key(&listing->out, STR("healthy"));
        add_count(&listing->out, listing->healthy);
        json_add_null(&listing->out, "next_cursor");
        json_end_object(&listing->out);
        buffer_append(&listing->out, STR("\n"));
        return;
    }
    if (listing->total == 0) {
        bool all = listing->options->tier == NULL && listing->options->status == NULL && listing->options->service == NULL;
        buffer_append(&listing->out, all ? STR("There are no workers.\n") : STR("There are no such workers.\n"));
        return;
    }
    struct buffer text = BUFFER_INIT;
    buffer_printf(&text, "%zu worker%s, ", listing->total, listing->total == 1 ? "" : "s");
    add_count(&text, listing->healthy);
    buffer_append(&text, STR(" healthy"));
    terminal_show(&listing->terminal, &listing->out, buffer_str(&text), listing->terminal.columns, COLOUR_FAINT);
    buffer_append(&listing->out, STR("\n"));
    buffer_fini(&text);
}

static int list(struct client *client, const struct options *options)
{
    struct listing listing = {.client = client, .options = options};
    bool more = true;
    int code = CLI_DONE;
    terminal_look(&listing.terminal);
    workers_table(&listing.table, &listing.terminal);
    while (code == CLI_DONE && more) {
        struct answer answer;
        code = list_page(&listing, &answer, &more);
        answer_fini(&answer);
    }
    if (code == CLI_DONE) {
        add_end(&listing);
        if (!print_buffer(&listing.out))
            code = cli_fail(CLI_FAILED, "stdout takes no more");
    }
    table_fini(&listing.table);
    buffer_fini(&listing.out);
    return code;
}

int cli_workers(char **args)
{
    struct options options;
    struct client client;
    int code = options_read("workers", args, &options);
    if (code != CLI_DONE)
        return code;
    if (options.watch)
        watch_block_signals();
    code = client_open(&client, &options);
    if (code != CLI_DONE)
        return code;
    code = options.watch ? watch(&client, &options) : list(&client, &options);
    client_close(&client);
    return code;
}
