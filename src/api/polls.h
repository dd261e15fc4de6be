/*
 * Polls of workers for tasks. A waiting poll costs Redis nothing: Redis has it among the waiters, and a script wakes it when
 * there is something for it.
 *
 *                 +------ woken, or looked after ------+
 *                 v                                    |
 *     asked --> ASKING --- nothing, and it may wait --> PARKED
 *                 |                                    |
 *                 v                                    v
 *              answered                  its time is over, or its client has left: answered with nothing
 *
 * When the client is gone before Redis answers, the poll gives back its tasks.
 */
#ifndef API_POLLS_H
#define API_POLLS_H

#include "http/pending.h"
#include "store/leases.h"

struct polls;

/* The polls of one thread. */
struct polls *polls_new(struct store *store);

#define POLL_WAIT_MAX_S 60

/*
 * Answers a request with the tasks for a worker: at once if there are any, else when there are some, or after `wait_s` seconds.
 * `ask` has the members that a client sets.
 */
void polls_ask(struct polls *polls, struct request *request, const struct ask *ask, int wait_s);

/* How many wait. */
size_t polls_count(const struct polls *polls);

/* To be called at the end of each turn. Returns the ms until the next call, at most 1000. */
int32_t polls_tick(struct polls *polls);

#endif
