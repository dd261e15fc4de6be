/*
 * The inside of struct upstream, which each loop has to pass requests on. For the files of upstream/ only.
 */
#ifndef UPSTREAM_INTERNAL_H
#define UPSTREAM_INTERNAL_H

#include "base/heap.h"
#include "upstream/lookup.h"
#include "upstream/pool.h"
#include "upstream/upstream.h"

#define UPSTREAM_READ_SIZE 65536 /* bytes of one read: several TLS records */
#define UPSTREAM_BUFFERS_SPARE 4 /* kept for the next reads */

/*
 * Waits for a moment, or for the next turn of the loop, and then calls `call`. If the moment was put off meanwhile, the wait
 * goes on.
 */
struct waiter {
    struct heap_entry entry; /* the moment in the heap: not later than `due` */
    int64_t due;             /* clock_ms; INT64_MAX: never */
    h2o_linklist_t soon;
    void (*call)(struct waiter *waiter, bool late); /* late: the moment has come; else it is the next turn */
};

union spare_buffer {
    union spare_buffer *next;
    char bytes[UPSTREAM_READ_SIZE];
};

struct upstream {
    const struct upstream_rules *rules;
    struct pool pool;
    struct lookups *lookups;
    struct heap moments;
    int64_t wakes_at; /* clock_ms: the latest time of the next upstream_tick */
    h2o_linklist_t soon;
    void (*wake)(void *data); /* asks for upstream_tick: in this turn, or at once in the next one */
    void *wake_data;
    union spare_buffer *spare;
    size_t spare_count;
};

/* Calls the waiter in `ms`; a moment that was set before no longer counts. upstream_wait_no_more cancels the moment. */
void upstream_wait(struct upstream *upstream, struct waiter *waiter, int ms);
void upstream_wait_no_more(struct waiter *waiter);

/* Calls the waiter in the next turn of the loop. */
void upstream_call_soon(struct upstream *upstream, struct waiter *waiter);

/* Removes the waiter before it is freed. */
void upstream_forget(struct upstream *upstream, struct waiter *waiter);

/* Takes a buffer of UPSTREAM_READ_SIZE bytes. upstream_give_buffer gives it back. */
char *upstream_take_buffer(struct upstream *upstream);
void upstream_give_buffer(struct upstream *upstream, char *buffer);

#endif
