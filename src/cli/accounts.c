/*
 * Users, tokens and keys: listed, made, changed, removed.
 */
#include "base/json_writer.h"
#include "cli/cli.h"
#include "cli/one.h"
#include "cli/text.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define PASSWORD_ROOM 512

/* The second word of a command: "add" of "users add". */
struct verb {
    const char *name; /* "users add" */
    int (*run)(struct options *options);
};

/* Runs the verb that the arguments begin with. Without one it runs the first verb, which lists. */
static int run_verb(const char *command, const struct verb *verbs, size_t count, char **args)
{
    struct options options;
    size_t len = strlen(command) + 1;
    bool named = args[0] != NULL && args[0][0] != '-';
    for (size_t i = 0; i < count; i++) {
        if (named ? strcmp(verbs[i].name + len, args[0]) != 0 : i > 0)
            continue;
        if (named && args[1] != NULL && strcmp(args[1], "--help") == 0)
            return cli_print_help(verbs[i].name) ? CLI_DONE : CLI_USAGE;
        int code = options_read(verbs[i].name, named ? args + 1 : args, &options);
        return code == CLI_DONE ? verbs[i].run(&options) : code;
    }
    return cli_fail(CLI_USAGE, "%s knows no \"%.64s\"; %s --help says what it does", command, args[0], command);
}

/* Sends a request, with `body` unless that is NULL, and prints what went wrong. Release *answer in any case. */
static int accounts_ask(const struct options *options, const char *method, const char *path, struct buffer *body,
                        struct answer *answer)
{
    struct client client;
    *answer = (struct answer){.status = 0};
    int code = client_open(&client, options);
    if (code != CLI_DONE)
        return code;
    code = one_say(client_send(&client, method, path, body != NULL ? buffer_str(body) : STR(""), answer), &client, options);
    client_close(&client);
    return code;
}

/* Prints the list `member` of an answer as a table: a row for each element, a cell for each of `keys`. With --json: the answer. */
static int show_list(const struct options *options, const char *path, const char *member, const struct column *columns,
                     const char *const *keys, size_t count)
{
    struct answer answer;
    int code = accounts_ask(options, "GET", path, NULL, &answer);
    if (code == CLI_DONE && options->json) {
        code = one_print_json(&answer, CLI_DONE);
    } else if (code == CLI_DONE) {
        struct terminal terminal;
        struct table table;
        struct buffer out = BUFFER_INIT;
        const cJSON *item;
        terminal_look(&terminal);
        table_init(&table, &terminal, columns, count);
        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(answer.json, member))
        {
            for (size_t i = 0; i < count; i++) {
                const cJSON *value = cJSON_GetObjectItemCaseSensitive(item, keys[i]);
                struct str text = cJSON_IsTrue(value) ? STR("yes") : member_text(item, keys[i]);
                table_add(&table, text.len > 0 ? text : STR("-"), COLOUR_NONE);
            }
        }
        table_print(&table, &out);
        table_fini(&table);
        code = one_print(&out, CLI_DONE);
    }
    answer_fini(&answer);
    return code;
}

/* Sends a change and prints "<id> <done>.", or only "<done>." if there is no id. */
static int change(const struct options *options, const char *method, const char *path, struct buffer *body, const char *done)
{
    struct answer answer;
    int code = accounts_ask(options, method, path, body, &answer);
    if (code == CLI_DONE && options->json) {
        code = one_print_json(&answer, CLI_DONE);
    } else if (code == CLI_DONE) {
        struct buffer out = BUFFER_INIT;
        buffer_printf(&out, "%s%s%s.\n", options->id != NULL ? options->id : "", options->id != NULL ? " " : "", done);
        code = one_print(&out, CLI_DONE);
    }
    answer_fini(&answer);
    return code;
}

/* Reads a line of standard input without its end. False if there is none, or it has a NUL or does not fit. */
static bool read_line(char room[PASSWORD_ROOM])
{
    size_t len = 0;
    int c;
    while ((c = getchar()) != EOF && c != '\n' && c != '\0' && len < PASSWORD_ROOM - 1)
        room[len++] = (char)c;
    bool whole = c == '\n' || (c == EOF && len > 0);
    if (len > 0 && room[len - 1] == '\r')
        len--;
    room[len] = '\0';
    return whole;
}

static struct termios shown; /* the terminal's modes before it hides what is typed */

