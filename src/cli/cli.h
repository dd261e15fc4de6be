/*
 * Commands that do one thing and end: import and export.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/config.h"
#include "redis/address.h"

#include <stdint.h>

#define CLI_WHY_MAX 256 /* room for the one line that says why a command failed */

struct cli {
    const struct config *config;   /* checked; keys_init and scripts_init have been called */
    const struct address *address; /* of REDIS_URL, if that is set */
    const char *file;              /* NULL: none was given */
    bool json;                     /* what it did is said as JSON */
};

/*
 * Takes FILE, which may stand anywhere, and --json out of a command's arguments: what stays in `args` are settings, each of which has a
 * value. ERR_BAD_REQUEST: there is more than one FILE.
 */
MUST_CHECK enum err cli_take_arguments(struct cli *cli, char **args, char why[CLI_WHY_MAX]);

/* Takes over the workers of a registry file. On an error `why` is one line; what is wrong with the file stands on stderr before it. */
MUST_CHECK enum err cli_import(const struct cli *cli, char why[CLI_WHY_MAX]);

/* Writes all workers, and the registrations kept of removed ones, as a registry file. */
MUST_CHECK enum err cli_export(const struct cli *cli, char why[CLI_WHY_MAX]);

/* A line on a terminal that tells how far it is. */
struct progress {
    const char *doing; /* "taking over workers" */
    size_t total;
    int64_t next; /* when it is shown again, by clock_ms; 0: at once */
};

/* Shows it now and then, if stderr is a terminal; progress_end wipes it away. */
void progress_show(struct progress *progress, size_t done);
void progress_end(struct progress *progress);

#endif
