#include "cli/options.h"

#include "cli/cli.h"
#include "cli/text.h"
#include "model/drain.h"
#include "model/id.h"
#include "model/json.h"
#include "model/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What a command takes. */
#define TAKES_ID 1
#define TAKES_FILTER 2
#define TAKES_YES 4
#define TAKES_REASON 8
#define TAKES_ALWAYS 16

static const struct command {
    const char *name;
    unsigned takes;
    const char *help;
} commands[] = {
    {"workers", TAKES_FILTER, "Lists the workers of a fleet, by their ids."},
    {"worker", TAKES_ID, "Shows all there is to one worker."},
    {"services", 0, "Lists the services, what the fleet lacks first: critical has no live worker, warning has one."},
    {"drain", TAKES_ID | TAKES_REASON, "Gives a worker no new work, until undrain. It stays registered."},
    {"undrain", TAKES_ID, "Gives a drained worker work again."},
    {"remove", TAKES_ID, "Removes a worker. At a terminal it asks first. An agent that still runs may register again."},
    {"status", 0, "Shows on one screen how the coordinator, its Redis and the fleet are."},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

enum flag_name { FLAG_TIER, FLAG_STATUS, FLAG_SERVICE, FLAG_WATCH, FLAG_YES, FLAG_REASON, FLAG_JSON, FLAG_URL, FLAG_SETTING };

static const struct flag {
    enum flag_name name;
    const char *text;
    const char *value; /* what its value is called; NULL: it has none */
    unsigned of;       /* the commands that take it */
    const char *help;
} flags[] = {
    {FLAG_TIER, "--tier", "N", TAKES_FILTER, "only those of a tier: 1 (GPU), 2 (service), 3 (data) or 4 (edge)"},
    {FLAG_STATUS, "--status", "STATUS", TAKES_FILTER, "only those that are healthy, degraded, draining or offline"},
    {FLAG_SERVICE, "--service", "NAME", TAKES_FILTER, "only those that provide a service"},
    {FLAG_WATCH, "--watch", NULL, TAKES_FILTER, "shows as many as the terminal holds, again every 2 s, until Ctrl-C"},
    {FLAG_YES, "--yes", NULL, TAKES_YES, "does not ask"},
    {FLAG_REASON, "--reason", "TEXT", TAKES_REASON, "why, shown wherever the worker is; drain it again to change it"},
    {FLAG_JSON, "--json", NULL, TAKES_ALWAYS, "prints what the coordinator answered"},
    {FLAG_URL, "--url", "URL", TAKES_ALWAYS,
     "of any coordinator of the fleet (COORDINATOR_URL): http://host:8080, https://host/prefix"},
    {FLAG_SETTING, "--redis-url", "URL", TAKES_ALWAYS, "without a coordinator's URL: the fleet's Redis (REDIS_URL)"},
    {FLAG_SETTING, "--data-dir", "DIR", TAKES_ALWAYS,
     "without either: where a coordinator on this machine has its data (DATA_DIR; ./data)"},
    {FLAG_SETTING, "--key-prefix", "PREFIX", TAKES_ALWAYS, "of the fleet's keys in that Redis (KEY_PREFIX; {rma})"},
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

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static unsigned takes(const struct command *command)
{
    return command->takes | TAKES_ALWAYS | (strcmp(command->name, "remove") == 0 ? TAKES_YES : 0);
}

bool cli_print_help(const char *name)
{
    const struct command *command = find_command(name);
    if (command == NULL)
        return false;
    printf("Usage: rma-coordinator %s%s [FLAG...]\n\n%s\n\n", name, command->takes & TAKES_ID ? " ID" : "", command->help);
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        char flag[32];
        snprintf(flag, sizeof(flag), "%s%s%s", flags[i].text, flags[i].value != NULL ? " " : "",
                 flags[i].value != NULL ? flags[i].value : "");
        if (takes(command) & flags[i].of)
            printf("  %-22s %s\n", flag, flags[i].help);
    }
    printf("\nA name in capitals is an environment variable that says the same. After -- an ID may begin with a dash.\n\n"
           "Exit code: 0 done; 1 failed, nobody answered; 2 the arguments were not understood; 3 no such worker%s.\n",
           strcmp(name, "status") == 0 ? "; 4 the fleet\nis degraded or unhealthy" : "");
    return true;
}

/* The flag that `arg` is for the command, its value in *value, the arguments it takes in *taken; NULL: none. */
static const struct flag *find_flag(const struct command *command, char **args, char **value, int *taken)
{
    size_t len = strcspn(args[0], "=");
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        if (!(takes(command) & flags[i].of) || strlen(flags[i].text) != len || strncmp(args[0], flags[i].text, len) != 0)
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
    switch (flag->name) {
    case FLAG_TIER:
        options->tier = value;
        return true;
    case FLAG_STATUS:
        options->status = value;
        return true;
    case FLAG_SERVICE:
        options->service = value;
        return true;
    case FLAG_WATCH:
        return options->watch = true;
    case FLAG_YES:
        return options->yes = true;
    case FLAG_REASON:
        options->reason = value;
        return true;
    case FLAG_JSON:
        return options->json = true;
    case FLAG_URL:
        options->url = value;
        return true;
    default:
        return add_setting(options, flag, value);
    }
}

/* Looks at what was given as a whole. */
static int check(const struct command *command, struct options *options)
{
    const char *environment = getenv("COORDINATOR_URL");
    if (options->url != NULL && options->settings[0] != NULL)
        return cli_fail(CLI_USAGE, "--url asks a coordinator, %s a Redis; give one of them", options->settings[0]);
    if (options->url == NULL && options->settings[0] == NULL && environment != NULL && environment[0] != '\0')
        options->url = environment;
    if (command->takes & TAKES_ID && options->id == NULL)
        return cli_fail(CLI_USAGE, "which worker? rma-coordinator %s ID", command->name);
    if (options->id != NULL && !id_is_valid(str_from(options->id)))
        return cli_fail(CLI_USAGE, "\"%.160s\" is no worker's ID: it " ID_RULE, options->id);
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
    const struct command *command = find_command(command_name);
    const char *name = command->name;
    bool flags_end = false;
    *options = (struct options){.id = NULL};
    for (int taken = 1; *args != NULL; args += taken, taken = 1) {
        if (!flags_end && strcmp(*args, "--") == 0) {
            flags_end = true;
            continue;
        }
        if (flags_end || (*args)[0] != '-') {
            if (!(command->takes & TAKES_ID) || options->id != NULL)
                return cli_fail(CLI_USAGE, "%s takes no \"%.160s\"%s; %s --help says what it takes", name, *args,
                                options->id != NULL ? " behind an ID" : "", name);
            options->id = *args;
            continue;
        }
        char *value;
        const struct flag *flag = find_flag(command, args, &value, &taken);
        /* without what follows a "=", which may be a password */
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
