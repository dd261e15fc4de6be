/*
 * The life of a request that is passed on: its holders, its lease, its exchange, and how it is counted.
 */
#include "api/proxy_internal.h"
#include "base/clock.h"

#include <stdlib.h>

void proxy_let_go(struct proxy *proxy)
{
    if (--proxy->holders > 0)
        return;
    buffer_fini(&proxy->base);
    buffer_fini(&proxy->other_url);
    buffer_fini(&proxy->fingerprint);
    buffer_fini(&proxy->tried);
    buffer_fini(&proxy->head);
    buffer_fini(&proxy->piece);
    buffer_fini(&proxy->detail);
    buffer_fini(&proxy->service);
    free(proxy);
}

void proxy_release(struct proxy *proxy, enum request_outcome outcome)
{
    if (proxy->lease != NULL)
        store_release(proxy->api->store, proxy->lease, outcome);
    proxy->lease = NULL;
}

void proxy_end_exchange(struct proxy *proxy)
{
    if (proxy->exchange != NULL)
        exchange_free(proxy->exchange);
    proxy->exchange = NULL;
}

void proxy_set_aside(struct proxy *proxy, struct str bytes, bool last)
{
    struct proxy_busy *busy = calloc(1, sizeof(*busy));
    if (busy == NULL)
        abort();
    *busy = (struct proxy_busy){.exchange = proxy->exchange,
                                .bytes = bytes,
                                .last = last,
                                .attempt = proxy->attempt,
                                .place = proxy->place,
                                .passing = proxy->passing,
                                .has_model = proxy->has_model};
    memcpy(busy->worker_id, proxy->worker_id, sizeof(busy->worker_id));
    proxy->busy = busy;
    proxy->was_busy = true;
    proxy->exchange = NULL;
    proxy_release(proxy, proxy_outcome(proxy));
}

void proxy_bring_back(struct proxy *proxy, struct str *bytes, bool *last)
{
    const struct proxy_busy *busy = proxy->busy;
    proxy->exchange = busy->exchange;
    proxy->status = busy->exchange->head.status;
    proxy->attempt = busy->attempt;
    proxy->passing = busy->passing;
    proxy->has_model = busy->has_model;
    memcpy(proxy->worker_id, busy->worker_id, sizeof(proxy->worker_id));
    proxy_count(proxy, busy->place);
    *bytes = busy->bytes;
    *last = busy->last;
    free(proxy->busy);
    proxy->busy = NULL;
}

void proxy_drop_busy(struct proxy *proxy)
{
    if (proxy->busy != NULL)
        exchange_free(proxy->busy->exchange);
    free(proxy->busy);
    proxy->busy = NULL;
}

enum request_outcome proxy_outcome(const struct proxy *proxy)
{
    return proxy->status >= 500 && proxy->status != 501 ? REQUEST_FAILED : REQUEST_SERVED; /* 501: the client's method is odd */
}

void proxy_count(struct proxy *proxy, size_t place)
{
    if (proxy->counted)
        metric_add(&passing_counts_own(proxy->place)->in_flight, (uint64_t)-1);
    metric_add(&passing_counts_own(place)->in_flight, 1);
    proxy->place = place;
    proxy->counted = true;
}

struct request *proxy_take(struct proxy *proxy, int status)
{
    struct pending *pending = proxy->pending;
    struct request *request = pending != NULL ? pending_take(pending) : NULL;
    proxy->pending = NULL;
    if (pending != NULL)
        pending_release(pending, ERR_INTERNAL);
    if (request == NULL)
        return NULL;
    struct passing_counts *counts = passing_counts_own(proxy->place);
    metric_add(&counts->requests[status_place(status)], 1);
    proxy->answered_at = clock_us();
    histogram_observe(&counts->head_us, passing_bounds, proxy->answered_at - proxy->began_at);
    return request;
}

void proxy_finish(struct proxy *proxy)
{
    struct passing_counts *counts = passing_counts_own(proxy->place);
    tenure_end(&proxy->tenure);
    if (!proxy->ended && proxy->exchange != NULL) /* the worker neither failed nor came to an end: the client's side ended first */
        metric_add(&counts->clients_gone, 1);
    proxy_end_exchange(proxy);
    proxy_drop_busy(proxy);
    proxy_release(proxy, REQUEST_UNKNOWN);
    metric_add(&counts->in_flight, (uint64_t)-1);
    histogram_observe(&counts->duration_us, passing_bounds, clock_us() - proxy->began_at);
}

bool proxy_is_waited_for(const struct proxy *proxy)
{
    return !proxy->gone && proxy->pending != NULL && pending_is_waited_for(proxy->pending);
}
