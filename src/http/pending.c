#include "http/pending.h"

#include "base/clock.h"
#include "http/client_watch.h"
#include "http/reply.h"
#include "http/thread.h"

#include <stdalign.h>
#include <stdlib.h>

#define LEFT_MS 750 /* for the answer to a client that has closed its side: it may have left, or may still read */

struct pending {
    struct request *request; /* NULL: answered, late, or gone */
    int holders;
    bool parked;
    struct pending_set *set;    /* it is in this set as long as request is set */
    struct heap_entry deadline; /* in set->deadlines */
    struct client_watch watch;
    request_handler *late;
    alignas(max_align_t) char payload[];
};

static struct pending *of_deadline(struct heap_entry *entry)
{
    return H2O_STRUCT_FROM_MEMBER(struct pending, deadline, entry);
}

static void set_deadline(struct pending *pending, int64_t at)
{
    heap_remove(&pending->set->deadlines, &pending->deadline);
    pending->deadline.at = at;
    heap_insert(&pending->set->deadlines, &pending->deadline);
}

/* Answers a request whose time is over. */
static void end_late(struct pending *pending, enum err err)
{
    request_handler *late = pending->late;
    struct request *request = pending_take(pending);
    if (late != NULL)
        late(request);
    else
        reply_error(request, err, NULL, NULL);
}

/* Ends the wait if the client has left. One that has only closed its side may still read, so its request gets LEFT_MS more. */
static void on_left(struct client_watch *watch, bool reset)
{
    struct pending *pending = H2O_STRUCT_FROM_MEMBER(struct pending, watch, watch);
    if (reset || pending->parked)
        end_late(pending, pending->parked ? ERR_STOPPING : ERR_DEADLINE);
    else if (pending->deadline.at > clock_ms() + LEFT_MS)
        set_deadline(pending, clock_ms() + LEFT_MS);
}

static void hold_end(struct pending *pending)
{
    if (--pending->holders == 0)
        free(pending);
}

static void on_dispose(void *cell)
{
    struct pending *pending = *(struct pending **)cell;
    (void)pending_take(pending);
    hold_end(pending);
}

static struct pending *wait_in(struct request *request, struct pending_set *set, int32_t patience_ms, request_handler *late,
                               size_t payload_size)
{
    struct pending *pending = calloc(1, sizeof(*pending) + payload_size);
    if (pending == NULL)
        abort();
    pending->request = request;
    pending->holders = 2;
    pending->set = set;
    pending->late = late;
    set_deadline(pending, clock_ms() + patience_ms);
    struct pending **cell = h2o_mem_alloc_shared(&request->h2o->pool, sizeof(*cell), on_dispose);
    *cell = pending;
    client_watch_begin(&pending->watch, request->thread, request->h2o, on_left);
    return pending;
}

struct pending *pending_new(struct request *request, request_handler *late, size_t payload_size)
{
    const struct server_config *config = &request->thread->server->config;
    bool quick = request->route != NULL && request->route->patience == QUICK;
    int32_t patience_ms = quick ? config->quick_timeout_ms : config->request_timeout_ms;
    return wait_in(request, &request->thread->waiting, patience_ms, late, payload_size);
}

void pending_defer(struct request *request, request_handler *handler)
{
    hold_end(wait_in(request, &request->thread->next_turn, 0, handler, 0));
}

void pending_delay(struct request *request, int32_t ms, request_handler *handler)
{
    hold_end(wait_in(request, &request->thread->waiting, ms, handler, 0));
}

void pending_park(struct pending *pending, int32_t patience_ms)
{
    pending->parked = true;
    if (pending->request == NULL)
        return;
    set_deadline(pending, clock_ms() + (server_thread_stopping(pending->request->thread) ? 0 : patience_ms));
}

void pending_allow(struct pending *pending, int32_t patience_ms)
{
    if (pending->request != NULL && !server_thread_stopping(pending->request->thread))
        set_deadline(pending, clock_ms() + patience_ms);
}

void *pending_payload(struct pending *pending)
{
    return pending->payload;
}

struct request *pending_take(struct pending *pending)
{
    struct request *request = pending->request;
    if (request == NULL)
        return NULL;
    heap_remove(&pending->set->deadlines, &pending->deadline);
    pending->request = NULL;
    client_watch_end(&pending->watch);
    return request;
}

bool pending_is_waited_for(const struct pending *pending)
{
    return pending->request != NULL;
}

void pending_release(struct pending *pending, enum err err)
{
    struct request *request = pending_take(pending);
    if (request != NULL)
        reply_error(request, err, NULL, NULL);
    hold_end(pending);
}

int32_t pending_tick(struct pending_set *set)
{
    int64_t now = set->deadlines.count > 0 ? clock_ms() : 0;
    /* only those that wait now: requests that begin to wait meanwhile belong to the next turn */
    for (size_t left = set->deadlines.count; left > 0 && heap_wait(&set->deadlines, now, 1) == 0; left--) {
        struct pending *pending = of_deadline(heap_first(&set->deadlines));
        end_late(pending, pending->parked && server_thread_stopping(pending->request->thread) ? ERR_STOPPING : ERR_DEADLINE);
    }
    return heap_wait(&set->deadlines, now, 1000);
}

void pending_hurry(struct pending_set *set, int32_t most_ms)
{
    int64_t now = clock_ms();
    struct heap waiting = set->deadlines;
    set->deadlines = (struct heap){NULL, 0, 0};
    for (size_t i = 0; i < waiting.count; i++) {
        struct pending *pending = of_deadline(waiting.entries[i]);
        int64_t most = now + (pending->parked ? 0 : most_ms);
        pending->deadline.place = 0;
        set_deadline(pending, pending->deadline.at < most ? pending->deadline.at : most);
    }
    waiting.count = 0;
    heap_fini(&waiting);
}
