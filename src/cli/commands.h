/*
 * The table of an operator's commands: names, functions, arguments and help.
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
    TAKES_SECOND = 16384, /* a word after the ID */
    TAKES_MODEL = 32768,
    TAKES_FORGET = 65536,
    TAKES_STATE = 131072,
    TAKES_FOLLOW_AUDIT = 262144,
};

struct cli_command {
    const char *name;
    int (*run)(char **args); /* see cli.h; NULL for a part of another command, such as "users add" */
    const char *summary;     /* its line in the program's help; NULL for a part */
    unsigned takes;
    const char *what; /* its arguments as the usage shows them; NULL: it takes none */
    const char *noun; /* the kind of thing that it is about, for people: "worker" */
    const char *help; /* the beginning of its --help; NULL: its --help is the program's */
};

/* The entry after the last has no name. */
extern const struct cli_command cli_commands[];

/* Returns the command of that name, if it has a help of its own; else NULL. */
const struct cli_command *cli_find_command(const char *name);

#endif
