/*
 * Tasks in Redis, as clients submit them and look at them. As in store.h, no operation blocks, and a callback runs exactly
 * once, unless the operation itself returns an error. Texts that a callback gets are valid during the call alone.
 */
#ifndef STORE_TASKS_H
#define STORE_TASKS_H

#include "base/err.h"
#include "model/submission.h"
#include "model/task.h"

struct store;

#define TASK_ID_MAX 32 /* bytes of an id that the coordinator makes */

enum task_outcome {
    TASK_DONE,      /* made; cancelled; queued again; taken; completed; failed */
    TASK_SAME,      /* a live task has the dedup key: the change has its id */
    TASK_AGAIN,     /* an earlier request had this Idempotency-Key: the change has the id that it was answered with */
    TASK_OTHER,     /* an earlier request with this Idempotency-Key had another body */
    TASK_FULL,      /* there are too many queues, or too many kinds of demands */
    TASK_TELLING,   /* the coordinator tells its worker to cancel it */
    TASK_DELETED,   /* it had ended, and is now removed */
    TASK_ENDED,     /* of a cancel: it has ended already; of a retry: it is not dead; of a purge: it has moved on; see `state` */
    TASK_BLOCKED,   /* another live task has its dedup key; of a submission: one that others submitted */
    TASK_UNKNOWN,   /* there is no such task */
    TASK_LOST,      /* the worker no longer has the lease */
    TASK_NOT_YOURS, /* the worker never had the lease */
    TASK_OTHERS     /* the join token does not speak for the worker */
};

/* What has become of a task. */
struct task_change {
    enum task_outcome outcome;
    struct str task_id; /* the id of the task that exists now, if there is one */
    struct str state;   /* if the outcome depends on it */
    int64_t time;       /* ms since 1970: when a new task was made; when a failed task is tried again (0: never) */
};
typedef void store_task_change_callback(void *data, enum err err, const struct task_change *change);

/*
 * Makes a task. `key` is the digest of its Idempotency-Key, and `body` that of the request's body; absent without the header.
 * `more`: other tasks follow at once. With TASK_DONE, SAME and AGAIN the change has the id.
 */
MUST_CHECK enum err store_submit(struct store *store, const struct submission *submission, struct str key, struct str body,
                                 bool more, store_task_change_callback *callback, void *data);

/* The task is NULL on errors. ERR_TASK_NOT_FOUND: there is no such task. */
typedef void store_task_callback(void *data, enum err err, const struct task *task);

MUST_CHECK enum err store_get_task(struct store *store, struct str task_id, store_task_callback *callback, void *data);

/* The filters of a listing; an absent one lets everything pass. */
struct task_filter {
    struct str queue, state, type, worker_id;
    struct str error; /* a part of it */
};

/* Receives one task of a listing, which is valid during the call alone. */
typedef void store_task_row_callback(void *data, const struct task *task);

/* `next` is the cursor with which the listing goes on; absent at the end. */
typedef void store_tasks_done_callback(void *data, enum err err, struct str next);

#define STORE_TASKS_MAX 500

/*
 * Lists at most `max` tasks. Leased tasks come first, by worker, then the others of each queue. Among tasks that have ended,
 * the newest come first. It looks at some thousand tasks at most, so a page with fewer than `max` tasks need not be the last
 * one. A malformed cursor is ERR_BAD_REQUEST.
 */
MUST_CHECK enum err store_list_tasks(struct store *store, const struct task_filter *filter, struct str cursor, size_t max,
                                     store_task_row_callback *row, store_tasks_done_callback *done, void *data);

/* Cancels a task. Outcomes: DONE, TELLING, ENDED, UNKNOWN. */
MUST_CHECK enum err store_cancel_task(struct store *store, struct str task_id, store_task_change_callback *callback, void *data);

/*
 * Cancels a task that is in `state`, or deletes it if that is the state of an end. Outcomes: DONE, TELLING, DELETED, ENDED (it is
 * in another state by now, and stays as it is), UNKNOWN. Other tasks follow at once.
 */
MUST_CHECK enum err store_purge_task(struct store *store, struct str task_id, struct str state,
                                     store_task_change_callback *callback, void *data);

/* Queues a dead task once more. Outcomes: DONE, ENDED (it is not dead), BLOCKED, UNKNOWN. */
MUST_CHECK enum err store_retry_task(struct store *store, struct str task_id, bool more, store_task_change_callback *callback,
                                     void *data);

/* Explains why a task is in its state: names and values, see lua/task_explain.lua. */
struct explanation;

/* Returns a value; absent if there is none of that name. */
struct str explanation_text(const struct explanation *explanation, const char *name);

/* Returns a value that is a number; `otherwise` if there is none of that name. */
int64_t explanation_number(const struct explanation *explanation, const char *name, int64_t otherwise);

typedef void store_explanation_callback(void *data, enum err err, const struct explanation *explanation);

MUST_CHECK enum err store_explain_task(struct store *store, struct str task_id, store_explanation_callback *callback, void *data);

/* A queue. */
struct queue {
    struct str name;
    bool paused;
    int64_t limit;                                                          /* the most leases at once; -1: no limit */
    int64_t queued, scheduled, leased, completed, dead, cancelled, expired; /* tasks in each state */
    int64_t oldest_ms; /* for how long the oldest queued task has waited; -1: none is queued */
    struct {
        int64_t enqueued, completed, failed, dead, cancelled, expired, lost, retried;
    } totals; /* since the queue was made */
};
typedef void store_queue_callback(void *data, const struct queue *queue);
typedef void store_done_callback(void *data, enum err err);

/* Reads all queues in the order of their names, or, if `only` is present, that queue alone: no row if it does not exist. */
MUST_CHECK enum err store_queues(struct store *store, struct str only, store_queue_callback *row, store_done_callback *done,
                                 void *data);

/* Pauses a queue or resumes it, and makes it if it does not exist. ERR_QUEUES_FULL: there are too many queues. */
MUST_CHECK enum err store_pause_queue(struct store *store, struct str queue, bool pause, store_done_callback *done, void *data);

/* Limits how many tasks of a queue are leased at once; -1: removes the limit. Makes the queue, and fails, as above. */
MUST_CHECK enum err store_limit_queue(struct store *store, struct str queue, int64_t limit, store_done_callback *done, void *data);

#endif
