/*
 * Counting: each thread for itself, added up for whoever asks; and the text that Prometheus reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/exposition.h"
#include "base/process.h"
#include "store/counters.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 4
#define TIMES 100000

static _Atomic int counting; /* threads that are still at it */

static void *count_many(void *data)
{
    (void)data;
    metrics_thread_start();
    for (int i = 0; i < TIMES; i++) {
        metric_add(&metrics->counters[1], 1);
        histogram_observe(&metrics->histograms[0], metrics_latency_bounds, 200);
    }
    metric_set(&metrics->connections, 3);
    counting--;
    return NULL;
}

/* One who reads meanwhile sees numbers that only grow, and in the end all of them; what an unknown thread counts is nobody's. */
static void test_threads_are_added_up(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    metric_add(&metrics->counters[1], 7);
    counting = THREADS;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_many, NULL), 0);
    uint64_t last = 0;
    while (counting > 0) {
        struct metrics *sum = metrics_sum();
        assert_true(metric_read(&sum->counters[1]) >= last);
        last = metric_read(&sum->counters[1]);
        free(sum);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct metrics *sum = metrics_sum();
    assert_int_equal(metric_read(&sum->counters[1]), THREADS * TIMES);
    assert_int_equal(metric_read(&sum->histograms[0].buckets[1]), THREADS * TIMES);
    assert_int_equal(metric_read(&sum->histograms[0].sum), 200L * THREADS * TIMES);
    assert_int_equal(metric_read(&sum->connections), 3 * THREADS);
    assert_int_equal(metric_read(&sum->counters[3]), 0);
    free(sum);
}

/* A gauge may fall in one thread what it rose in another. */
static void test_a_gauge_may_be_negative_in_a_thread(void **state)
{
    (void)state;
    struct metric one = {0}, other = {0};
    metric_add(&one, 2);
    metric_add(&other, (uint64_t)-1);
    assert_int_equal(metric_read(&one) + metric_read(&other), 1);
}

static void test_a_bound_belongs_to_its_bucket(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    const int64_t *bounds = metrics_latency_bounds;
    for (int i = 1; i < HISTOGRAM_BUCKETS; i++)
        assert_true(bounds[i] > bounds[i - 1] && store_lateness_bounds[i] > store_lateness_bounds[i - 1]);
    histogram_observe(&histogram, bounds, -5);
    histogram_observe(&histogram, bounds, 0);
    histogram_observe(&histogram, bounds, bounds[0]);
    histogram_observe(&histogram, bounds, bounds[0] + 1);
    histogram_observe(&histogram, bounds, bounds[HISTOGRAM_BUCKETS - 1]);
    histogram_observe(&histogram, bounds, bounds[HISTOGRAM_BUCKETS - 1] + 1);
    histogram_observe(&histogram, bounds, INT64_MAX / 4);
    assert_int_equal(metric_read(&histogram.buckets[0]), 3);
    assert_int_equal(metric_read(&histogram.buckets[1]), 1);
    assert_int_equal(metric_read(&histogram.buckets[HISTOGRAM_BUCKETS - 1]), 1);
    assert_int_equal(metric_read(&histogram.buckets[HISTOGRAM_BUCKETS]), 2);
    assert_int_equal(metric_read(&histogram.sum), 2 * bounds[0] + 1 + 2 * bounds[HISTOGRAM_BUCKETS - 1] + 1 + INT64_MAX / 4);
}

static void test_statuses_and_methods_have_their_places(void **state)
{
    (void)state;
    for (int status = 200; status < 600; status++) {
        size_t place = status_place(status);
        assert_in_range(place, 0, STATUS_COUNT);
        assert_true(status_at(place) == status || status_at(place) == 0);
    }
    for (int err = 0; err < ERR_COUNT; err++)
        assert_int_equal(status_at(status_place(err_status((enum err)err))), err_status((enum err)err));
    assert_int_equal(status_at(status_place(299)), 0);
    assert_int_equal(metrics_method_of(STR("GET")), METHOD_GET);
    assert_int_equal(metrics_method_of(STR("OPTIONS")), METHOD_OPTIONS);
    assert_int_equal(metrics_method_of(STR("get")), METHOD_OTHER);
    assert_int_equal(metrics_method_of(STR("")), METHOD_OTHER);
    assert_string_equal(metrics_method_name(METHOD_DELETE), "DELETE");
    assert_string_equal(metrics_method_name(METHOD_OTHER), "other");
}

