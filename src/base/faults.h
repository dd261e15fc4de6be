/*
 * All that is wrong with one request, gathered so that the client hears of everything at once.
 */
#ifndef BASE_FAULTS_H
#define BASE_FAULTS_H

#include <stddef.h>

#define FAULTS_MAX 16

struct fault {
    char field[96];    /* where: "capabilities.cpu_cores" */
    char message[192]; /* what must be true there: "must be a number" */
};

struct faults {
    size_t count; /* faults kept in items; those past FAULTS_MAX are dropped */
    struct fault items[FAULTS_MAX];
};

/* Adds a fault; `format` makes its message. Text that does not fit is cut. */
void faults_add(struct faults *faults, const char *field, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
