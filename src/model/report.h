/*
 * Reads a worker's report about its task (that it is done, that it failed, how far it has come) from JSON to a checked struct.
 */
#ifndef MODEL_REPORT_H
#define MODEL_REPORT_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/faults.h"

#include <stdint.h>

#define TASK_RESULT_MAX ((size_t)256 * 1024) /* bytes of JSON */
#define TASK_ERROR_MAX 4096                  /* bytes that are kept of an error */
#define TASK_MESSAGE_MAX 512                 /* bytes of what a worker says of its progress */
#define LEASE_TEXT_MAX 64

enum report_kind { REPORT_COMPLETE, REPORT_FAIL, REPORT_EXTEND, REPORT_PROGRESS };

/* The worker, the task and the lease that a report names; absent when it does not. */
struct report_names {
    struct str worker_id, task_id;
    struct str lease; /* as the task was given with it: "seq-nonce" */
};

struct report {
    struct report_names names;  /* valid ids; without a lease where the agent knows none */
    char lease[LEASE_TEXT_MAX]; /* the lease as the registry has it, "seq nonce", and a NUL; empty: none */
    struct str result;          /* COMPLETE: JSON, minified */
    struct str error;           /* FAIL: text, perhaps cut */
    bool retryable;             /* FAIL */
    int64_t retry_after_ms;     /* FAIL; -1: as the task says */
    int64_t extend_ms;          /* EXTEND */
    double percent;             /* PROGRESS; negative: not told */
    struct str message;         /* PROGRESS; absent: not told */

    void *document; /* owned, as the next: what texts point into */
    char *text;
};

/*
 * Fills *out from a request body (absent: none) and from the names that the query has; what the query does not name must stand
 * in the body, an object. A body of COMPLETE where the query names both the worker and the task is the result, unless it is an
 * object that names both itself. Errors as submission_parse, TOO_LARGE where the result is. On ERR_NONE the caller releases
 * *out with report_fini; texts may point into `body` and `query`, which must outlive it.
 */
MUST_CHECK enum err report_parse(enum report_kind kind, struct str body, const struct report_names *query, struct report *out,
                                 struct faults *faults, const char **why);

void report_fini(struct report *report);

#endif
