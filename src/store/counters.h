/*
 * The numbers of the store, and of requests that are passed on, among the metrics of upper layers.
 */
#ifndef STORE_COUNTERS_H
#define STORE_COUNTERS_H

#include "base/metrics.h"

/* The result of an operation on a worker. */
enum result { RESULT_DONE, RESULT_AGAIN, RESULT_UNKNOWN, RESULT_FAILED, RESULT_COUNT };

/*
 * Places in metrics->counters. An operation has one for each result, beginning at its name. The places of other layers begin at
 * STORE_COUNTERS.
 */
enum {
    COUNTER_REGISTRATIONS = 0,
    COUNTER_HEARTBEATS = COUNTER_REGISTRATIONS + RESULT_COUNT,
    COUNTER_UNREGISTRATIONS = COUNTER_HEARTBEATS + RESULT_COUNT,
    COUNTER_HEARTBEATS_IGNORED = COUNTER_UNREGISTRATIONS + RESULT_COUNT, /* heartbeats with a part that could not be used */
    STORE_COUNTERS,
};

/* Places in metrics->histograms. */
enum { HISTOGRAM_HEARTBEAT_LATE_MS, STORE_HISTOGRAMS };

/* Upper bounds for the lateness of a heartbeat, in milliseconds. */
extern const int64_t store_lateness_bounds[HISTOGRAM_BUCKETS];

#define PASSING_SERVICES_MAX 64 /* services that requests are passed on to; the last place is for all others */
#define PASSING_FAULTS_MAX 16   /* ways in which a worker fails a request */
#define PASSING_REFUSALS_MAX 8  /* reasons for which no worker is chosen */

/* Requests that were passed on to the workers of one service. It has no members but struct metric, as struct metrics demands. */
struct passing_counts {
    struct metric requests[STATUS_COUNT + 1]; /* by the status that the client got */
    struct histogram head_us, duration_us;    /* from the request until its answer began, and until it had ended */
    struct metric in_flight;                  /* gauge */
    struct metric retries;                    /* attempts after the first */
    struct metric opened, closed;             /* breakers of workers that this instance's requests have opened and closed */
    struct metric clients_gone;               /* clients that left before their answer was whole */
    struct metric faults[PASSING_FAULTS_MAX];
    struct metric refusals[PASSING_REFUSALS_MAX];
};

_Static_assert(PASSING_SERVICES_MAX * sizeof(struct passing_counts) <= METRICS_UPPER_MAX * sizeof(struct metric), "they have room");

/* Upper bounds for the time that workers take, in microseconds: from 1 ms to 10 minutes. */
extern const int64_t passing_bounds[HISTOGRAM_BUCKETS];

/* The numbers of the service at a place: those in `sum`, and those that the calling thread counts. */
static inline const struct passing_counts *passing_counts_in(const struct metrics *sum, size_t place)
{
    return (const struct passing_counts *)sum->upper + place;
}

static inline struct passing_counts *passing_counts_own(size_t place)
{
    return (struct passing_counts *)metrics->upper + place;
}

#endif
