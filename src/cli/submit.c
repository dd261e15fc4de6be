/*
 * submit: a new task.
 */
#include "base/json_writer.h"
#include "cli/cli.h"
#include "cli/one.h"
#include "cli/tasks.h"
#include "cli/text.h"
#include "model/id.h"
#include "model/json.h"
#include "model/submission.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Reads the payload from a file, or from standard input if the name is "-". */
static int read_file(const char *name, struct buffer *payload)
{
    bool is_stdin = strcmp(name, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(name, "rb");
    if (file == NULL)
        return cli_fail(CLI_USAGE, "%.200s can't be read: %s", name, strerror(errno));
    size_t got = 1;
    while (got > 0 && payload->len <= TASK_PAYLOAD_MAX) {
        got = fread(buffer_reserve(payload, 65536), 1, 65536, file);
        payload->len += got;
    }
    bool failed = ferror(file);
    if (!is_stdin)
        fclose(file);
    return failed ? cli_fail(CLI_FAILED, "%.200s can't be read: %s", name, strerror(errno)) : CLI_DONE;
}

/* Checks that the payload is one JSON value, and removes the white space around it. */
static int check_payload(struct buffer *payload)
{
    const char *place, *why;
    struct str text = buffer_str(payload);
    if (payload->len > TASK_PAYLOAD_MAX)
        return cli_fail(CLI_USAGE, "a payload has %zu KiB at most; store what is larger elsewhere and submit where it is",
                        TASK_PAYLOAD_MAX >> 10);
    struct buffer whole = BUFFER_INIT;
    json_begin_object(&whole, NULL);
    json_add_raw(&whole, "payload", text);
    json_end_object(&whole);
    struct json_items items;
    struct json_item item;
    size_t count = 0;
    bool bad = json_find_fault(buffer_str(&whole), &place, &why);
    for (items = json_items(bad ? STR("{}") : buffer_str(&whole)); json_next(&items, &item);)
        count++;
    if (!bad && count == 1) {
        struct str value = json_member_text(buffer_str(&whole), "payload");
        payload->len = 0;
        buffer_append(payload, value);
    }
    buffer_fini(&whole);
    if (bad || count != 1)
        return cli_fail(CLI_USAGE, "the payload is no JSON value; a text needs its quotes: '\"text\"'");
    return CLI_DONE;
}

static int read_payload(const struct options *options, struct buffer *payload)
{
    const char *file = options->payload != NULL && strcmp(options->payload, "-") == 0 ? "-" : options->file;
    int code = CLI_DONE;
    if (file != NULL)
        code = read_file(file, payload);
    else if (options->payload != NULL)
        buffer_append(payload, str_from(options->payload));
    else
        return CLI_DONE;
    return code == CLI_DONE ? check_payload(payload) : code;
}

static void add_number(struct buffer *out, const char *key, const char *number)
{
    if (number != NULL)
        json_add_number(out, key, strtod(number, NULL));
}

static void add_text(struct buffer *out, const char *key, const char *text)
{
    if (text != NULL)
        json_add_text(out, key, str_from(text));
}

static void write_submission(struct buffer *out, const struct options *options, struct str payload)
{
    json_begin_object(out, NULL);
    json_add_text(out, "type", str_from(options->id));
    add_text(out, "queue", options->queue);
    if (payload.len > 0)
        json_add_raw(out, "payload", payload);
    if (options->priority != NULL)
        json_add_integer(out, "priority", strtol(options->priority, NULL, 10));
    if (options->max_attempts != NULL)
        json_add_integer(out, "max_attempts", strtol(options->max_attempts, NULL, 10));
    add_number(out, "delay_seconds", options->delay);
    add_text(out, "dedup_key", options->dedup_key);
    json_begin_object(out, "requirements");
    if (options->tier != NULL)
        json_add_integer(out, "tier", options->tier[0] - '0');
    add_text(out, "service", options->service);
    add_text(out, "model", options->model);
    add_text(out, "worker_id", options->worker);
    json_end_object(out);
    json_end_object(out);
}

static int submit(struct client *client, const struct options *options, struct str body)
{
    struct answer answer;
    client_set_key(client, options->idempotency_key);
    int code = client_send(client, "POST", "/api/tasks", body, &answer);
    client_set_key(client, NULL);
    struct str id = member_text(answer.json, "task_id");
    if (code != CLI_DONE)
        cli_fail(CLI_FAILED, "%s", client->why);
    else if (!id_is_valid(id))
        code = cli_fail(CLI_FAILED, "%s does not say which task it has made; is it a coordinator?", client->place);
    else if (options->wait)
        code = task_await(client, options, id, false);
    else if (options->json)
        code = one_print_json(&answer, CLI_DONE);
    else {
        struct buffer out = BUFFER_INIT;
        buffer_append(&out, id);
        buffer_append(&out, STR("\n"));
        code = one_print(&out, CLI_DONE);
    }
    answer_fini(&answer);
    return code == CLI_NO_WORKER ? CLI_FAILED : code;
}

int cli_submit(char **args)
{
    struct options options;
    struct client client;
    struct buffer payload = BUFFER_INIT, body = BUFFER_INIT;
    int code = options_read("submit", args, &options);
    if (code == CLI_DONE)
        code = read_payload(&options, &payload);
    if (code == CLI_DONE)
        code = client_open(&client, &options);
    if (code == CLI_DONE) {
        write_submission(&body, &options, buffer_str(&payload));
        code = submit(&client, &options, buffer_str(&body));
        client_close(&client);
    }
    buffer_fini(&payload);
    buffer_fini(&body);
    return code;
}
