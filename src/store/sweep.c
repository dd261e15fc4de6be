/*
 * Makes silent workers offline, and removes them later. Any instance may sweep at any time. One call of one instance moves a
 * worker, and that instance logs it.
 */
#include "base/clock.h"
#include "base/log_repeat.h"
#include "store/internal.h"
#include "store/leases.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define LONGEST_MS 400 /* how long a reading waits for sweeps; they take longer only if most of the fleet falls silent at once */
#define MOVED_MAX "50" /* workers moved on by one call, each way: some 3 ms */
#define LINES_MAX 50   /* log lines about single workers in a window; the others are only counted */
#define LINES_WINDOW_MS 10000

static atomic_bool has_queued; /* whether tasks were queued at the last sweep of any thread */

static void log_moved(struct store *store, struct str kind, struct str worker_id, struct str silent_ms)
{
    int64_t now = clock_ms();
    bool is_removed = str_eq(kind, STR("removed"));
    const char *event = is_removed ? "worker_removed" : "worker_offline";
    if (now - store->lines_since >= LINES_WINDOW_MS) {
        store->lines_since = now;
        store->lines = 0;
    }
    if (store->lines++ >= LINES_MAX) {
        log_repeatable(LOG_INFO, event,
                       is_removed ? "many workers are removed at once; the others are only counted"
                                  : "many workers are offline at once; the others are only counted",
                       0);
        return;
    }
    struct buffer message = BUFFER_INIT;
    long long silent_seconds = silent_ms.len > 0 ? strtoll(silent_ms.ptr, NULL, 10) / 1000 : -1;
    buffer_printf(&message, "worker %.*s is %.*s: silent for ", STR_PRINTF(worker_id), STR_PRINTF(kind));
    if (silent_seconds >= 0)
        buffer_printf(&message, "%lld s", silent_seconds);
    else
        buffer_append(&message, STR("too long"));
    buffer_append(&message, (struct str){"", 1});
    log_event(LOG_INFO, event, message.ptr, log_str("worker_id", worker_id), log_number("silent_seconds", (double)silent_seconds));
    buffer_fini(&message);
}

/* Reads the reply to a sweep: whether there is more to do, and which workers it has moved on. */
static void sweep_take(struct store *store, enum err err, const struct redisReply *reply)
{
    struct str words = reply_text(reply_element(reply, 0));
    store->more_to_sweep = err == ERR_NONE && words.len > 0 && words.ptr[0] == '1';
    if (err == ERR_NONE)
        atomic_store_explicit(&has_queued, words.len == 2, memory_order_relaxed);
    for (size_t i = 1; err == ERR_NONE && log_enabled(LOG_INFO) && reply_element(reply, i + 2) != NULL; i += 3)
        log_moved(store, reply_text(reply_element(reply, i)), reply_text(reply_element(reply, i + 1)),
                  reply_text(reply_element(reply, i + 2)));
}

static void on_swept(void *data, enum err err, const struct redisReply *reply)
{
    sweep_take(data, err, reply);
}

static enum err sweep_send(struct store *store, link_callback *callback)
{
    struct str args[SWEEP_ARGS] = {
        [SWEEP_timeout] = buffer_str(&store->timeout),
        [SWEEP_removal] = buffer_str(&store->removal),
        [SWEEP_revive] = buffer_str(&store->revive),
        [SWEEP_max] = STR(MOVED_MAX),
    };
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_sweep, args, 0);
    return link_run(store->link, SCRIPT_sweep, &command, callback, store);
}

/*
 * A sweep that fails is no error here: a Redis that refuses it (its memory or disk is full, its user has no permission) may still
 * answer the reading that follows.
 */
void store_sweep_first(struct store *store)
{
    store->more_to_sweep = false;
    if (store->config->sweeps && store->is_barred && store_serve(store) == ERR_NONE)
        return;
    if (store->config->sweeps && store->replica == NULL && sweep_send(store, on_swept) != ERR_NONE)
        return;
}

/* A script that reads what a sweep changes: a sweep is sent before it. */
struct reading {
    struct store *store;
    enum script script;
    struct buffer command;
    link_callback *callback;
    void *data;
    int64_t since; /* clock_ms */
};

static enum err reading_ask(struct reading *reading);

static void reading_free(struct reading *reading)
{
    buffer_fini(&reading->command);
    free(reading);
}

/* The reply to the sweep has come just before this one, so more_to_sweep is up to date. */
static void on_read(void *data, enum err err, const struct redisReply *reply)
{
    struct reading *reading = data;
    bool again = err == ERR_NONE && reading->store->more_to_sweep && clock_ms() - reading->since < LONGEST_MS;
    if (again && reading_ask(reading) == ERR_NONE)
        return;
    reading->callback(reading->data, err, reply);
    reading_free(reading);
}

static enum err reading_ask(struct reading *reading)
{
    struct buffer command = BUFFER_INIT;
    buffer_append(&command, buffer_str(&reading->command));
    store_sweep_first(reading->store);
    return link_run(reading->store->link, reading->script, &command, on_read, reading);
}

enum err store_run_swept(struct store *store, enum script script, struct buffer *command, link_callback *callback, void *data)
{
    struct reading *reading = store_alloc(sizeof(*reading));
    *reading = (struct reading){store, script, *command, callback, data, clock_ms()};
    *command = BUFFER_INIT;
    enum err err = reading_ask(reading);
    if (err != ERR_NONE)
        reading_free(reading);
    return err;
}

/* Sweeps again while there is more to do. */
static void on_swept_all(void *data, enum err err, const struct redisReply *reply)
{
    struct store *store = data;
    sweep_take(store, err, reply);
    store->sweeping = store->more_to_sweep && sweep_send(store, on_swept_all) == ERR_NONE;
}

bool store_has_queued(void)
{
    return atomic_load_explicit(&has_queued, memory_order_relaxed);
}

void store_sweep(struct store *store)
{
    if (!store_is_up(store) || (store->is_barred && store_serve(store) == ERR_NONE))
        return;
    if (store->config->sweeps && !store->sweeping)
        store->sweeping = sweep_send(store, on_swept_all) == ERR_NONE;
}
