/*
 * The fleet as a whole: its services, and how it is.
 */
#include "base/json_writer.h"
#include "cli/cli.h"
#include "cli/one.h"
#include "cli/text.h"
#include "model/status.h"
#include "model/tier.h"

#include <math.h>
#include <stdio.h>

/* One of the answers that a command shows together. */
struct part {
    const char *name; /* its member in the JSON that the command prints */
    const char *path;
    struct answer answer;
};

/* Asks for all parts in turn, and stops at the first that fails. */
static int ask_parts(struct client *client, struct part *parts, size_t count)
{
    int code = CLI_DONE;
    for (size_t i = 0; i < count && code == CLI_DONE; i++)
        code = client_ask(client, "GET", parts[i].path, &parts[i].answer);
    return code == CLI_DONE ? CLI_DONE : CLI_FAILED;
}

static void free_parts(struct part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        answer_fini(&parts[i].answer);
}

/* Appends {"health": …, "stats": …} with the parts that were answered. */
static void add_parts_as_json(struct buffer *out, const struct part *parts, size_t count)
{
    json_begin_object(out, NULL);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].answer.json == NULL)
            continue;
        json_begin_value(out, str_from(parts[i].name));
        text_show_json(out, buffer_str(&parts[i].answer.body));
    }
    json_end_object(out);
    buffer_append(out, STR("\n"));
}

static void add_count_cell(struct table *table, double count)
{
    struct buffer text = BUFFER_INIT;
    add_count(&text, count);
    table_add(table, buffer_str(&text), COLOUR_NONE);
    buffer_fini(&text);
}

/* Adds "2 cpu" for "cpu". */
static void add_tier_cell(struct table *table, struct str worker_type)
{
    struct buffer text = BUFFER_INIT;
    for (int tier = TIER_GPU; tier <= TIER_EDGE; tier++)
        if (str_eq(worker_type, str_from(tier_worker_type((enum tier)tier))))
            buffer_printf(&text, "%d ", tier);
    buffer_append(&text, worker_type.len > 0 ? worker_type : STR("-"));
    table_add(table, buffer_str(&text), COLOUR_NONE);
    buffer_fini(&text);
}

static const struct column service_columns[] = {
    {"SERVICE", false, true}, {"TIER", false, false}, {"WORKERS", true, false}, {"HEALTHY", true, false}, {"STATE", false, false},
};

#define SERVICE_COLUMNS (sizeof(service_columns) / sizeof(service_columns[0]))

/* Adds a row for a service of the catalogue, whether a worker provides it or not. */
static void add_gap(struct table *table, const cJSON *gap, const cJSON *services)
{
    struct str name = member_text(gap, "service"), state = member_text(gap, "status");
    const cJSON *service = name.ptr != NULL ? cJSON_GetObjectItemCaseSensitive(services, name.ptr) : NULL;
    double workers = member_number(gap, "current_workers");
    table_add(table, name, COLOUR_NONE);
    add_tier_cell(table, member_text(gap, "required_type"));
    add_count_cell(table, workers);
    add_count_cell(table, service == NULL && workers == 0 ? 0 : member_number(service, "healthy_workers"));
    table_add(table, state, status_colour(state));
}

static bool is_in_catalogue(const cJSON *gaps, const char *name)
{
    const cJSON *gap;
    cJSON_ArrayForEach(gap, gaps) if (str_eq(member_text(gap, "service"), str_from(name))) return true;
    return false;
}

/* Adds rows for services that workers provide and the catalogue lacks. */
static void add_others(struct table *table, const cJSON *services, const cJSON *gaps)
{
    const cJSON *service;
    cJSON_ArrayForEach(service, services)
    {
        if (service->string == NULL || is_in_catalogue(gaps, service->string))
            continue;
        struct str state = member_text(service, "status");
        table_add(table, str_from(service->string), COLOUR_NONE);
        table_add(table, STR("-"), COLOUR_NONE);
        add_count_cell(table, member_number(service, "total_workers"));
        add_count_cell(table, member_number(service, "healthy_workers"));
        table_add(table, state, status_colour(state));
    }
}

static void add_services(struct buffer *out, const cJSON *gaps, const cJSON *services)
{
    struct terminal terminal;
    struct table table;
    const cJSON *gap;
    terminal_look(&terminal);
    table_init(&table, &terminal, service_columns, SERVICE_COLUMNS);
    cJSON_ArrayForEach(gap, gaps) add_gap(&table, gap, services);
    add_others(&table, services, gaps);
    table_print(&table, out);
    table_fini(&table);
}

