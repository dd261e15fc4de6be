#include "api/reading.h"

#include "api/api.h"
#include "base/clock.h"
#include "http/client.h"
#include "http/reply.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define LAG_HEADER "X-Replica-Lag"
#define WRITERS                                                                                                                    \
    4096 /* clients that share a place count each other's writes as their own: they read from the primary a bit more often */

/* The values of request->app_state for a read. */
enum { READ_ANYWHERE, READ_FROM_REPLICA, READ_FROM_PRIMARY };

struct writers {
    _Atomic int64_t written_at[WRITERS]; /* clock_ms; 0: never */
};

struct writers *writers_new(void)
{
    struct writers *writers = calloc(1, sizeof(*writers));
    if (writers == NULL)
        abort();
    return writers;
}

static _Atomic int64_t *place_of(const struct request *request)
{
    const struct api *api = request_app(request);
    char room[64];
    return &api->writers->written_at[str_hash(client_address(request, room)) % WRITERS];
}

void reading_note_write(struct request *request)
{
    const struct api *api = request_app(request);
    if (api->replica_store != NULL)
        atomic_store(place_of(request), clock_ms());
}

/*
 * Whether the replica may be read from. *complete_until becomes the time up to which it is complete; 0: that is not known. While
 * the primary is out of reach, the replica may lag by any time: an old answer is better than none.
 */
static bool replica_is_near(const struct api *api, int64_t now, int64_t *complete_until)
{
    if (api->replica_store == NULL)
        return false;
    *complete_until = store_complete_until(api->replica_store);
    if (!store_is_up(api->store))
        return store_is_up(api->replica_store);
    return *complete_until != 0 && now - *complete_until <= api->config->max_replica_lag_ms;
}

struct store *reading_store(struct request *request)
{
    const struct api *api = request_app(request);
    int64_t now = clock_ms(), complete_until;
    if (request->app_state == READ_FROM_PRIMARY || !replica_is_near(api, now, &complete_until) ||
        (store_is_up(api->store) && complete_until <= atomic_load(place_of(request))))
        return api->store;
    reading_tell_lag(request, complete_until, now);
    request->app_state = READ_FROM_REPLICA;
    return api->replica_store;
}

struct store *reading_store_for_all(const struct api *api, int64_t *complete_until)
{
    *complete_until = READING_FROM_PRIMARY;
    return replica_is_near(api, clock_ms(), complete_until) ? api->replica_store : api->store;
}

void reading_tell_lag(struct request *request, int64_t complete_until, int64_t now)
{
    char lag[24] = "unknown";
    if (complete_until != 0)
        snprintf(lag, sizeof(lag), "%.1f", (double)(now - complete_until) / 1000);
    request_replace_header(request, LAG_HEADER, lag);
}

void reading_fail(struct request *request, enum err err)
{
    if (request->app_state != READ_FROM_REPLICA || err == ERR_WORKER_NOT_FOUND || err == ERR_CROWDED || err == ERR_NO_WORKER) {
        reply_error(request, err, NULL, NULL);
        return;
    }
    request->app_state = READ_FROM_PRIMARY;
    request_replace_header(request, LAG_HEADER, "");
    request->route->handler(request);
}
