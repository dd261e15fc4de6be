/*
 * Writes the metrics of requests that are passed on.
 */
#include "api/proxy_internal.h"

#include "base/exposition.h"
#include "upstream/upstream.h"

#include <stdio.h>

#define US_PER_SECOND 1e6
#define OTHERS "(others)" /* the label of all services that the catalogue does not have */

_Static_assert(EXCHANGE_FAULT_COUNT <= PASSING_FAULTS_MAX, "each fault has a counter");

static const char *const refusals[] = {
    [REQUEST_NO_WORKERS] = "no-workers",  [REQUEST_NONE_TAKES] = "none-takes", [REQUEST_ALL_TRIED] = "all-tried",
    [REQUEST_ALL_OPEN] = "breakers-open", [REQUEST_NO_ADDRESS] = "no-address",
};
#define REFUSALS (sizeof(refusals) / sizeof(refusals[0]))

_Static_assert(REFUSALS <= PASSING_REFUSALS_MAX, "each reason has a counter");

static size_t places(void)
{
    return catalogue_count < PASSING_SERVICES_MAX ? catalogue_count : PASSING_SERVICES_MAX - 1;
}

/* Returns the label of the service at a place; absent if no service has the place. */
static struct str name_of(size_t place)
{
    if (place == PASSING_SERVICES_MAX - 1)
        return STR(OTHERS);
    return place < places() ? catalogue[place].name : (struct str){NULL, 0};
}

static bool has_any(const struct passing_counts *counts)
{
    for (size_t i = 0; i <= STATUS_COUNT; i++)
        if (metric_read(&counts->requests[i]) > 0)
            return true;
    return metric_read(&counts->in_flight) > 0;
}

/* Appends a sample of each service that has had requests. */
static void write_each(struct buffer *out, const struct metrics *sum, const char *name, const char *type, const char *help,
                       size_t offset)
{
    exposition_family(out, name, type, help);
    for (size_t i = 0; i < PASSING_SERVICES_MAX; i++) {
        const struct passing_counts *counts = passing_counts_in(sum, i);
        if (has_any(counts))
            exposition_sample(out, name, LABELS({"service", name_of(i)}),
                              (double)metric_read((const struct metric *)((const char *)counts + offset)));
    }
}

static void write_times(struct buffer *out, const struct metrics *sum, const char *name, const char *help, size_t offset)
{
    exposition_family(out, name, "histogram", help);
    for (size_t i = 0; i < PASSING_SERVICES_MAX; i++) {
        const struct passing_counts *counts = passing_counts_in(sum, i);
        if (has_any(counts))
            exposition_histogram(out, name, LABELS({"service", name_of(i)}),
                                 (const struct histogram *)((const char *)counts + offset), passing_bounds, US_PER_SECOND);
    }
}

static void write_codes(struct buffer *out, const struct metrics *sum)
{
    exposition_family(out, "rma_passed_requests_total", "counter",
                      "Requests for services, by the status that the client got; (others): services outside the catalogue.");
    for (size_t i = 0; i < PASSING_SERVICES_MAX; i++)
        for (size_t j = 0; j <= STATUS_COUNT; j++) {
            uint64_t count = metric_read(&passing_counts_in(sum, i)->requests[j]);
            char code[16] = "other";
            if (status_at(j) != 0)
                snprintf(code, sizeof(code), "%d", status_at(j));
            if (count > 0)
                exposition_sample(out, "rma_passed_requests_total", LABELS({"service", name_of(i)}, {"code", str_from(code)}),
                                  (double)count);
        }
}

static void write_causes(struct buffer *out, const struct metrics *sum)
{
    exposition_family(out, "rma_passed_faults_total", "counter", "Attempts that a worker failed, by the cause.");
    for (size_t i = 0; i < PASSING_SERVICES_MAX; i++)
        for (int fault = 0; fault < EXCHANGE_FAULT_COUNT; fault++) {
            uint64_t count = metric_read(&passing_counts_in(sum, i)->faults[fault]);
            if (count > 0)
                exposition_sample(
                    out, "rma_passed_faults_total",
                    LABELS({"service", name_of(i)}, {"cause", str_from(exchange_fault_word((enum exchange_fault)fault))}),
                    (double)count);
        }
    exposition_family(out, "rma_passed_refused_total", "counter",
                      "Times that no worker was chosen, by the reason; breakers-open: all have failed too often lately.");
    for (size_t i = 0; i < PASSING_SERVICES_MAX; i++)
        for (size_t j = 0; j < REFUSALS; j++) {
            uint64_t count = metric_read(&passing_counts_in(sum, i)->refusals[j]);
            if (count > 0)
                exposition_sample(out, "rma_passed_refused_total",
                                  LABELS({"service", name_of(i)}, {"reason", str_from(refusals[j])}), (double)count);
        }
}

static void write_connections(struct buffer *out, const struct metrics *sum)
{
    exposition_family(out, "rma_upstream_connections", "gauge", "Connections to workers.");
    exposition_sample(out, "rma_upstream_connections", LABELS({"state", STR("busy")}), (double)metric_read(&sum->upstream_busy));
    exposition_sample(out, "rma_upstream_connections", LABELS({"state", STR("idle")}), (double)metric_read(&sum->upstream_idle));
    exposition_single(out, "rma_upstream_connects_total", "counter", "Connections to workers that were begun.",
                      (double)metric_read(&sum->upstream_connects));
    exposition_single(out, "rma_upstream_reuses_total", "counter", "Requests that were sent on a connection that was kept.",
                      (double)metric_read(&sum->upstream_reuses));
}

void proxy_write_metrics(struct buffer *out, const struct metrics *sum)
{
    write_codes(out, sum);
    write_times(out, sum, "rma_passed_head_seconds", "Time from a request until its answer began.",
                offsetof(struct passing_counts, head_us));
    write_times(out, sum, "rma_passed_duration_seconds", "Time from a request until its answer had ended.",
                offsetof(struct passing_counts, duration_us));
    write_each(out, sum, "rma_passed_in_flight", "gauge", "Requests that this instance has in flight.",
               offsetof(struct passing_counts, in_flight));
    write_each(out, sum, "rma_passed_retries_total", "counter", "Attempts after the first one of a request.",
               offsetof(struct passing_counts, retries));
    write_each(out, sum, "rma_passed_breakers_opened_total", "counter",
               "Times that a worker gets no requests of the service for a while, since they fail.",
               offsetof(struct passing_counts, opened));
    write_each(out, sum, "rma_passed_breakers_closed_total", "counter", "Times that such a worker gets requests again.",
               offsetof(struct passing_counts, closed));
    write_each(out, sum, "rma_passed_clients_gone_total", "counter", "Clients that left before their answer was whole.",
               offsetof(struct passing_counts, clients_gone));
    write_causes(out, sum);
    write_connections(out, sum);
}

int32_t proxy_tick(void *data)
{
    const struct api *api = data;
    struct upstream_counts counts = upstream_count(api->upstream);
    metric_set(&metrics->upstream_busy, counts.busy);
    metric_set(&metrics->upstream_idle, counts.idle);
    metric_set(&metrics->upstream_connects, counts.connects);
    metric_set(&metrics->upstream_reuses, counts.reuses);
    return 1000;
}
