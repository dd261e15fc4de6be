/*
 * Leases that pass from one request to the next. The store's link is never up, so a lease that is ended stays as one that could
 * not be told to Redis.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake_redis.h"
#include "store/routing.h"

#define LEASES 6

static const struct store_config config = {.heartbeat_timeout_ms = 300000, .worker_timeout_ms = 1800000, .max_services = 1};
static const struct request_wish wish = {.services = STR("llm"), .model = STR("m")};

struct stage {
    struct requests *requests;
    struct request_lease *leases[LEASES];
};

static struct stage stages[16]; /* as fakes they live until the program ends */
static size_t stage_count;

/* A busy thread with that many requests under way, chosen just now. */
static struct stage stage_new(size_t count)
{
    struct store *store = store_new(link_new(fake_loop(), fake_resolver(), fake_address(fake_new())), &config);
    struct stage *stage = &stages[stage_count++];
    stage->requests = requests_of(store);
    stage->requests->spares.busy = true;
    stage->requests->spares.window_began = clock_us();
    for (size_t i = 0; i < count; i++) {
        struct request_lease *lease = stage->leases[i] = lease_new(store, i + 1, LEASE_HELD);
        lease->may_pass_on = true;
        lease->chosen_at = clock_us();
        buffer_append(&lease->services, wish.services);
        buffer_append(&lease->model, wish.model);
    }
    return *stage;
}

static bool is_ended(const struct request_lease *lease)
{
    return lease->state == LEASE_UNSENT;
}

static void test_passes_to_a_like_request(void **state)
{
    (void)state;
    struct stage stage = stage_new(LEASES);
    assert_true(spares_keep(stage.requests, stage.leases[0], REQUEST_SERVED));
    spares_tick(stage.requests);
    assert_null(spares_take(stage.requests, &(struct request_wish){.services = STR("llm"), .model = STR("n")}));
    assert_null(spares_take(stage.requests, &(struct request_wish){.services = STR("llm,rag"), .model = STR("m")}));
    assert_null(spares_take(stage.requests, &(struct request_wish){.services = STR("llm")}));
    assert_ptr_equal(spares_take(stage.requests, &wish), stage.leases[0]);
    assert_null(spares_take(stage.requests, &wish));
    assert_false(is_ended(stage.leases[0]));
}

static void test_none_passes_for_long(void **state)
{
    (void)state;
    struct stage stage = stage_new(LEASES);
    assert_true(spares_keep(stage.requests, stage.leases[0], REQUEST_SERVED));
    stage.leases[0]->chosen_at -= 10000;
    assert_null(spares_take(stage.requests, &wish));
    stage.leases[1]->chosen_at -= 10000;
    assert_false(spares_keep(stage.requests, stage.leases[1], REQUEST_SERVED));
    stage.requests->spares.window_began -= 10000;
    spares_tick(stage.requests);
    assert_true(is_ended(stage.leases[0]));
}

/* Ends `count` requests, and then the window in which they ended. */
static void serve(struct stage *stage, size_t count)
{
    struct spares *spares = &stage->requests->spares;
    stage->leases[1]->may_pass_on = false;
    for (size_t i = 0; i < count; i++)
        assert_false(spares_keep(stage->requests, stage->leases[1], REQUEST_SERVED));
    spares->window_began = clock_us() - 10000;
}

static void test_a_thread_with_little_to_do_asks_for_each(void **state)
{
    (void)state;
    struct stage stage = stage_new(LEASES);
    serve(&stage, 20);
    assert_true(spares_keep(stage.requests, stage.leases[0], REQUEST_SERVED));
    serve(&stage, 18); /* and the one before */
    stage.leases[2]->chosen_at = clock_us();
    assert_false(spares_keep(stage.requests, stage.leases[2], REQUEST_SERVED));
    assert_true(is_ended(stage.leases[0]));
    serve(&stage, 20);
    stage.requests->spares.window_began -= 10000; /* nothing came after them */
    assert_false(spares_keep(stage.requests, stage.leases[2], REQUEST_SERVED));
}

static void test_only_what_was_served_passes(void **state)
{
    (void)state;
    const enum request_outcome others[] = {REQUEST_UNKNOWN, REQUEST_FAILED, REQUEST_UNREACHABLE};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct stage stage = stage_new(LEASES);
        assert_false(spares_keep(stage.requests, stage.leases[0], others[i]));
    }
    struct stage stage = stage_new(LEASES);
    stage.leases[0]->may_pass_on = false;
    assert_false(spares_keep(stage.requests, stage.leases[0], REQUEST_SERVED));
}

static void test_none_passes_that_was_chosen_before_a_failure(void **state)
{
    (void)state;
    struct stage stage = stage_new(LEASES);
    assert_true(spares_keep(stage.requests, stage.leases[0], REQUEST_SERVED));
    assert_false(spares_keep(stage.requests, stage.leases[1], REQUEST_FAILED));
    assert_null(spares_take(stage.requests, &wish));
    assert_false(spares_keep(stage.requests, stage.leases[2], REQUEST_SERVED));
    stage.leases[3]->chosen_at = clock_us() + 1;
    assert_true(spares_keep(stage.requests, stage.leases[3], REQUEST_SERVED));
}

static void test_all_end_when_told_to(void **state)
{
    (void)state;
    struct stage stage = stage_new(LEASES);
    assert_true(spares_keep(stage.requests, stage.leases[0], REQUEST_SERVED));
    spares_end(stage.requests);
    assert_true(is_ended(stage.leases[0]));
    assert_null(spares_take(stage.requests, &wish));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passes_to_a_like_request),
        cmocka_unit_test(test_none_passes_for_long),
        cmocka_unit_test(test_a_thread_with_little_to_do_asks_for_each),
        cmocka_unit_test(test_only_what_was_served_passes),
        cmocka_unit_test(test_none_passes_that_was_chosen_before_a_failure),
        cmocka_unit_test(test_all_end_when_told_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
