/*
 * Tasks in Redis, for those who submit them and look at them. As in store.h, no operation blocks, and a callback runs exactly
 * once, unless the operation itself returns an error. Texts that a callback gets are valid during the call alone.
 */
#ifndef STORE_TASKS_H
#define STORE_TASKS_H

#include "base/err.h"
#include "model/submission.h"
#include "model/task.h"

struct store;

#define TASK_ID_MAX 32 /* bytes of an id that is made here */

enum task_outcome {
    TASK_DONE,      /* made; cancelled; queued again; taken; completed; failed */
    TASK_SAME,      /* a live task has the dedup key: it is that one */
    TASK_AGAIN,     /* the Idempotency-Key has made it before */
    TASK_OTHER,     /* the Idempotency-Key has made one of another body */
    TASK_FULL,      /* there are too many queues, or too many kinds of demands */
    TASK_TELLING,   /* its worker is told to cancel it */
    TASK_DELETED,   /* it had ended, and is gone now */
    TASK_ENDED,     /* it has ended already, or is not dead: `state` says what it is */
    TASK_BLOCKED,   /* another live task has its dedup key */
    TASK_UNKNOWN,   /* there is no such task */
    TASK_LOST,      /* the lease is the worker's no more */
    TASK_NOT_YOURS, /* it never was */
    TASK_OTHERS     /* the join token does not speak for the worker */
};

/* What has become of a task. */
struct task_change {
    enum task_outcome outcome;
    struct str task_id; /* of the task that there is now, if there is one */
    struct str state;   /* where the outcome speaks of it */
    int64_t time;       /* ms since 1970: of a new task when it was made; of a failed one when it is tried again, 0: not */
};
typedef void store_task_change_callback(void *data, enum err err, const struct task_change *change);

/*
 * Makes a task. key: digest of its Idempotency-Key, body: of what it came with; absent for none. `more`: others follow at once.
 * With TASK_DONE, SAME and AGAIN the change has the id.
 */
MUST_CHECK enum err store_submit(struct store *store, const struct submission *submission, struct str key, struct str body,
                                 bool more, store_task_change_callback *callback, void *data);

/* NULL with ERR_NOT_FOUND, and other errors. */
typedef void store_task_callback(void *data, enum err err, const struct task *task);

MUST_CHECK enum err store_get_task(struct store *store, struct str task_id, store_task_callback *callback, void *data);

/* What a listing asks for; absent: any. */
struct task_filter {
    struct str queue, state, type, worker_id;
    struct str error; /* a part of it */
};

/* Returns nothing: rows come as they are read. */
typedef void store_task_row_callback(void *data, const struct task *task);

/* next: where the listing goes on, to be given as `cursor`; absent when it is at its end. */
typedef void store_tasks_done_callback(void *data, enum err err, struct str next);

#define STORE_TASKS_MAX 500

/*
 * Lists at most `max` tasks. Leased ones come first, by worker, then the others of each queue. Of tasks that have ended the
 * newest come first. It looks at some thousand tasks at most, so a page may have fewer than `max` and not be the last one. A
 * malformed cursor is ERR_BAD_REQUEST.
 */
MUST_CHECK enum err store_list_tasks(struct store *store, const struct task_filter *filter, struct str cursor, size_t max,
                                     store_task_row_callback *row, store_tasks_done_callback *done, void *data);

/* Cancels a task: DONE, TELLING, ENDED, UNKNOWN. With `purge` one that has ended is DELETED. */
MUST_CHECK enum err store_cancel_task(struct store *store, struct str task_id, bool purge, bool more,
                                      store_task_change_callback *callback, void *data);

/* Queues a dead task once more: DONE, ENDED (it is not dead), BLOCKED, UNKNOWN. */
MUST_CHECK enum err store_retry_task(struct store *store, struct str task_id, bool more, store_task_change_callback *callback,
                                     void *data);

/* Why a task is where it is: names and values, see lua/task_explain.lua. */
struct explanation;

/* A value; absent when there is none. */
struct str explanation_text(const struct explanation *explanation, const char *name);

/* Likewise; `otherwise` when there is none. */
int64_t explanation_number(const struct explanation *explanation, const char *name, int64_t otherwise);

typedef void store_explanation_callback(void *data, enum err err, const struct explanation *explanation);

MUST_CHECK enum err store_explain_task(struct store *store, struct str task_id, store_explanation_callback *callback, void *data);

/* A queue. */
struct queue {
    struct str name;
    bool paused;
    int64_t limit;                                                          /* of leases at once; -1: none */
    int64_t queued, scheduled, leased, completed, dead, cancelled, expired; /* there are */
    int64_t oldest_ms; /* for how long the oldest queued one has waited; -1: none */
    struct {
        int64_t enqueued, completed, failed, dead, cancelled, expired, lost, retried;
    } totals; /* there ever were */
};
typedef void store_queue_callback(void *data, const struct queue *queue);
typedef void store_done_callback(void *data, enum err err);

/* Reads all queues by name, or `only` that one (else absent): no row when it is not there. */
MUST_CHECK enum err store_queues(struct store *store, struct str only, store_queue_callback *row, store_done_callback *done,
                                 void *data);

/* Pauses a queue or resumes it, and makes it if it does not exist. ERR_TOO_MANY: there are too many queues. */
MUST_CHECK enum err store_pause_queue(struct store *store, struct str queue, bool pause, store_done_callback *done, void *data);

/* Limits how many of a queue's tasks are leased at once; -1: no more. */
MUST_CHECK enum err store_limit_queue(struct store *store, struct str queue, int64_t limit, store_done_callback *done, void *data);

#endif
