/*
 * What import and export share.
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
    bool json;                     /* what it did is said as JSON */
};

/*
 * Takes over the workers of a registry file. On an error `why` is one line; what is wrong with the file stands on stderr before
 * it.
 */
MUST_CHECK enum err transfer_import(const struct transfer *transfer, char why[TRANSFER_WHY_MAX]);

/* Writes all workers, and the registrations kept of removed ones, as a registry file. */
MUST_CHECK enum err transfer_export(const struct transfer *transfer, char why[TRANSFER_WHY_MAX]);

/*
 * Looks whether what is in Redis agrees, and changes nothing; faults come to standard output, a line for each. ERR_INVALID:
 * there are some.
 */
MUST_CHECK enum err transfer_check(const struct transfer *transfer, char why[TRANSFER_WHY_MAX]);

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
