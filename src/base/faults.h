/*
 * Gathers all that is wrong with one request, so that the client learns everything at once. A second list ("ignored") holds
 * what was left out of a request that is served without it.
 */
#ifndef BASE_FAULTS_H
#define BASE_FAULTS_H

#include "base/buffer.h"

#include <stddef.h>

#define FAULTS_MAX 256 /* faults kept of one request; one more entry then says how many others there were */

struct fault {
    char field[96];    /* where: "capabilities.cpu_cores"; "..." in the entry that stands for the rest */
    char message[192]; /* what must be true there: "must be a number"; "and 7 more" */
};

struct faults {
    size_t count;        /* entries, at most FAULTS_MAX + 1 */
    size_t more;         /* faults that have no entry of their own */
    struct fault *items; /* owned; NULL until one is added */
};

#define FAULTS_INIT ((struct faults){0, 0, NULL})

/* Frees what the list holds and makes it empty. */
void faults_fini(struct faults *faults);

/* Adds a fault; `format` makes its message. Text that does not fit is cut. Running out of memory aborts. */
void faults_add(struct faults *faults, const char *field, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Appends the list as a member of a JSON object: "errors":[{"field":"ram","message":"must be a string"}]. */
void faults_write(struct buffer *out, const char *member, const struct faults *faults);

#endif