/* Restores the terminal's modes, then ends the program as the signal does by default. */
static void on_signal(int number)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &shown);
    signal(number, SIG_DFL);
    raise(number);
}

static void handle_signals(void (*handler)(int))
{
    signal(SIGINT, handler);
    signal(SIGTERM, handler);
    signal(SIGHUP, handler);
}

/* Reads a line of standard input. At a terminal it asks the question first, and does not show what is typed. */
static bool read_hidden(const char *question, char room[PASSWORD_ROOM])
{
    bool terminal = tcgetattr(STDIN_FILENO, &shown) == 0;
    if (terminal) {
        struct termios quiet = shown;
        handle_signals(on_signal);
        quiet.c_lflag &= (tcflag_t)~ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
        fprintf(stderr, "%s", question);
    }
    bool read = read_line(room);
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
        handle_signals(SIG_DFL);
        fprintf(stderr, "\n");
    }
    return read;
}

/* Reads a new password: asks for it twice at a terminal, else takes the first line of standard input. */
static int read_password(char password[PASSWORD_ROOM])
{
    char again[PASSWORD_ROOM];
    if (!read_hidden("Password: ", password) || password[0] == '\0')
        return cli_fail(CLI_USAGE, "which password? type it, or give it as the first line of standard input, without a NUL");
    if (!isatty(STDIN_FILENO))
        return CLI_DONE;
    bool same = read_hidden("Once more: ", again) && strcmp(password, again) == 0;
    explicit_bzero(again, sizeof(again));
    return same ? CLI_DONE : cli_fail(CLI_USAGE, "these were two different passwords");
}

static int list_users(struct options *options)
{
    static const struct column columns[] = {
        {"USER", false, true}, {"ROLE", false, false}, {"CREATED", false, false}, {"BY", false, true}};
    static const char *const keys[] = {"username", "role", "created_at", "created_by"};
    return show_list(options, "/api/auth/users", "users", columns, keys, 4);
}

static int add_user(struct options *options)
{
    char password[PASSWORD_ROOM];
    struct buffer body = BUFFER_INIT;
    if (options->role == NULL)
        return cli_fail(CLI_USAGE, "which role? --role viewer, user, operator or admin");
    int code = read_password(password);
    if (code != CLI_DONE)
        return code;
    json_begin_object(&body, NULL);
    json_add_text(&body, "username", str_from(options->id));
    json_add_text(&body, "password", str_from(password));
    json_add_text(&body, "role", str_from(options->role));
    json_end_object(&body);
    code = change(options, "POST", "/api/auth/users", &body, "may sign in");
    explicit_bzero(password, sizeof(password));
    buffer_wipe(&body);
    return code;
}

/* Changes one member of a user. */
static int change_user(const struct options *options, const char *member, const char *value, const char *done)
{
    struct buffer body = BUFFER_INIT;
    char path[256];
    snprintf(path, sizeof(path), "/api/auth/users/%s", options->id);
    json_begin_object(&body, NULL);
    json_add_text(&body, member, str_from(value));
    json_end_object(&body);
    int code = change(options, "PATCH", path, &body, done);
    buffer_wipe(&body);
    return code;
}

static int change_password(struct options *options)
{
    char password[PASSWORD_ROOM];
    int code = read_password(password);
    if (code == CLI_DONE)
        code = change_user(options, "password", password, "has a new password");
    explicit_bzero(password, sizeof(password));
    return code;
}

static int change_role(struct options *options)
{
    if (options->payload == NULL)
        return cli_fail(CLI_USAGE, "which role? users role NAME viewer, user, operator or admin");
    return change_user(options, "role", options->payload, "has another role");
}

static int remove_user(struct options *options)
{
    char path[256];
    snprintf(path, sizeof(path), "/api/auth/users/%s", options->id);
    return change(options, "DELETE", path, NULL, "may sign in no more");
}

static int list_tokens(struct options *options)
{
    static const struct column columns[] = {{"ID", false, false},      {"KIND", false, false},    {"NAME", false, true},
                                            {"ROLE", false, false},    {"EXPIRES", false, false}, {"REVOKED", false, false},
                                            {"CREATED", false, false}, {"BY", false, true}};
    static const char *const keys[] = {"id", "kind", "name", "role", "expires_at", "revoked_at", "created_at", "created_by"};
    return show_list(options, "/api/auth/tokens", "tokens", columns, keys, 8);
}

