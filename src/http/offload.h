/*
 * Work that takes long, such as hashing a password, done by another thread, so that no loop waits for it. One pool serves all
 * loops of the program.
 */
#ifndef HTTP_OFFLOAD_H
#define HTTP_OFFLOAD_H

#include "base/err.h"

struct server_thread;
struct offload;

#define OFFLOAD_WAITING_MAX 64 /* pieces of work that wait for a thread of the pool; above it new ones are refused */

/* Makes what one loop needs; to be called in its thread. Lives as long as the program. */
struct offload *offload_new(struct server_thread *thread);

/*
 * Has another thread call work(data), and this loop done(data) afterwards, in a later turn. `work` must touch nothing that this
 * thread touches meanwhile. ERR_OVERLOADED: too much waits already; neither is called.
 */
MUST_CHECK enum err offload_run(struct offload *offload, void (*work)(void *data), void (*done)(void *data), void *data);

#endif