int cli_services(char **args)
{
    struct part parts[] = {{.name = "gaps", .path = "/api/admin/gaps"}, {.name = "services", .path = "/api/admin/services"}};
    struct options options;
    struct client client;
    struct buffer out = BUFFER_INIT;
    int code = options_read("services", args, &options);
    if (code == CLI_DONE)
        code = client_open(&client, &options);
    if (code != CLI_DONE)
        return code;
    code = ask_parts(&client, parts, 2);
    const cJSON *gaps = cJSON_GetObjectItemCaseSensitive(parts[0].answer.json, "gaps");
    const cJSON *services = cJSON_GetObjectItemCaseSensitive(parts[1].answer.json, "services");
    if (code != CLI_DONE)
        cli_fail(code, "%s", client.why);
    else if (!cJSON_IsArray(gaps) || !cJSON_IsObject(services))
        code = cli_fail(CLI_FAILED, "%s answers with no list of services; check --url", client.place);
    else if (options.json)
        add_parts_as_json(&out, parts, 2);
    else
        add_services(&out, gaps, services);
    client_close(&client);
    free_parts(parts, 2);
    return one_print(&out, code);
}

/* -- status -------------------------------------------------------------------------------------------------------------------- */

enum { PART_HEALTH, PART_FLEET, PART_STATS, PART_GAPS, PART_COUNT };

struct report {
    struct terminal terminal;
    struct buffer *out;
    struct buffer line;
};

/* Appends a line: its name, `says` in a colour, then the text of report->line, which it empties. */
static void add_line(struct report *report, const char *name, struct str says, enum colour colour)
{
    buffer_printf(report->out, "%-12s", name);
    size_t room = report->terminal.columns > 12 ? report->terminal.columns - 12 : 1;
    size_t taken = terminal_show(&report->terminal, report->out, says, room, colour);
    text_show(report->out, buffer_str(&report->line), room - taken);
    buffer_append(report->out, STR("\n"));
    report->line.len = 0;
}

static void add_coordinator(struct report *report, const struct client *client, const cJSON *health)
{
    struct str id = member_text(health, "coordinator"), region = member_text(health, "region");
    struct str version = member_text(health, "version"), status = member_text(health, "status");
    if (client->is_private) { /* this command's own server has answered */
        buffer_append(&report->line, STR("none was asked; read from Redis"));
    } else {
        buffer_append(&report->line, STR(", "));
        buffer_append(&report->line, id);
        buffer_append(&report->line, version.len > 0 ? STR(", version ") : STR(""));
        buffer_append(&report->line, version);
        buffer_append(&report->line, region.len > 0 ? STR(", region ") : STR(""));
        buffer_append(&report->line, region);
    }
    buffer_printf(&report->line, " at %s", client->place);
    add_line(report, "coordinator", client->is_private ? STR("") : status, status_colour(status));

    const cJSON *redis = cJSON_GetObjectItemCaseSensitive(health, "redis");
    struct str redis_status = member_text(redis, "status");
    double latency = member_number(redis, "latency_ms");
    if (latency >= 0 && latency < 1e6)
        buffer_printf(&report->line, ", answers in %.1f ms", latency);
    add_line(report, "Redis", redis_status.len > 0 ? redis_status : STR("?"), status_colour(redis_status));
}

static void add_fleet(struct report *report, const cJSON *fleet, const cJSON *stats)
{
    struct str status = member_text(fleet, "overall_status");
    const cJSON *minimum = cJSON_GetObjectItemCaseSensitive(fleet, "has_minimum_workers");
    const cJSON *by_status = cJSON_GetObjectItemCaseSensitive(fleet, "workers_by_status");
    struct buffer *line = &report->line;
    if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(minimum, "gpu_workers")))
        buffer_append(line, STR(", no live GPU worker"));
    if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(minimum, "service_workers")))
        buffer_append(line, STR(", no live service worker"));
    if (member_number(by_status, "offline") > member_number(by_status, "healthy"))
        buffer_append(line, STR(", more workers are offline than healthy"));
    add_line(report, "fleet", status, status_colour(status));

    add_count(line, member_number(stats, "total_workers"));
    static const enum worker_status statuses[] = {WORKER_HEALTHY, WORKER_DEGRADED, WORKER_OFFLINE};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        const char *word = worker_status_words[statuses[i]].ptr;
        buffer_append(line, i == 0 ? STR(": ") : STR(", "));
        add_count(line, member_number(by_status, word));
        buffer_printf(line, " %s", word);
    }
    add_line(report, "workers", STR(""), COLOUR_NONE);

    text_add_load(line, member_number(stats, "average_load"));
    buffer_append(line, STR(" on average, "));
    add_count(line, member_number(stats, "total_tasks_completed"));
    buffer_append(line, STR(" tasks completed"));
    add_line(report, "load", STR(""), COLOUR_NONE);
}

