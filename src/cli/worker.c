/*
 * One worker: shown, drained, removed.
 */
#include "base/json_writer.h"
#include "cli/cli.h"
#include "cli/one.h"
#include "cli/view.h"

#include <stdio.h>
#include <unistd.h>

int cli_worker(char **args)
{
    struct options options;
    struct answer answer;
    int code = options_read("worker", args, &options);
    if (code != CLI_DONE)
        return code;
    code = one_ask(&options, "GET", "/api/worker/", "", STR(""), &answer);
    if (code == CLI_DONE && member_text(answer.json, "worker_id").ptr == NULL)
        code = cli_fail(CLI_FAILED, "what answers shows no worker; is it a coordinator? check --url");
    if (code == CLI_DONE && options.json) {
        code = one_print_json(&answer, CLI_DONE);
    } else if (code == CLI_DONE) {
        /* the id is the title, and the age is shown at last_heartbeat */
        static const char *const left_out[] = {"worker_id", "age_seconds", NULL};
        struct buffer out = BUFFER_INIT;
        double now = view_time(member_text(answer.json, "last_heartbeat")) + member_number(answer.json, "age_seconds");
        view_object(&out, member_text(answer.json, "worker_id"), answer.json, now, left_out);
        code = one_print(&out, CLI_DONE);
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
    code = one_act(&options, "POST", "/api/worker/", "/drain", buffer_str(&body), "message", "is drained: it gets no new work");
    buffer_fini(&body);
    return code;
}

int cli_undrain(char **args)
{
    struct options options;
    int code = options_read("undrain", args, &options);
    return code != CLI_DONE ? code : one_act(&options, "POST", "/api/worker/", "/undrain", STR(""), "message", "gets work again");
}

/* Asks for a confirmation at a terminal. Without a terminal, or with --yes, none is needed. */
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
    return one_act(&options, "DELETE", "/api/worker/unregister/", "", STR(""), "message", "is removed");
}
