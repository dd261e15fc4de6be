/*
 * POST /api/tasks, from its JSON to a checked struct.
 */
#ifndef MODEL_SUBMISSION_H
#define MODEL_SUBMISSION_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/faults.h"

#include <stdint.h>

#define TASK_PAYLOAD_MAX ((size_t)256 * 1024) /* bytes of JSON */
#define TASK_TYPE_MAX 128
#define TASK_DEDUP_MAX 256
#define TASK_KEY_MAX 255      /* of an Idempotency-Key */
#define TASK_PRIORITY_MAX 100 /* the least is its negative */
#define TASK_REQUIREMENTS_MAX 8192
#define TASK_LEASE_DEFAULT_MS 90000
#define TASK_RESULT_TTL_DEFAULT_MS 86400000
#define TASK_ATTEMPTS_DEFAULT 5

/* A new task. A number of -1 means that it was not told. */
struct submission {
    struct str type;         /* printable; 1 to TASK_TYPE_MAX bytes */
    struct str queue;        /* a valid id; "default" if none was told */
    struct str payload;      /* JSON as it came, minified */
    struct str requirements; /* JSON object as it came, minified; absent when there are none */
    struct str dedup_key;    /* absent: none */
    struct str by;           /* who submits it; absent: anybody */
    bool replace;            /* it replaces a waiting task with the same dedup key */
    bool own;                /* a task with the same dedup key must have the same `by`: others' may be neither seen nor replaced */
    int priority;
    int64_t delay_ms;
    int64_t run_at; /* ms since 1970 */
    int64_t ttl_ms;
    int64_t result_ttl_ms;
    int64_t lease_ms;
    int64_t lease_max_ms;
    int64_t retry_ms, retry_max_ms; /* the first and the longest delay between attempts */
    int max_attempts;
    struct buffer group; /* owned, like the next one: its demands on a worker, see lua/KEYS.md */
    struct buffer shape;

    void *document; /* owned: the parsed JSON */
    char *text;     /* owned: the minified members */
};

/*
 * Fills *out from a request body, or from one element of a bulk request that passed json_parse_object. `now`: ms since 1970 by
 * this machine's clock, to check run_at. Returns ERR_BAD_REQUEST with *why set, ERR_TOO_LARGE with *why set if the payload is
 * too large, or ERR_INVALID with all faults in *faults, which must be empty before; *out is then unchanged. On ERR_NONE the
 * caller releases *out with submission_fini.
 */
MUST_CHECK enum err submission_parse(struct str body, int64_t now, struct submission *out, struct faults *faults, const char **why);

/*
 * Makes a task without parsing JSON: of that type, in the queue "default", for that one worker, which must begin it within a
 * day. The texts must outlive it; `payload` is JSON.
 */
struct submission submission_for_worker(struct str type, struct str payload, struct str worker_id);

void submission_fini(struct submission *submission);

#endif
