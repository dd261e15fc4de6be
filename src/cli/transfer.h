/*
 * What import, export and check share.
 */
#ifndef CLI_TRANSFER_H
#define CLI_TRANSFER_H

#include "base/config.h"
#include "redis/address.h"

#include <stdint.h>

#define TRANSFER_WHY_MAX 256 /* room for the one line that says why a command failed */

struct transfer {
    const struct config *config;   /* checked; keys_init and scripts_init have been called */
    const struct address *address; /* of REDIS_URL, if that is set */
    const char *file;              /* NULL: none was given */
    bool json;                     /* --json was given: the outcome is printed as JSON */
};

/*
 * Imports the workers of a registry file. On an error `why` is one line; the faults of the file are on stderr before it.
 */
MUST_CHECK enum err transfer_import(const struct transfer *transfer, char why[TRANSFER_WHY_MAX]);

/* Writes all workers, and the kept registrations of removed workers, as a registry file. */
MUST_CHECK enum err transfer_export(const struct transfer *transfer, char why[TRANSFER_WHY_MAX]);

/*
 * Checks whether the data in Redis is consistent, without changing anything. Each fault is a line on standard output.
 * ERR_INVALID: there are faults.
 */
MUST_CHECK enum err transfer_check(const struct transfer *transfer, char why[TRANSFER_WHY_MAX]);

/* A line on a terminal that shows the progress. */
struct progress {
    const char *doing; /* "taking over workers" */
    size_t total;
    int64_t next; /* clock_ms when it is shown next; 0: at once */
};

/* Shows the line, at most ten times a second, if stderr is a terminal; progress_end erases it. */
void progress_show(struct progress *progress, size_t done);
void progress_end(struct progress *progress);

#endif
