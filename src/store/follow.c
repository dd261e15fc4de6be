#include "store/follow.h"

#include "base/clock.h"
#include "store/internal.h"

#include <stdlib.h>

#define LOOK_MS 200 /* between two readings of new events */

struct follower {
    struct store *store;
    struct follow_callbacks callbacks;
    void *data;
    bool follows;
    unsigned starts;        /* how often it was started; replies to looks of an earlier start are dropped */
    bool newest_known;      /* Redis has said which event is the newest */
    struct event_id newest; /* the last event that was passed on, or the newest one at the start */
    bool has_lost;          /* events are lost; the callback waits until the newest one is known */
    bool asking;            /* a look is on its way */
    size_t read;            /* events in the reply so far */
    int64_t ask_at;         /* clock_ms */
};

/* A query on its way to Redis. */
struct look {
    struct follower *follower;
    unsigned start;
};

struct follower *follower_new(struct store *store, const struct follow_callbacks *callbacks, void *data)
{
    struct follower *follower = store_alloc(sizeof(*follower));
    *follower = (struct follower){.store = store, .callbacks = *callbacks, .data = data};
    return follower;
}

/* Whether the reply to a look still matters. Ends the look. */
static bool look_end(struct look *look)
{
    struct follower *follower = look->follower;
    bool matters = follower->follows && look->start == follower->starts;
    if (matters)
        follower->asking = false;
    return matters;
}

static void on_event(void *data, const struct event *event)
{
    const struct look *look = data;
    struct follower *follower = look->follower;
    if (!follower->follows || look->start != follower->starts)
        return;
    bool is_newer = event_id_is_after(event->id, follower->newest);
    if (follower->read++ == 0 && is_newer && event_id_is_after(follower->newest, (struct event_id){0, 0}))
        follower->callbacks.lost(
            follower->data); /* the event `newest`, from which it reads, is gone, and perhaps later ones, too */
    if (!is_newer)
        return;
    follower->newest = event->id;
    follower->callbacks.event(follower->data, event);
}

static void on_events_end(void *data, enum err err)
{
    struct look *look = data;
    struct follower *follower = look->follower;
    if (look_end(look)) {
        if (err == ERR_NONE && follower->read == 0 && event_id_is_after(follower->newest, (struct event_id){0, 0})) {
            /* `newest` is gone, and there is no later event: an older state was restored; its next events may have lower ids */
            follower->newest_known = false;
            follower->has_lost = true;
            follower->ask_at = 0;
        }
        if (err == ERR_NONE && follower->read == FOLLOW_READ_MAX)
            follower->ask_at = 0; /* there may be more */
        follower->callbacks.read(follower->data);
    }
    free(look);
}

static void on_newest(void *data, enum err err, struct event_id id)
{
    struct look *look = data;
    struct follower *follower = look->follower;
    if (look_end(look) && err == ERR_NONE) {
        follower->newest = id;
        follower->newest_known = true;
        if (follower->has_lost) { /* only now: a client that loads again after this has everything up to the newest event */
            follower->has_lost = false;
            follower->callbacks.lost(follower->data);
            follower->callbacks.read(follower->data);
        }
    }
    free(look);
}

static void follower_ask(struct follower *follower)
{
    struct look *look = store_alloc(sizeof(*look));
    *look = (struct look){follower, follower->starts};
    follower->read = 0;
    follower->ask_at = clock_ms() + LOOK_MS;
    follower->asking = true;
    enum err err = follower->newest_known
                       ? store_events(follower->store, follower->newest, FOLLOW_READ_MAX, on_event, on_events_end, look)
                       : store_newest_event(follower->store, on_newest, look);
    if (err != ERR_NONE) {
        follower->asking = false;
        free(look);
    }
}

void follower_start(struct follower *follower)
{
    follower->follows = true;
    follower->starts++;
    follower->newest_known = follower->has_lost = false;
    follower_ask(follower);
}

void follower_stop(struct follower *follower)
{
    follower->follows = false;
}

bool follower_newest(const struct follower *follower, struct event_id *out)
{
    if (!follower->follows || !follower->newest_known)
        return false;
    *out = follower->newest;
    return true;
}

int32_t follower_tick(struct follower *follower)
{
    int64_t now = clock_ms();
    if (!follower->follows)
        return 1000;
    if (now >= follower->ask_at && !follower->asking)
        follower_ask(follower);
    return follower->asking || follower->ask_at - now > 1000 ? 1000
                                                             : (int32_t)(follower->ask_at > now ? follower->ask_at - now : 0);
}
