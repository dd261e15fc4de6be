/*
 * Reads a worker's report about its task (completion, failure or progress) from JSON to a checked struct.
 */
#ifndef MODEL_REPORT_H
#define MODEL_REPORT_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/faults.h"

#include <stdint.h>

#define TASK_RESULT_MAX ((size_t)256 * 1024) /* bytes of JSON */
#define TASK_ERROR_MAX 4096                  /* bytes that are kept of an error */
#define TASK_MESSAGE_MAX 512                 /* bytes of a worker's message about its progress */
#define LEASE_TEXT_MAX 64

enum report_kind { REPORT_COMPLETE, REPORT_FAIL, REPORT_EXTEND, REPORT_PROGRESS };

/* The worker, the task and the lease that a report names; absent if not named. */
struct report_names {
    struct str worker_id, task_id;
    struct str lease; /* as the worker got it with the task: "seq-nonce" */
};

struct report {
    struct report_names names;  /* valid ids; without a lease if the agent does not know it */
    char lease[LEASE_TEXT_MAX]; /* the lease in the registry's form, "seq nonce", and a NUL; empty: none */
    struct str result;          /* COMPLETE: JSON, minified */
    struct str error;           /* FAIL: text, perhaps cut */
    bool retryable;             /* FAIL */
    int64_t retry_after_ms;     /* FAIL; -1: the task's own retry delay */
    int64_t extend_ms;          /* EXTEND */
    double percent;             /* PROGRESS; negative: not told */
    struct str message;         /* PROGRESS; absent: not told */

    void *document; /* owned, like the next one: texts point into it */
    char *text;
};

/*
 * Fills *out from a request body (absent: none) and from the names in the query. Names that the query does not have must be in
 * the body, which is then an object. For COMPLETE with both the worker and the task in the query, the body is the result,
 * unless it is an object that names both itself. The errors are those of submission_parse, and ERR_TOO_LARGE if the result is
 * too large. On ERR_NONE the caller releases *out with report_fini; texts may point into `body` and `query`, which must outlive
 * it.
 */
MUST_CHECK enum err report_parse(enum report_kind kind, struct str body, const struct report_names *query, struct report *out,
                                 struct faults *faults, const char **why);

void report_fini(struct report *report);

#endif
