/*
 * Polls of workers for tasks. A parked poll sends Redis nothing: it is one of the waiters in Redis, and a script wakes it when
 * there is a task or news for it.
 *
 *                 +------ woken, or looked after ------+
 *                 v                                    |
 *     asked --> ASKING --- nothing, and it may wait --> PARKED
 *                 |                                    |
 *                 v                                    v
 *              answered                  its time is over, or its client has left: answered with nothing
 *
 * If the client is gone before Redis answers, the poll gives back the tasks that it got.
 */
#ifndef API_POLLS_H
#define API_POLLS_H

#include "http/pending.h"
#include "store/leases.h"

struct polls;

/* Makes the polls of one thread. They last as long as the program. */
struct polls *polls_new(struct store *store);

#define POLL_WAIT_MAX_S 60

/*
 * Answers a request with the tasks for a worker: at once if there are any, else when there are some, or after `wait_s` seconds.
 * `ask` has the members that a client sets. `lead`: members of a JSON object that the answer has before the tasks, whatever becomes
 * of the ask; absent for an ask that comes on its own.
 */
void polls_ask(struct polls *polls, struct request *request, const struct ask *ask, int wait_s, struct str lead);

/* To be called at the end of each turn. Returns the ms until the next call, at most 1000. */
int32_t polls_tick(struct polls *polls);

#endif
