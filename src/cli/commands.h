/*
 * The table of an operator's commands: their names, what runs them, what they take, and their help.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

/* What a command takes. */
enum takes {
    TAKES_ID = 1,
    TAKES_FILTER = 2,
    TAKES_YES = 4,
    TAKES_REASON = 8,
    TAKES_SUBMISSION = 16,
    TAKES_TASK_FILTER = 32,
    TAKES_LIMIT = 64,
    TAKES_WAIT = 128,
    TAKES_FOLLOW = 256,
    TAKES_DRY_RUN = 512,
    TAKES_ALWAYS = 1024,
    TAKES_ROLE = 2048,
    TAKES_TOKEN = 4096,
    TAKES_WITH_WORKERS = 8192,
    TAKES_SECOND = 16384, /* a word behind the ID */
    TAKES_MODEL = 32768,
};

struct cli_command {
    const char *name;
    int (*run)(char **args); /* as in cli.h; NULL: a part of another command, as "users add" is */
    const char *summary;     /* its line in the program's help; NULL for a part */
    unsigned takes;
    const char *what; /* what it is about, in its usage; NULL: nothing by name */
    const char *noun; /* the same for people */
    const char *help; /* what its --help begins with; NULL: its --help is the program's */
};

/* The last has no name. */
extern const struct cli_command cli_commands[];

/* The command of that name that has a help of its own; NULL when there is none. */
const struct cli_command *cli_find_command(const char *name);

#endif
