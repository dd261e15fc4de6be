#include "cli/options.h"

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/text.h"
#include "model/drain.h"
#include "model/id.h"
#include "model/json.h"
#include "model/status.h"
#include "model/submission.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEXT_MAX 1024 /* bytes of a flag's text */

#define TEXT(member) offsetof(struct options, member), false
#define SWITCH(member) offsetof(struct options, member), true
#define SETTING SIZE_MAX, false

static const struct flag {
    const char *text;
    const char *value; /* the name of its value in the help; NULL: it has none */
    unsigned of;       /* the commands that take it */
    size_t at;         /* the offset of its member of struct options; SIZE_MAX: it goes to the settings */
    bool is_switch;    /* it has no value */
    const char *help;
} flags[] = {
    {"--tier", "N", TAKES_FILTER, TEXT(tier), "only those of a tier: 1 (GPU), 2 (service), 3 (data) or 4 (edge)"},
    {"--tier", "N", TAKES_SUBMISSION, TEXT(tier), "the tier that the worker must have: 1 (GPU), 2 (service), 3 (data) or 4 (edge)"},
    {"--status", "STATUS", TAKES_FILTER, TEXT(status), "only those that are healthy, degraded, draining or offline"},
    {"--service", "NAME", TAKES_FILTER, TEXT(service), "only those that provide a service"},
    {"--service", "NAME", TAKES_SUBMISSION, TEXT(service), "the service that the worker must provide"},
    {"--watch", NULL, TAKES_FILTER, SWITCH(watch), "shows as many as the terminal holds, again every 2 s, until Ctrl-C"},
    {"--queue", "NAME", TAKES_TASK_FILTER, TEXT(queue), "only those of a queue"},
    {"--queue", "NAME", TAKES_SUBMISSION, TEXT(queue), "the queue (default)"},
    {"--file", "FILE", TAKES_SUBMISSION, TEXT(file), "the payload, JSON; - is standard input"},
    {"--priority", "N", TAKES_SUBMISSION, TEXT(priority), "-100 to 100 (0); the highest goes first"},
    {"--delay", "SECONDS", TAKES_SUBMISSION, TEXT(delay), "how long it is not given out yet"},
    {"--max-attempts", "N", TAKES_SUBMISSION, TEXT(max_attempts), "it is dead after so many failures (5)"},
    {"--model", "NAME", TAKES_SUBMISSION, TEXT(model), "the model that the worker must have loaded"},
    {"--model", "NAME", TAKES_MODEL, TEXT(model), "for a request that names this model"},
    {"--dedup-key", "TEXT", TAKES_SUBMISSION, TEXT(dedup_key), "if a live task has the same key, that one is returned"},
    {"--idempotency-key", "TEXT", TAKES_SUBMISSION, TEXT(idempotency_key), "the same key within 24 h makes no second task"},
    {"--wait", NULL, TAKES_WAIT, SWITCH(wait), "waits until it has ended, and prints its result"},
    {"--state", "STATE", TAKES_STATE, TEXT(state), "queued, scheduled, leased, completed, dead, cancelled or expired"},
    {"--type", "TEXT", TAKES_TASK_FILTER, TEXT(type), "only those of a type"},
    {"--worker", "ID", TAKES_TASK_FILTER, TEXT(worker), "only those of a worker"},
    {"--worker", "ID", TAKES_SUBMISSION, TEXT(worker), "the only worker that may do it"},
    {"--error", "TEXT", TAKES_TASK_FILTER, TEXT(error), "only those whose error has that text in it"},
    {"--limit", "N", TAKES_LIMIT, TEXT(limit), "so many at most (100)"},
    {"--follow", NULL, TAKES_FOLLOW, SWITCH(follow), "prints what changes until it has ended, and then its result"},
    {"--follow", NULL, TAKES_FOLLOW_AUDIT, SWITCH(follow), "goes on, and prints new entries as they come"},
    {"--dry-run", NULL, TAKES_DRY_RUN, SWITCH(dry_run), "only counts them"},
    {"--yes", NULL, TAKES_YES, SWITCH(yes), "does not ask"},
    {"--reason", "TEXT", TAKES_REASON, TEXT(reason), "why; listings show it, and another drain changes it"},
    {"--role", "ROLE", TAKES_ROLE, TEXT(role), "viewer, user, operator or admin"},
    {"--kind", "KIND", TAKES_TOKEN, TEXT(kind), "join (for workers) or api (for a program, with --role)"},
    {"--name", "TEXT", TAKES_TOKEN, TEXT(name), "whose it is, or what for"},
    {"--expires", "TIME", TAKES_TOKEN, TEXT(expires), "30d, 12h, 90m or seconds from now; else never"},
    {"--max-workers", "N", TAKES_TOKEN, TEXT(max_workers), "of a join token: so many workers at most"},
    {"--tiers", "N,N", TAKES_TOKEN, TEXT(tiers), "of a join token: workers of these tiers alone"},
    {"--services", "NAME,NAME", TAKES_TOKEN, TEXT(services), "of a join token: for these services alone"},
    {"--with-workers", NULL, TAKES_WITH_WORKERS, SWITCH(with_workers), "its workers lose their own tokens, too"},
    {"--forget", NULL, TAKES_FORGET, SWITCH(forget),
     "the old ones end at once, and all sessions and workers' own tokens with them"},
    {"--json", NULL, TAKES_ALWAYS, SWITCH(json), "prints what the coordinator answered"},
    {"--url", "URL", TAKES_ALWAYS, TEXT(url),
     "of any coordinator of the fleet (COORDINATOR_URL): http://host:8080, https://host/prefix"},
    {"--redis-url", "URL", TAKES_ALWAYS, SETTING, "without a coordinator's URL: the fleet's Redis (REDIS_URL)"},
    {"--data-dir", "DIR", TAKES_ALWAYS, SETTING,
     "without either: where a coordinator on this machine has its data (DATA_DIR; ./data)"},
    {"--key-prefix", "PREFIX", TAKES_ALWAYS, SETTING, "of the fleet's keys in that Redis (KEY_PREFIX; {rma})"},
};

