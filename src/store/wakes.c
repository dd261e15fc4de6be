/*
 * Wakes parked polls: each thread listens to a channel of Redis of its own.
 */
#include "redis/subscriber.h"
#include "store/internal.h"
#include "store/leases.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

struct wakes {
    char thread[20]; /* a random name, unique among the threads of all coordinators */
    struct subscriber *subscriber;
    store_wake_callback *callback;
    void *data;
    store_end_callback *end_callback;
    void *end_data;
};

static void on_message(void *data, struct str message)
{
    struct wakes *wakes = data;
    struct str poll = str_cut(&message, ' ');
    bool is_end = poll.ptr != NULL && str_eq(poll, STR("="));
    if (!is_end)
        wakes->callback(wakes->data, poll, message);
    if (is_end || poll.ptr == NULL)
        wakes->end_callback(wakes->end_data, message);
}

void store_take_wakes(struct store *store, store_wake_callback *callback, void *data)
{
    struct wakes *wakes = store_alloc(sizeof(*wakes));
    uint64_t random;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        abort();
    snprintf(wakes->thread, sizeof(wakes->thread), "%016llx", (unsigned long long)random);
    wakes->callback = callback;
    wakes->data = data;
    char channel[KEY_MAX];
    wakes->subscriber = subscriber_new(store->link, key_wake(channel, str_from(wakes->thread)), on_message, wakes);
    store->wakes = wakes;
}

void store_take_ends(struct store *store, store_end_callback *callback, void *data)
{
    store->wakes->end_callback = callback;
    store->wakes->end_data = data;
}

const char *store_thread_name(const struct store *store)
{
    return store->wakes->thread;
}

bool store_hears_wakes(struct store *store)
{
    return subscriber_listen(store->wakes->subscriber);
}

int32_t store_wakes_tick(struct store *store)
{
    return subscriber_tick(store->wakes->subscriber);
}