/* Returns the seconds of "30d", "12h", "90m" or "3600"; NAN if the text is no duration. */
static double read_duration(const char *text)
{
    char *end;
    double number = strtod(text, &end);
    const char *unit = strchr("smhd", *end);
    static const double seconds[] = {1, 60, 3600, 86400};
    size_t digits = strspn(text, "0123456789."); /* strtod would also accept "inf", "0x8" and "1e3" */
    if (digits == 0 || end != text + digits || number <= 0 || number > 1e9 || (*end != '\0' && (unit == NULL || end[1] != '\0')))
        return NAN;
    return number * (*end == '\0' ? 1 : seconds[unit - "smhd"]);
}

/* Adds "a,b,c" as an array of texts, or of numbers where an element is one character. */
static void add_list(struct buffer *body, const char *key, const char *list, bool numbers)
{
    json_begin_array(body, key);
    for (struct str rest = str_from(list); rest.len > 0;) {
        struct str each = str_trim(str_cut(&rest, ','));
        if (numbers && each.len == 1)
            json_add_integer(body, NULL, each.ptr[0] - '0');
        else
            json_add_text(body, NULL, each);
    }
    json_end_array(body);
}

static void write_wanted(struct buffer *body, const struct options *options, double expires_s)
{
    json_begin_object(body, NULL);
    json_add_text(body, "kind", str_from(options->kind));
    json_add_text(body, "name", str_from(options->name));
    if (options->role != NULL)
        json_add_text(body, "role", str_from(options->role));
    if (options->expires != NULL)
        json_add_number(body, "expires_seconds", expires_s);
    if (options->max_workers != NULL)
        json_add_number(body, "max_workers", strtod(options->max_workers, NULL));
    if (options->tiers != NULL)
        add_list(body, "tiers", options->tiers, true);
    if (options->services != NULL)
        add_list(body, "services", options->services, false);
    json_end_object(body);
}

static int add_token(struct options *options)
{
    struct answer answer;
    struct buffer body = BUFFER_INIT, out = BUFFER_INIT;
    double expires_s = options->expires != NULL ? read_duration(options->expires) : 1;
    if (options->kind == NULL || options->name == NULL)
        return cli_fail(CLI_USAGE, "which token? --kind join or api, and --name");
    if (isnan(expires_s))
        return cli_fail(CLI_USAGE, "--expires must be like 30d, 12h, 90m or 3600, not \"%.64s\"", options->expires);
    write_wanted(&body, options, expires_s);
    int code = accounts_ask(options, "POST", "/api/auth/tokens", &body, &answer);
    if (code == CLI_DONE) {
        buffer_append(&out, options->json ? buffer_str(&answer.body) : member_text(answer.json, "token"));
        buffer_append(&out, STR("\n"));
        code = one_print(&out, CLI_DONE);
    }
    buffer_fini(&body);
    answer_fini(&answer);
    return code;
}

static int revoke_token(struct options *options)
{
    char path[256];
    snprintf(path, sizeof(path), "/api/auth/tokens/%s%s", options->id, options->with_workers ? "?with_workers=1" : "");
    return change(options, "DELETE", path, NULL, "is revoked");
}

static int list_keys(struct options *options)
{
    static const struct column columns[] = {{"KEY", false, true}, {"SIGNS", false, false}};
    static const char *const keys[] = {"kid", "signs"};
    return show_list(options, "/api/auth/keys", "keys", columns, keys, 2);
}

static int rotate_keys(struct options *options)
{
    return change(options, "POST", options->forget ? "/api/auth/keys/rotate?forget=1" : "/api/auth/keys/rotate", NULL,
                  "Another key signs");
}

int cli_users(char **args)
{
    static const struct verb verbs[] = {{"users list", list_users},
                                        {"users add", add_user},
                                        {"users passwd", change_password},
                                        {"users role", change_role},
                                        {"users remove", remove_user}};
    return run_verb("users", verbs, sizeof(verbs) / sizeof(verbs[0]), args);
}

int cli_tokens(char **args)
{
    static const struct verb verbs[] = {{"tokens list", list_tokens}, {"tokens add", add_token}, {"tokens revoke", revoke_token}};
    return run_verb("tokens", verbs, sizeof(verbs) / sizeof(verbs[0]), args);
}

int cli_keys(char **args)
{
    static const struct verb verbs[] = {{"keys list", list_keys}, {"keys rotate", rotate_keys}};
    return run_verb("keys", verbs, sizeof(verbs) / sizeof(verbs[0]), args);
}
