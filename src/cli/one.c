#include "cli/one.h"

#include "cli/cli.h"
#include "cli/text.h"

int one_ask(const struct options *options, const char *method, const char *before, const char *behind, struct str body,
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
    code = one_say(client_send(&client, method, path.ptr, body, answer), &client, options);
    buffer_fini(&path);
    client_close(&client);
    return code;
}

int one_say(int code, const struct client *client, const struct options *options)
{
    if (code == CLI_NO_WORKER)
        cli_fail(code, "there is no %s %s", options->noun, options->id);
    else if (code != CLI_DONE)
        cli_fail(code, "%s", client->why);
    return code;
}

int one_print(struct buffer *out, int code)
{
    bool printed = print_buffer(out);
    buffer_fini(out);
    return printed ? code : cli_fail(CLI_FAILED, "stdout takes no more");
}

int one_print_json(const struct answer *answer, int code)
{
    struct buffer out = BUFFER_INIT;
    text_show_json(&out, buffer_str(&answer->body));
    buffer_append(&out, STR("\n"));
    return one_print(&out, code);
}

int one_act(const struct options *options, const char *method, const char *before, const char *behind, struct str body,
            const char *member, const char *done)
{
    struct answer answer;
    int code = one_ask(options, method, before, behind, body, &answer);
    if (code == CLI_DONE && member_text(answer.json, member).ptr == NULL) {
        code = cli_fail(CLI_FAILED, "what answers does not say that it was done; is it a coordinator? check --url");
    } else if (code == CLI_DONE && options->json) {
        code = one_print_json(&answer, CLI_DONE);
    } else if (code == CLI_DONE) {
        struct buffer out = BUFFER_INIT;
        buffer_printf(&out, "%s %s.\n", options->id, done);
        code = one_print(&out, CLI_DONE);
    }
    answer_fini(&answer);
    return code;
}
