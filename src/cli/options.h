/*
 * The arguments of an operator's command.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>

#define OPTIONS_SETTINGS_MAX 6

struct options {
    const char *id;      /* of the worker; NULL when the command takes none */
    const char *url;     /* of a coordinator; NULL: straight at Redis */
    const char *tier;    /* "1" to "4"; NULL: all */
    const char *status;  /* NULL: all */
    const char *service; /* NULL: all */
    const char *reason;  /* of a drain; NULL: none is given */
    bool watch, yes, json;
    char *settings[2 * OPTIONS_SETTINGS_MAX + 1]; /* flags that say where Redis is, as config_read takes them, up to a NULL */
};

/* Reads the arguments of a command. Returns CLI_DONE, or CLI_USAGE after having said what is wrong. */
int options_read(const char *command_name, char **args, struct options *options);

/* Says why a command fails, in one line on stderr whatever the values in it, and returns `code`. */
int cli_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
