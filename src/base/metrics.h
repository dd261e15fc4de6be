/*
 * What an instance counts about itself.
 *
 * Each serving thread writes to a struct metrics of its own. So counting is a load and a store: it takes no lock, and cores
 * don't fight for a cache line. metrics_sum adds up the numbers of all threads. A thread that has not called
 * metrics_thread_start counts nothing.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdint.h>

/* A number that one thread changes and others read. It is a counter or a gauge. A gauge may be negative, in two's complement. */
struct metric {
    _Atomic uint64_t value;
};

#define HISTOGRAM_BUCKETS 14

/* How many observations fell into each bucket. A bucket ends at its bound; the last one has the values above all bounds. */
struct histogram {
    struct metric buckets[HISTOGRAM_BUCKETS + 1]; /* not cumulative */
    struct metric sum;                            /* in the unit of the bounds */
};

/* Upper bounds for the time that an answer takes, in microseconds. */
extern const int64_t metrics_latency_bounds[HISTOGRAM_BUCKETS];

#define METRICS_ROUTES_MAX 176 /* one place for requests that match no route, then one for each row of the route table */
#define METRICS_SCRIPTS_MAX 48 /* one place for each Lua script, then one for all other commands */
#define METRICS_COUNTERS_MAX 64
#define METRICS_HISTOGRAMS_MAX 8
#define METRICS_UPPER_MAX 8192 /* numbers of upper layers whose shape they choose */

/* The methods that are counted each for itself; the last one stands for all others. */
enum metrics_method {
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_PATCH,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_OTHER,
    METHOD_COUNT
};

/* Why the server ended a connection by itself. */
enum metrics_closing {
    CLOSING_IDLE,      /* no request for IDLE_TIMEOUT_SECONDS */
    CLOSING_FULL,      /* idle, and MAX_CONNECTIONS was reached */
    CLOSING_LATE,      /* its request was not whole in time */
    CLOSING_BODIES,    /* the largest, when requests that are not whole took too much memory */
    CLOSING_TLS,       /* the data was not an HTTP/1 request but TLS */
    CLOSING_PROXY,     /* a header of the PROXY protocol */
    CLOSING_HTTP2,     /* the preface of HTTP/2 */
    CLOSING_TOO_LONG,  /* a head beyond all limits */
    CLOSING_MALFORMED, /* anything else */
    CLOSING_COUNT
};

/* It has no members but struct metric, since metrics_sum adds up the structs of all threads as arrays. */
struct metrics {
    struct metric requests[METRICS_ROUTES_MAX][METHOD_COUNT][STATUS_COUNT + 1];
    struct histogram request_us[METRICS_ROUTES_MAX];
    struct metric connections, waiting, event_streams; /* gauges */
    struct metric closings[CLOSING_COUNT];
    struct metric upstream_busy, upstream_idle; /* gauges: connections to servers upstream */
    struct metric upstream_connects, upstream_reuses;

    struct histogram command_us[METRICS_SCRIPTS_MAX];
    struct metric command_errors[ERR_COUNT];
    struct metric redis_connects, redis_disconnects;

    /* The numbers of upper layers, which alone know their meaning; see store/counters.h. */
    struct metric counters[METRICS_COUNTERS_MAX];
    struct histogram histograms[METRICS_HISTOGRAMS_MAX];
    struct metric upper[METRICS_UPPER_MAX];
};

/* The struct in which the calling thread counts. Before metrics_thread_start nobody reads it. */
extern _Thread_local struct metrics *metrics;

/* Gives the calling thread a struct of its own, for as long as the program lives. To be called once in each serving thread. */
void metrics_thread_start(void);

/* The sum of all threads' numbers. The caller frees it. */
struct metrics *metrics_sum(void);

static inline uint64_t metric_read(const struct metric *metric)
{
    return atomic_load_explicit(&metric->value, memory_order_relaxed);
}

/* Sets a gauge of the calling thread. */
static inline void metric_set(struct metric *metric, uint64_t value)
{
    atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

/* Adds to a number of the calling thread. No other thread writes it, so the addition need not be atomic. */
static inline void metric_add(struct metric *metric, uint64_t by)
{
    metric_set(metric, metric_read(metric) + by);
}

/* Observes a value; below 0 it counts as 0. */
void histogram_observe(struct histogram *histogram, const int64_t bounds[HISTOGRAM_BUCKETS], int64_t value);

/* The place where a method is counted, and the method's name ("other" for METHOD_OTHER). */
enum metrics_method metrics_method_of(struct str method);
const char *metrics_method_name(enum metrics_method method);

#endif
