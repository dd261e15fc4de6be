#include "api/reading.h"

#include "api/api.h"
#include "base/clock.h"
#include "http/reply.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define LAG_HEADER "X-Replica-Lag"
#define WRITERS                                                                                                                    \
    4096 /* two clients that share a place see each other's writes as their own: they read from the primary a bit more often */

/* What request->choice is for a read. */
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
    struct str address = request_client_address(request, api->config->trust_proxy, room);
    uint32_t digest = 2166136261; /* FNV-1a */
    for (size_t i = 0; i < address.len; i++)
        digest = (digest ^ (unsigned char)address.ptr[i]) * 16777619;
    return &api->writers->written_at[digest % WRITERS];
}

struct request *reading_take_write(struct pending *pending)
{
    struct request *request = pending_take(pending);
    if (request != NULL && ((const struct api *)request_app(request))->replica_store != NULL)
        atomic_store(place_of(request), clock_ms());
    return request;
}

struct store *reading_store(struct request *request)
{
    const struct api *api = request_app(request);
    if (api->replica_store == NULL || request->choice == READ_FROM_PRIMARY)
        return api->store;
    int64_t now = clock_ms(), complete_until = store_complete_until(api->replica_store);
    if (complete_until == 0 || now - complete_until > api->config->max_replica_lag_ms ||
        complete_until <= atomic_load(place_of(request)))
        return api->store;
    char lag[24];
    snprintf(lag, sizeof(lag), "%.1f", (double)(now - complete_until) / 1000);
    request_replace_header(request, LAG_HEADER, lag);
    request->choice = READ_FROM_REPLICA;
    return api->replica_store;
}

void reading_fail(struct request *request, enum err err, const char *detail)
{
    if (request->choice != READ_FROM_REPLICA || err == ERR_NOT_FOUND || err == ERR_CROWDED || err == ERR_NO_WORKER) {
        reply_error(request, err, detail, NULL);
        return;
    }
    request->choice = READ_FROM_PRIMARY;
    request_replace_header(request, LAG_HEADER, "");
    request->route->handler(request);
}
