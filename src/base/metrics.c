#include "base/metrics.h"

#include <stdlib.h>

#define THREADS_MAX 64 /* as many as the setting THREADS allows */
#define NUMBERS (sizeof(struct metrics) / sizeof(struct metric))

_Static_assert(sizeof(struct metrics) % sizeof(struct metric) == 0, "nothing but struct metric");

const int64_t metrics_latency_bounds[HISTOGRAM_BUCKETS] = {100,   250,   500,    1000,   2500,   5000,    10000,
                                                           25000, 50000, 100000, 250000, 500000, 1000000, 2500000};
static const char *const methods[METHOD_COUNT] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"};

static struct metrics nobodys;
_Thread_local struct metrics *metrics = &nobodys;

static _Atomic(struct metrics *) threads[THREADS_MAX];
static atomic_size_t thread_count;

void metrics_thread_start(void)
{
    struct metrics *own = calloc(1, sizeof(*own));
    size_t place = atomic_fetch_add(&thread_count, 1);
    if (own == NULL || place >= THREADS_MAX)
        abort();
    atomic_store(&threads[place], own);
    metrics = own;
}

struct metrics *metrics_sum(void)
{
    struct metrics *sum = calloc(1, sizeof(*sum));
    if (sum == NULL)
        abort();
    struct metric *to = (struct metric *)sum;
    for (size_t i = 0; i < THREADS_MAX; i++) {
        const struct metric *from = (const struct metric *)atomic_load(&threads[i]);
        for (size_t at = 0; from != NULL && at < NUMBERS; at++)
            metric_add(&to[at], metric_read(&from[at]));
    }
    return sum;
}

void histogram_observe(struct histogram *histogram, const int64_t bounds[HISTOGRAM_BUCKETS], int64_t value)
{
    size_t bucket = 0;
    if (value < 0)
        value = 0;
    while (bucket < HISTOGRAM_BUCKETS && value > bounds[bucket])
        bucket++;
    metric_add(&histogram->buckets[bucket], 1);
    metric_add(&histogram->sum, (uint64_t)value);
}

enum metrics_method metrics_method_of(struct str method)
{
    int i = 0;
    while (i < METHOD_OTHER && !str_eq(method, str_from(methods[i])))
        i++;
    return (enum metrics_method)i;
}

const char *metrics_method_name(enum metrics_method method)
{
    return methods[method];
}
