/*
 * Gives long work, such as hashing a password, to another thread, so that no loop waits for it. One thread serves all loops of the
 * program.
 */
#ifndef HTTP_OFFLOAD_H
#define HTTP_OFFLOAD_H

#include "base/err.h"

struct server_thread;
struct offload;

#define OFFLOAD_WAITING_MAX 64 /* pieces of work that wait for the thread; above this number new ones are refused */
/*
 * How long a request may wait for such work. What takes tens of ms of a core takes seconds where many want that core. Our own
 * clients, the dashboard and the commands, give up after 10 s.
 */
#define OFFLOAD_PATIENCE_MS 8000

/* Makes what one loop needs of it. Call it in the loop's thread. It lives as long as the program. */
struct offload *offload_new(struct server_thread *thread);

/*
 * Lets another thread call work(data). Afterwards this loop calls done(data), in a later turn. `work` must not touch anything
 * that this thread may touch meanwhile. ERR_OVERLOADED: too much work waits already, or the system allows no further thread. Then
 * neither function is called.
 */
MUST_CHECK enum err offload_run(struct offload *offload, void (*work)(void *data), void (*done)(void *data), void *data);

#endif