static void add_tiers(struct report *report, const cJSON *stats)
{
    static const struct column columns[] = {{"TIER", false, false}, {"WORKERS", true, false}, {"LOAD", true, false}};
    const cJSON *workers = cJSON_GetObjectItemCaseSensitive(stats, "workers_by_tier");
    const cJSON *loads = cJSON_GetObjectItemCaseSensitive(stats, "average_load_by_tier");
    struct table table;
    table_init(&table, &report->terminal, columns, sizeof(columns) / sizeof(columns[0]));
    for (int tier = TIER_GPU; tier <= TIER_EDGE; tier++) {
        const char *group = tier_group((enum tier)tier);
        add_tier_cell(&table, str_from(tier_worker_type((enum tier)tier)));
        add_count_cell(&table, member_number(workers, group));
        text_add_load(&report->line, member_number(loads, group));
        table_add(&table, buffer_str(&report->line), COLOUR_NONE);
        report->line.len = 0;
    }
    buffer_append(report->out, STR("\n"));
    table_print(&table, report->out);
    table_fini(&table);
}

/* Adds the services with fewer than two live workers. */
static void add_gaps(struct report *report, const cJSON *gaps)
{
    static const struct column columns[] = {
        {"SERVICE", false, true}, {"TIER", false, false}, {"WORKERS", true, false}, {"STATE", false, false}};
    static const char *const lists[] = {"critical_gaps", "warnings"};
    struct table table;
    table_init(&table, &report->terminal, columns, sizeof(columns) / sizeof(columns[0]));
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        const cJSON *gap;
        cJSON_ArrayForEach(gap, cJSON_GetObjectItemCaseSensitive(gaps, lists[i]))
        {
            struct str state = member_text(gap, "status");
            table_add(&table, member_text(gap, "service"), COLOUR_NONE);
            add_tier_cell(&table, member_text(gap, "required_type"));
            add_count_cell(&table, member_number(gap, "current_workers"));
            table_add(&table, state, status_colour(state));
        }
    }
    buffer_append(report->out, STR("\n"));
    if (table.cell_count > 0)
        table_print(&table, report->out);
    else
        buffer_append(report->out, STR("Every service has two live workers or more.\n"));
    table_fini(&table);
}

static void add_report(struct buffer *out, const struct client *client, const struct part *parts)
{
    struct report report = {.out = out};
    terminal_look(&report.terminal);
    add_coordinator(&report, client, parts[PART_HEALTH].answer.json);
    if (parts[PART_GAPS].answer.json != NULL) {
        add_fleet(&report, parts[PART_FLEET].answer.json, parts[PART_STATS].answer.json);
        add_tiers(&report, parts[PART_STATS].answer.json);
        add_gaps(&report, parts[PART_GAPS].answer.json);
    }
    buffer_fini(&report.line);
}

/* Returns the exit code. `code` is that of ask_parts; a coordinator without its Redis answers /health alone, with "unhealthy". */
static int judge(const struct client *client, const struct part *parts, int code)
{
    struct str health = member_text(parts[PART_HEALTH].answer.json, "status");
    struct str fleet = member_text(parts[PART_FLEET].answer.json, "overall_status");
    if (str_eq(health, STR("unhealthy")))
        return CLI_NOT_WELL;
    if (code != CLI_DONE)
        return cli_fail(CLI_FAILED, "%s", client->why);
    if (str_eq(health, STR("healthy")) && str_eq(fleet, STR("healthy")))
        return CLI_DONE;
    if (str_eq(fleet, STR("degraded")))
        return CLI_NOT_WELL;
    return cli_fail(CLI_FAILED, "%s does not say how the fleet is; is it a coordinator? check --url", client->place);
}

int cli_status(char **args)
{
    struct part parts[PART_COUNT] = {
        [PART_HEALTH] = {.name = "health", .path = "/health"},
        [PART_FLEET] = {.name = "fleet", .path = "/api/admin/health"},
        [PART_STATS] = {.name = "stats", .path = "/api/admin/stats"},
        [PART_GAPS] = {.name = "gaps", .path = "/api/admin/gaps"},
    };
    struct options options;
    struct client client;
    struct buffer out = BUFFER_INIT;
    int code = options_read("status", args, &options);
    if (code == CLI_DONE)
        code = client_open(&client, &options);
    if (code != CLI_DONE)
        return code;
    code = judge(&client, parts, ask_parts(&client, parts, PART_COUNT));
    if (code != CLI_FAILED && options.json)
        add_parts_as_json(&out, parts, PART_COUNT);
    else if (code != CLI_FAILED)
        add_report(&out, &client, parts);
    client_close(&client);
    free_parts(parts, PART_COUNT);
    return one_print(&out, code);
}
