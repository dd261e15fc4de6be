/*
 * The arguments of an operator's command.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>

#define OPTIONS_SETTINGS_MAX 6

/* A text is NULL if it is not given. */
struct options {
    const char *noun;    /* the kind of thing that the command is about, for people: "worker" */
    const char *id;      /* the id of that thing; for a submission its type */
    const char *payload; /* of a submission; for users role the new role */
    const char *url;     /* of a coordinator; NULL: use Redis directly */
    const char *tier;    /* "1" to "4" */
    const char *status, *service, *reason;
    const char *queue, *state, *type, *worker, *error, *limit;
    const char *file, *model, *priority, *delay, *max_attempts, *dedup_key, *idempotency_key;
    const char *role, *kind, *name, *expires, *max_workers, *tiers, *services;
    bool watch, yes, json, wait, follow, dry_run, with_workers, forget;
    char *settings[2 * OPTIONS_SETTINGS_MAX + 1]; /* flags that say where Redis is, for config_read, up to a NULL */
};

/* Reads the arguments of a command. Returns CLI_DONE, or CLI_USAGE after printing what is wrong. */
int options_read(const char *command_name, char **args, struct options *options);

/* Prints why a command fails, always in one line on stderr, and returns `code`. */
int cli_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
