/*
 * The store's numbers among the metrics of upper layers.
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

#endif
