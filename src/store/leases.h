/*
 * Tasks in Redis, for those who work on them. As in store.h, no operation blocks, and a callback runs exactly once, unless the
 * operation itself returns an error. Texts that a callback gets are valid during the call alone.
 */
#ifndef STORE_LEASES_H
#define STORE_LEASES_H

#include "store/tasks.h"

#define ASK_MAX 100 /* tasks given to one ask */

/* A worker asks for tasks. */
struct ask {
    struct str worker_id;
    struct str join;   /* the join token that speaks for the worker, and must have registered it; absent: none */
    int max;           /* tasks, 1 to ASK_MAX */
    struct str queues; /* names with commas between; absent: all */
    struct str id;     /* of the ask: asked again, it is given the same tasks; absent: none */
    bool one_by_one;   /* the agent knows one task at a time: it gets again what it holds */
    bool swept;        /* what is due has been moved on just now */
    struct str waiter; /* as whom it is parked when there is nothing, "thread poll"; absent: it is not */
    struct str since;  /* ms since 1970, as `now` of the answer that parked it; absent: from now on */
    int64_t wait_ms;   /* for how long it is parked */
};

enum answer_kind {
    ANSWER_GIVEN,   /* tasks, or news of those that it holds */
    ANSWER_PARKED,  /* its waiter is woken when there is something */
    ANSWER_NONE,    /* there is nothing */
    ANSWER_DUE,     /* something is due: to be asked again behind a sweep */
    ANSWER_CLOSED,  /* the worker takes no work: it drains, or is offline */
    ANSWER_OTHERS,  /* the join token does not speak for the worker */
    ANSWER_UNKNOWN, /* the worker is not registered */
};

struct redisReply;

struct asked {
    enum answer_kind kind;
    struct str now;          /* ms since 1970 */
    struct str lost, cancel; /* ids of tasks with blanks between: that it lost, that it is to cancel */
    size_t count;            /* tasks given */
    const struct redisReply *reply;
};

/* A task that is given. Numbers are decimal text, times ms since 1970. */
struct lease {
    struct str task_id, queue, type;
    struct str payload; /* JSON */
    struct str priority, attempt, max_attempts;
    struct str lease; /* "seq nonce" */
    struct str lease_ms, deadline, started_at;
};

/* Task number `i` of an answer. */
struct lease asked_lease(const struct asked *answer, size_t i);

typedef void store_answer_callback(void *data, enum err err, const struct asked *answer);

MUST_CHECK enum err store_ask(struct store *store, const struct ask *ask, store_answer_callback *callback, void *data);

/*
 * Receives a wake for a poll of this thread. `poll` is the second word of the waiter. The lane ("group queue shape") has a
 * task; it is empty when there is news of tasks that the worker holds. An absent poll says that wakes may have been lost until
 * now.
 */
typedef void store_wake_callback(void *data, struct str poll, struct str lane);

/* To be called once for each thread, before the next three. */
void store_take_wakes(struct store *store, store_wake_callback *callback, void *data);

/* Receives the id of a task that has ended. An absent one says that such messages may have been lost until now. */
typedef void store_end_callback(void *data, struct str task_id);

/* To be called once for each thread, after store_take_wakes. */
void store_take_ends(struct store *store, store_end_callback *callback, void *data);

/* Asks to be told when the task ends, unless it has. There is no callback. */
void store_watch_task(struct store *store, struct str task_id);

/* The name of this thread, which is the first word of its waiters. */
const char *store_thread_name(const struct store *store);

/* Begins to listen for wakes if it does not yet. Returns whether it hears them now. Scripts pass over waiters that nobody hears. */
bool store_hears_wakes(struct store *store);

/* To be called at the end of each turn, before the link's tick. Returns the ms until the next call. */
int32_t store_wakes_tick(struct store *store);

/* Whether anything was queued in the fleet when somebody in this process last swept. */
bool store_has_queued(void);

/* Sweeps before the next command. */
void store_sweep_now(struct store *store);

/* Removes a waiter. There is no callback. */
void store_unpark(struct store *store, struct str waiter);

/* Wakes another waiter for a task in that lane ("group queue shape"), since the one that was woken did not take it. */
void store_wake_another(struct store *store, struct str lane);

/* Takes back tasks that the worker has never received. ids and leases alternate. There is no callback. */
void store_give_back(struct store *store, struct str worker_id, const struct str *strings, size_t count);

/* What a worker is told of tasks when it has beaten. */
struct task_news {
    int64_t waiting;         /* queued tasks that it could do, at the least */
    struct str lost, cancel; /* ids with blanks between: that it holds no more, that it is to cancel */
};
typedef void store_task_news_callback(void *data, enum err err, const struct task_news *news);

/*
 * `told`: it says on which tasks it works, those whose ids are in `tasks` with blanks between; what else it holds is taken from
 * it.
 */
MUST_CHECK enum err store_task_news(struct store *store, struct str worker_id, bool told, struct str tasks,
                                    store_task_news_callback *callback, void *data);

/* What a worker says of a task that it holds. `lease` is absent for an agent that has none: then its id alone counts. */
struct holding {
    struct str worker_id, task_id;
    struct str lease; /* "seq nonce" */
    struct str join;  /* as in struct ask */
};

/*
 * Ends a task with its result, JSON: DONE (also when it was done by this lease before), LOST, NOT_YOURS, UNKNOWN. `more`:
 * others follow.
 */
MUST_CHECK enum err store_complete_task(struct store *store, const struct holding *holding, struct str result, bool more,
                                        store_task_change_callback *callback, void *data);

/*
 * Ends an attempt. retryable: another one may succeed. retry_after_ms: -1 for as the task says. Likewise; the change has
 * `state` and `time`.
 */
MUST_CHECK enum err store_fail_task(struct store *store, const struct holding *holding, struct str error, bool retryable,
                                    int64_t retry_after_ms, bool more, store_task_change_callback *callback, void *data);

/* What a worker hears when it extends a lease, or tells how far it has come. */
struct touched {
    enum task_outcome outcome; /* DONE, LOST, NOT_YOURS, UNKNOWN */
    int64_t deadline;          /* ms since 1970, of the lease without another heartbeat */
    bool cancel;               /* the task is to be cancelled */
};
typedef void store_touched_callback(void *data, enum err err, const struct touched *touched);

/* extend_ms: from now on; -1: as it is. percent: negative when it was not told; message: absent likewise. */
MUST_CHECK enum err store_touch_task(struct store *store, const struct holding *holding, int64_t extend_ms, double percent,
                                     struct str message, store_touched_callback *callback, void *data);

#endif