#define FLAG_COUNT (sizeof(flags) / sizeof(flags[0]))

int cli_fail(int code, const char *format, ...)
{
    char room[1024];
    struct buffer line = BUFFER_INIT;
    va_list args;
    va_start(args, format);
    vsnprintf(room, sizeof(room), format, args);
    va_end(args);
    fflush(stdout);
    buffer_append(&line, STR("rma-coordinator: "));
    text_show(&line, str_from(room), sizeof(room));
    buffer_append(&line, STR("\n"));
    fprintf(stderr, "%.*s", STR_PRINTF(buffer_str(&line)));
    buffer_fini(&line);
    return code;
}

bool cli_print_help(const char *name)
{
    const struct cli_command *command = cli_find_command(name);
    if (command == NULL)
        return false;
    printf("Usage: rma-coordinator %s%s%s [FLAG...]\n\n%s\n\n", name, command->what != NULL ? " " : "",
           command->what != NULL ? command->what : "", command->help);
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        char flag[32];
        snprintf(flag, sizeof(flag), "%s%s%s", flags[i].text, flags[i].value != NULL ? " " : "",
                 flags[i].value != NULL ? flags[i].value : "");
        if ((command->takes | TAKES_ALWAYS) & flags[i].of)
            printf("  %-22s %s\n", flag, flags[i].help);
    }
    bool waits = command->takes & (TAKES_WAIT | TAKES_FOLLOW);
    bool names_one = command->noun != NULL && !(command->takes & TAKES_SUBMISSION);
    printf("\nA name in capitals is an environment variable that says the same. After -- an ID may begin with a dash.\n\n"
           "Exit code: 0 done; 1 failed, nobody answered; 2 the arguments were not understood%s%s%s%s.\n",
           names_one ? "; 3 no such " : "", names_one ? command->noun : "",
           strcmp(name, "status") == 0 ? "; 4 the fleet\nis degraded or unhealthy" : "",
           waits ? "; 5 the task\ndid not complete" : "");
    return true;
}

/* Finds the flag that args[0] is. Sets *value, and *taken to 1 or 2 arguments. NULL if the command has no such flag. */
static const struct flag *find_flag(const struct cli_command *command, char **args, char **value, int *taken)
{
    size_t len = strcspn(args[0], "=");
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        if (!((command->takes | TAKES_ALWAYS) & flags[i].of) || strlen(flags[i].text) != len ||
            strncmp(args[0], flags[i].text, len) != 0)
            continue;
        if (flags[i].value == NULL && args[0][len] == '=')
            return NULL;
        *value = args[0][len] == '=' ? args[0] + len + 1 : flags[i].value != NULL ? args[1] : NULL;
        *taken = flags[i].value != NULL && args[0][len] != '=' ? 2 : 1;
        return &flags[i];
    }
    return NULL;
}

