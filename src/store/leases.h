/*
 * Tasks in Redis, as workers use them. As in store.h, no operation blocks, and a callback runs exactly once, unless the
 * operation itself returns an error. Texts that a callback gets are valid during the call alone.
 */
#ifndef STORE_LEASES_H
#define STORE_LEASES_H

#include "store/tasks.h"

#define ASK_MAX 100 /* tasks given to one ask */

/* A worker asks for tasks. */
struct ask {
    struct str worker_id;
    struct str join;   /* the join token with which the worker must have registered; absent: any */
    int max;           /* tasks, 1 to ASK_MAX */
    struct str queues; /* names with commas between; absent: all */
    struct str id;     /* the id of this ask: a repeated ask gets the same tasks; absent: it has none */
    bool lost;         /* an earlier ask with this id failed, but Redis may have given it tasks. Needed if the id begins with "=" */
    bool one_by_one;   /* the agent knows one task at a time: it gets the task that it holds again */
    bool swept;        /* a sweep has just moved on what is due */
    struct str waiter; /* the name, "thread poll", under which it is parked if there is no task; absent: it is not parked */
    struct str since;  /* ms since 1970, the `now` of the answer that parked it first; absent: it begins to wait now */
    int64_t wait_ms;   /* for how long it is parked */
    struct str lane;   /* the lane of the task for which it was woken; if it gets others, another waiter is woken. Absent: none */
};

enum answer_kind {
    ANSWER_GIVEN,   /* tasks, or news of those that it holds */
    ANSWER_PARKED,  /* it is parked: its waiter is woken when there is something */
    ANSWER_NONE,    /* there is nothing */
    ANSWER_DUE,     /* something is due: ask again after a sweep */
    ANSWER_CLOSED,  /* the worker takes no work: it drains, or is offline */
    ANSWER_OTHERS,  /* the join token does not speak for the worker */
    ANSWER_UNKNOWN, /* the worker is not registered */
};

struct redisReply;

struct asked {
    enum answer_kind kind;
    struct str now;          /* ms since 1970 */
    struct str lost, cancel; /* ids of tasks with blanks between: those that the worker has lost, and those that it must cancel */
    size_t count;            /* tasks given */
    const struct redisReply *reply;
};

/* A task that a worker gets. Numbers are decimal text, times ms since 1970. */
struct lease {
    struct str task_id, queue, type;
    struct str payload; /* JSON */
    struct str priority, attempt, max_attempts;
    struct str lease; /* "seq nonce" */
    struct str lease_ms, deadline, started_at;
};

/* Returns task number `i` of an answer. */
struct lease asked_lease(const struct asked *answer, size_t i);

typedef void store_answer_callback(void *data, enum err err, const struct asked *answer);

MUST_CHECK enum err store_ask(struct store *store, const struct ask *ask, store_answer_callback *callback, void *data);

/*
 * Receives a wake for a poll of this thread. `poll` is the second word of the waiter. `lane` ("group queue shape") is a lane
 * with a task; it is empty if there is news of tasks that the worker holds. An absent poll means that wakes before this call
 * may have been lost.
 */
typedef void store_wake_callback(void *data, struct str poll, struct str lane);

/* Takes the wakes of this thread. Call it once for each thread, before the functions below that are about wakes and ends. */
void store_take_wakes(struct store *store, store_wake_callback *callback, void *data);

/* Receives the id of a task that has ended. An absent id means that such messages before this call may have been lost. */
typedef void store_end_callback(void *data, struct str task_id);

/* Takes the ends of tasks. Call it once for each thread, after store_take_wakes. */
void store_take_ends(struct store *store, store_end_callback *callback, void *data);

/* Asks for a message when the task ends, unless it has ended. There is no callback. */
void store_watch_task(struct store *store, struct str task_id);

/* Returns the name of this thread, which is the first word of its waiters. */
const char *store_thread_name(const struct store *store);

/*
 * Begins to listen for wakes if it does not listen yet. Returns whether it hears them now. Scripts skip waiters whose thread
 * does not listen.
 */
bool store_hears_wakes(struct store *store);

/* Call it at the end of each turn, before the link's tick. Returns the ms until the next call. */
int32_t store_wakes_tick(struct store *store);

/* Whether any task was queued in the fleet at this process's last sweep. */
bool store_has_queued(void);

/* Removes a waiter. There is no callback. */
void store_unpark(struct store *store, struct str waiter);

/* Wakes another waiter for a task in that lane ("group queue shape"), since the woken one did not take it. */
void store_wake_another(struct store *store, struct str lane);

/*
 * Takes back the tasks that an ask was given, if any, since the worker has not received the answer. `answer`: NULL if Redis's
 * answer was lost, too; else a task that the same ask, repeated, has been given since stays with the worker. There is no callback;
 * the call is repeated until Redis has answered it.
 */
void store_give_back(struct store *store, struct str worker_id, struct str ask_id, const struct asked *answer);

/* Repeats such calls. Call it at the end of each turn, before the link's tick. Returns the ms until the next call. */
int32_t store_give_back_tick(struct store *store);

/* What the answer to a worker's heartbeat says about tasks. */
struct task_news {
    int64_t waiting;         /* how many queued tasks the worker could do, at least */
    struct str lost, cancel; /* ids with blanks between: tasks that the worker no longer holds, and tasks that it must cancel */
};
typedef void store_task_news_callback(void *data, enum err err, const struct task_news *news);

/*
 * Reads the news of a worker's tasks. `told`: the worker says on which tasks it works. Their ids are in `tasks`, with blanks
 * between. All other tasks that it has held for more than 10 s are taken from it.
 */
MUST_CHECK enum err store_task_news(struct store *store, struct str worker_id, bool told, struct str tasks,
                                    store_task_news_callback *callback, void *data);

/*
 * The task that a worker reports on. `lease` is absent if the agent does not know it: then the worker's id alone decides whether
 * it holds the task.
 */
struct holding {
    struct str worker_id, task_id;
    struct str lease; /* "seq nonce" */
    struct str join;  /* as in struct ask */
};

/*
 * Ends a task with its result, JSON. Outcomes: DONE (also if this lease had ended it before), LOST, NOT_YOURS, OTHERS, UNKNOWN.
 * `more`: other calls follow at once.
 */
MUST_CHECK enum err store_complete_task(struct store *store, const struct holding *holding, struct str result, bool more,
                                        store_task_change_callback *callback, void *data);

/*
 * Ends an attempt that has failed. retryable: another attempt may succeed. retry_after_ms: ms until the next attempt; -1: the
 * task's own delay. Outcomes as above; with DONE the change has `state` and `time`.
 */
MUST_CHECK enum err store_fail_task(struct store *store, const struct holding *holding, struct str error, bool retryable,
                                    int64_t retry_after_ms, bool more, store_task_change_callback *callback, void *data);

/* The answer to a worker that extends a lease or tells its progress. */
struct touched {
    enum task_outcome outcome; /* DONE, LOST, NOT_YOURS, OTHERS, UNKNOWN */
    int64_t deadline;          /* ms since 1970 when the lease ends without another heartbeat */
    bool cancel;               /* the task is to be cancelled */
};
typedef void store_touched_callback(void *data, enum err err, const struct touched *touched);

/*
 * Extends a lease, and stores the progress of its task. extend_ms: how long the lease lasts from now on; -1: unchanged. percent:
 * negative if the worker does not tell it. message: absent if the worker does not tell it.
 */
MUST_CHECK enum err store_touch_task(struct store *store, const struct holding *holding, int64_t extend_ms, double percent,
                                     struct str message, store_touched_callback *callback, void *data);

#endif