/* Ends the text, compares it, and forgets it. */
static void assert_text(struct buffer *out, const char *expected)
{
    buffer_append(out, (struct str){"", 1});
    assert_string_equal(out->ptr, expected);
    buffer_fini(out);
}

static void test_text_of_samples(void **state)
{
    (void)state;
    struct buffer out = BUFFER_INIT;
    exposition_single(&out, "a_seconds", "gauge", "How long.", 0.25);
    exposition_family(&out, "b_total", "counter", "How many.");
    exposition_sample(&out, "b_total", LABELS({"x", STR("1")}, {"y", STR("")}), 1234567890123.0);
    exposition_sample(&out, "b_total", LABELS({"x", STR("a\"b\\c\nd{}=,\xc3\xbc")}), 0);
    exposition_sample(&out, "b_total", LABELS({"x", STR("w")}), -1e300);
    assert_text(&out, "# HELP a_seconds How long.\n# TYPE a_seconds gauge\na_seconds 0.25\n"
                      "# HELP b_total How many.\n# TYPE b_total counter\n"
                      "b_total{x=\"1\",y=\"\"} 1234567890123\n"
                      "b_total{x=\"a\\\"b\\\\c\\nd{}=,\xc3\xbc\"} 0\nb_total{x=\"w\"} -1e+300\n");
}

static void test_text_of_a_histogram(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    histogram_observe(&histogram, metrics_latency_bounds, 100);
    histogram_observe(&histogram, metrics_latency_bounds, 90000);
    histogram_observe(&histogram, metrics_latency_bounds, 3000000);
    struct buffer out = BUFFER_INIT;
    exposition_histogram(&out, "t_seconds", LABELS({"r", STR("/")}), &histogram, metrics_latency_bounds, 1e6);
    assert_text(&out, "t_seconds_bucket{r=\"/\",le=\"0.0001\"} 1\nt_seconds_bucket{r=\"/\",le=\"0.00025\"} 1\n"
                      "t_seconds_bucket{r=\"/\",le=\"0.0005\"} 1\nt_seconds_bucket{r=\"/\",le=\"0.001\"} 1\n"
                      "t_seconds_bucket{r=\"/\",le=\"0.0025\"} 1\nt_seconds_bucket{r=\"/\",le=\"0.005\"} 1\n"
                      "t_seconds_bucket{r=\"/\",le=\"0.01\"} 1\nt_seconds_bucket{r=\"/\",le=\"0.025\"} 1\n"
                      "t_seconds_bucket{r=\"/\",le=\"0.05\"} 1\nt_seconds_bucket{r=\"/\",le=\"0.1\"} 2\n"
                      "t_seconds_bucket{r=\"/\",le=\"0.25\"} 2\nt_seconds_bucket{r=\"/\",le=\"0.5\"} 2\n"
                      "t_seconds_bucket{r=\"/\",le=\"1\"} 2\nt_seconds_bucket{r=\"/\",le=\"2.5\"} 2\n"
                      "t_seconds_bucket{r=\"/\",le=\"+Inf\"} 3\nt_seconds_sum{r=\"/\"} 3.0901\nt_seconds_count{r=\"/\"} 3\n");
    exposition_histogram(&out, "t", NULL, &histogram, metrics_latency_bounds, 1e6);
    assert_memory_equal(out.ptr, "t_bucket{le=\"0.0001\"} 1\n", 24);
    buffer_fini(&out);
}

static void test_figures_of_the_process(void **state)
{
    (void)state;
    process_init();
    assert_true(process_start_seconds() <= (double)clock_wall_ms() / 1000 && process_start_seconds() > 1.7e9);
    double before = process_cpu_seconds();
    while (process_cpu_seconds() - before < 0.01)
        ;
    assert_true(process_resident_bytes() > 500000 && process_resident_bytes() < 1L << 40);
    int64_t open_before = process_open_descriptors();
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(process_open_descriptors(), open_before + 1);
    close(fd);
    assert_true(open_before >= 3 && process_max_descriptors() > open_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_are_added_up),
        cmocka_unit_test(test_a_gauge_may_be_negative_in_a_thread),
        cmocka_unit_test(test_a_bound_belongs_to_its_bucket),
        cmocka_unit_test(test_statuses_and_methods_have_their_places),
        cmocka_unit_test(test_text_of_samples),
        cmocka_unit_test(test_text_of_a_histogram),
        cmocka_unit_test(test_figures_of_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