/* Adds "--redis-url", "redis://…" to the settings. */
static bool add_setting(struct options *options, const struct flag *flag, char *value)
{
    for (size_t i = 0; i < OPTIONS_SETTINGS_MAX; i++) {
        if (options->settings[2 * i] != NULL)
            continue;
        options->settings[2 * i] = (char *)(uintptr_t)flag->text;
        options->settings[2 * i + 1] = value;
        return true;
    }
    return false;
}

static bool set_flag(struct options *options, const struct flag *flag, char *value)
{
    if (flag->at == SIZE_MAX)
        return add_setting(options, flag, value);
    if (flag->is_switch)
        *(bool *)((char *)options + flag->at) = true;
    else
        *(const char **)((char *)options + flag->at) = value;
    return true;
}

static bool is_number(const char *text, double least, double most, bool whole)
{
    char *end;
    double number = strtod(text, &end);
    return text[0] != '\0' && *end == '\0' && strspn(text, "+-.0123456789") == strlen(text) && text[0] != '+' && number >= least &&
           number <= most && (!whole || strchr(text, '.') == NULL);
}

static bool is_text(const char *text)
{
    return text[0] != '\0' && strlen(text) <= TEXT_MAX && json_is_utf8(str_from(text));
}

/* Whether a text can be an Idempotency-Key. It becomes a header, so a line break in it would begin another one. */
static bool is_key(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return len > 0 && len <= TASK_KEY_MAX;
}

/* Checks the flags about tasks. */
static int check_tasks(const struct options *options)
{
    static const char *const states[] = {"queued", "scheduled", "leased", "completed", "dead", "cancelled", "expired"};
    bool known = options->state == NULL;
    for (size_t i = 0; !known && i < sizeof(states) / sizeof(states[0]); i++)
        known = strcmp(states[i], options->state) == 0;
    if (!known)
        return cli_fail(CLI_USAGE, "--state is queued, scheduled, leased, completed, dead, cancelled or expired, not \"%.64s\"",
                        options->state);
    if (options->queue != NULL && !id_is_valid(str_from(options->queue)))
        return cli_fail(CLI_USAGE, "--queue " ID_RULE ", not \"%.160s\"", options->queue);
    if (options->worker != NULL && !id_is_valid(str_from(options->worker)))
        return cli_fail(CLI_USAGE, "--worker " ID_RULE ", not \"%.160s\"", options->worker);
    if (options->limit != NULL && !is_number(options->limit, 1, 1e6, true))
        return cli_fail(CLI_USAGE, "--limit must be a whole number from 1 to 1000000, not \"%.64s\"", options->limit);
    if (options->priority != NULL && !is_number(options->priority, -100, 100, true))
        return cli_fail(CLI_USAGE, "--priority must be a whole number from -100 to 100, not \"%.64s\"", options->priority);
    if (options->max_attempts != NULL && !is_number(options->max_attempts, 1, 1000, true))
        return cli_fail(CLI_USAGE, "--max-attempts must be a whole number from 1, not \"%.64s\"", options->max_attempts);
    if (options->delay != NULL && !is_number(options->delay, 0, 1e9, false))
        return cli_fail(CLI_USAGE, "--delay must be a number of seconds, not \"%.64s\"", options->delay);
    if (options->idempotency_key != NULL && !is_key(options->idempotency_key))
        return cli_fail(CLI_USAGE, "--idempotency-key must be 1 to %d printable ASCII characters", TASK_KEY_MAX);
    const char *const texts[] = {options->type, options->error, options->model, options->dedup_key};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i] != NULL && !is_text(texts[i]))
            return cli_fail(CLI_USAGE, "the text of a flag must be 1 to %d bytes of UTF-8", TEXT_MAX);
    return CLI_DONE;
}

/* Checks the limits of a token: a limit that is not understood must not make a token without it. */
static int check_token(const struct options *options)
{
    const char *const lists[] = {options->tiers, options->services};
    if (options->max_workers != NULL && !is_number(options->max_workers, 1, 1000, true))
        return cli_fail(CLI_USAGE, "--max-workers must be a whole number from 1 to 1000, not \"%.64s\"", options->max_workers);
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if (lists[i] != NULL && lists[i][0] == '\0')
            return cli_fail(CLI_USAGE, "--%s must not be empty; leave it out for a token without this limit",
                            i == 0 ? "tiers" : "services");
    return CLI_DONE;
}

