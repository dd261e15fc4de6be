/*
 * The audit: who has done what to whom.
 */
#include "cli/cli.h"
#include "cli/one.h"
#include "cli/text.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define FOLLOW_MS 1000
#define ENTRIES "100"

static const struct column columns[] = {{"TIME", false, false},   {"WHO", false, true}, {"FROM", false, true},
                                        {"ACTION", false, false}, {"ON", false, true},  {"OUTCOME", false, false}};

/* Adds the entries that are newer than the one whose id is `last`, the newest first, or with `rising` last. Updates `last`. */
static void add_entries(struct table *table, const cJSON *entries, char last[48], bool rising)
{
    static const char *const keys[] = {"time", "who", "address", "action", "target", "outcome"};
    int count = cJSON_GetArraySize(entries), fresh = 0;
    while (fresh < count && strcmp(member_text(cJSON_GetArrayItem(entries, fresh), "id").ptr, last) != 0)
        fresh++;
    for (int i = 0; i < fresh; i++) {
        const cJSON *entry = cJSON_GetArrayItem(entries, rising ? fresh - 1 - i : i);
        for (size_t key = 0; key < sizeof(keys) / sizeof(keys[0]); key++)
            table_add(table, member_text(entry, keys[key]), COLOUR_NONE);
    }
    if (fresh > 0)
        snprintf(last, 48, "%s", member_text(cJSON_GetArrayItem(entries, 0), "id").ptr);
}

static bool has_ids(const cJSON *entries)
{
    const cJSON *entry;
    cJSON_ArrayForEach(entry, entries)
    {
        if (member_text(entry, "id").ptr == NULL)
            return false;
    }
    return cJSON_IsArray(entries);
}

int cli_audit(char **args)
{
    struct options options;
    struct client client;
    struct terminal terminal;
    struct table table;
    struct buffer out = BUFFER_INIT;
    char path[128], last[48] = "";
    int code = options_read("audit", args, &options);
    if (code == CLI_DONE)
        code = client_open(&client, &options);
    if (code != CLI_DONE)
        return code;
    terminal_look(&terminal);
    table_init(&table, &terminal, columns, sizeof(columns) / sizeof(columns[0]));
    snprintf(path, sizeof(path), "/api/admin/audit?limit=%.16s", options.limit != NULL ? options.limit : ENTRIES);
    do {
        struct answer answer;
        code = one_say(client_ask(&client, "GET", path, &answer), &client, &options);
        const cJSON *entries = cJSON_GetObjectItemCaseSensitive(answer.json, "entries");
        if (code == CLI_DONE && options.json && !options.follow)
            code = one_print_json(&answer, CLI_DONE);
        else if (code == CLI_DONE && !has_ids(entries))
            code = cli_fail(CLI_FAILED, "%s answers with no audit; check --url", client.place);
        else if (code == CLI_DONE) {
            add_entries(&table, entries, last, options.follow);
            table_print(&table, &out);
            if (!print_buffer(&out))
                code = cli_fail(CLI_FAILED, "stdout takes no more");
        }
        answer_fini(&answer);
    } while (code == CLI_DONE && options.follow && poll(NULL, 0, FOLLOW_MS) == 0);
    table_fini(&table);
    buffer_fini(&out);
    client_close(&client);
    return code;
}