/* Checks the id, type and payload that the command is given. */
static int check_subject(const struct cli_command *command, const struct options *options)
{
    const char *id = options->id;
    if (command->takes & (TAKES_ID | TAKES_SUBMISSION) && id == NULL)
        return cli_fail(CLI_USAGE, "which %s? rma-coordinator %s %s", command->noun, command->name, command->what);
    if (id == NULL)
        return CLI_DONE;
    if (!(command->takes & TAKES_SUBMISSION) && !id_is_valid(str_from(id)))
        return cli_fail(CLI_USAGE, "\"%.160s\" is no %s's ID: it " ID_RULE, id, command->noun);
    if (command->takes & TAKES_SUBMISSION && !is_text(id))
        return cli_fail(CLI_USAGE, "a type must be 1 to %d bytes of UTF-8", TEXT_MAX);
    if (options->payload != NULL && options->file != NULL)
        return cli_fail(CLI_USAGE, "the payload is given twice, as an argument and by --file");
    return CLI_DONE;
}

/* Checks all options together. */
static int check(const struct cli_command *command, struct options *options)
{
    const char *environment = getenv("COORDINATOR_URL");
    if (options->url != NULL && options->settings[0] != NULL)
        return cli_fail(CLI_USAGE, "--url asks a coordinator, %s a Redis; give one of them", options->settings[0]);
    if (options->url == NULL && options->settings[0] == NULL && environment != NULL && environment[0] != '\0')
        options->url = environment;
    int code = check_subject(command, options);
    if (code == CLI_DONE)
        code = check_tasks(options);
    if (code == CLI_DONE)
        code = check_token(options);
    if (code != CLI_DONE)
        return code;
    if (options->tier != NULL && (options->tier[0] < '1' || options->tier[0] > '4' || options->tier[1] != '\0'))
        return cli_fail(CLI_USAGE, "--tier must be 1, 2, 3 or 4, not \"%.64s\"", options->tier);
    enum worker_status status;
    if (options->status != NULL && !worker_status_parse(str_from(options->status), &status))
        return cli_fail(CLI_USAGE, "--status " WORKER_STATUS_RULE ", not \"%.64s\"", options->status);
    if (options->service != NULL && !id_is_valid(str_from(options->service)))
        return cli_fail(CLI_USAGE, "--service " ID_RULE ", not \"%.160s\"", options->service);
    if (options->reason != NULL && (strlen(options->reason) > DRAIN_REASON_MAX || !json_is_utf8(str_from(options->reason))))
        return cli_fail(CLI_USAGE, "--reason takes up to %d bytes of UTF-8", DRAIN_REASON_MAX);
    if (options->watch && (options->json || !isatty(STDOUT_FILENO)))
        return cli_fail(CLI_USAGE, "--watch draws on a terminal: give no --json, and don't send the output elsewhere");
    return CLI_DONE;
}

int options_read(const char *command_name, char **args, struct options *options)
{
    const struct cli_command *command = cli_find_command(command_name);
    const char *name = command->name;
    bool flags_end = false;
    *options = (struct options){.noun = command->noun};
    for (int taken = 1; *args != NULL; args += taken, taken = 1) {
        if (!flags_end && strcmp(*args, "--") == 0) {
            flags_end = true;
            continue;
        }
        if (flags_end || (*args)[0] != '-' || (command->takes & TAKES_SUBMISSION && (*args)[1] == '\0')) {
            if (command->what != NULL && options->id == NULL)
                options->id = *args;
            else if (command->takes & (TAKES_SUBMISSION | TAKES_SECOND) && options->payload == NULL)
                options->payload = *args;
            else
                return cli_fail(CLI_USAGE, "%s takes no \"%.160s\"%s; %s --help says what it takes", name, *args,
                                options->id != NULL ? " behind an ID" : "", name);
            continue;
        }
        char *value;
        const struct flag *flag = find_flag(command, args, &value, &taken);
        /* the message leaves out what follows a "=": it may be a password */
        if (flag == NULL)
            return cli_fail(CLI_USAGE, "%s has no flag \"%.*s\"; %s --help says what it takes", name, (int)strcspn(*args, "="),
                            *args, name);
        if (flag->value != NULL && value == NULL)
            return cli_fail(CLI_USAGE, "%s needs a value: %s=%s", flag->text, flag->text, flag->value);
        if (!set_flag(options, flag, value))
            return cli_fail(CLI_USAGE, "%s is given too often", flag->text);
    }
    return check(command, options);
}
