/*
 * A follower of the events stream.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <cmocka.h>

#include "redis/link.h"
#include "store/follow.h"
#include "unit/fake_redis.h"

#define NOTHING "*0\r\n"
#define ENTRY(id, worker) "*2\r\n$3\r\n" id "\r\n*4\r\n$5\r\nevent\r\n$7\r\nremoved\r\n$9\r\nworker_id\r\n$1\r\n" worker "\r\n"

static const struct store_config config = {.heartbeat_timeout_ms = 300000, .worker_timeout_ms = 1800000, .max_services = 1};

static struct {
    struct fake_redis *redis;
    struct link *link;
    struct store *store;
    struct follower *follower;
    struct buffer told; /* a character for each thing: the worker of an event, "!" for lost ones */
    int replies;
} all;

static void on_event(void *data, const struct event *event)
{
    (void)data;
    buffer_append(&all.told, event->worker_id);
}

static void on_lost(void *data)
{
    (void)data;
    buffer_append(&all.told, STR("!"));
}

static void on_read(void *data)
{
    (void)data;
    all.replies++;
}

static int tick(void)
{
    follower_tick(all.follower);
    link_tick(all.link);
    return 0;
}

static void assert_told(const char *expected)
{
    fake_wait(all.told.len >= strlen(expected), tick());
    assert_int_equal(all.told.len, strlen(expected));
    assert_memory_equal(all.told.ptr, expected, strlen(expected));
    all.told.len = 0;
}

/* Two more readings, in which nothing is told. */
static void assert_silent(void)
{
    int replies = all.replies;
    fake_wait(all.replies > replies + 1, tick());
    assert_int_equal(all.told.len, 0);
}

static int setup(void **state)
{
    (void)state;
    static const struct follow_callbacks callbacks = {on_event, on_lost, on_read};
    all.redis = fake_new();
    all.link = link_new(fake_loop(), fake_resolver(), fake_address(all.redis));
    all.store = store_new(all.link, &config);
    all.follower = follower_new(all.store, &callbacks, NULL);
    fake_answer(all.redis, "XREVRANGE", "*1\r\n" ENTRY("1-1", "a"));
    fake_answer(all.redis, "XRANGE", "*1\r\n" ENTRY("1-1", "a"));
    fake_wait(link_is_up(all.link), link_tick(all.link));
    return 0;
}

static void test_it_asks_nothing_before_it_is_started(void **state)
{
    (void)state;
    struct event_id id;
    for (int turn = 0; turn < 20; turn++) {
        tick();
        fake_turn();
    }
    assert_int_equal(fake_count(all.redis, "XREVRANGE"), 0);
    assert_false(follower_newest(all.follower, &id));
}

static void test_it_begins_with_what_comes_next(void **state)
{
    (void)state;
    struct event_id id;
    follower_start(all.follower);
    fake_wait(follower_newest(all.follower, &id), tick());
    assert_true(id.milliseconds == 1);
    assert_silent();
    fake_answer(all.redis, "XRANGE", "*3\r\n" ENTRY("1-1", "a") ENTRY("1-2", "b") ENTRY("2-0", "c"));
    assert_told("bc");
    fake_answer(all.redis, "XRANGE", "*1\r\n" ENTRY("2-0", "c"));
    assert_silent();
}

static void test_it_says_that_events_are_lost(void **state)
{
    (void)state;
    fake_answer(all.redis, "XRANGE", "*1\r\n" ENTRY("9-0", "z")); /* 2-0 is trimmed, and who knows what behind it */
    assert_told("!z");
    assert_silent();
}

static void test_it_goes_on_when_redis_is_back(void **state)
{
    (void)state;
    fake_stop(all.redis);
    fake_wait(!link_is_up(all.link), tick());
    fake_listen(all.redis);
    fake_answer(all.redis, "XRANGE", "*2\r\n" ENTRY("9-0", "z") ENTRY("9-1", "y"));
    assert_told("y");
    fake_answer(all.redis, "XRANGE", "-LOADING Redis is loading the dataset in memory\r\n");
    assert_silent();
}

static void test_one_that_is_stopped_and_started_begins_anew(void **state)
{
    (void)state;
    struct event_id id;
    int asked = fake_count(all.redis, "XREVRANGE");
    follower_stop(all.follower);
    assert_false(follower_newest(all.follower, &id));
    fake_answer(all.redis, "XREVRANGE", NOTHING);
    fake_answer(all.redis, "XRANGE", "*1\r\n" ENTRY("3-0", "x"));
    follower_start(all.follower);
    fake_wait(follower_newest(all.follower, &id) || all.told.len > 0, tick());
    assert_int_equal(fake_count(all.redis, "XREVRANGE"), asked + 1);
    assert_told("x"); /* the first that there is, and none is lost */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_asks_nothing_before_it_is_started),
        cmocka_unit_test(test_it_begins_with_what_comes_next),
        cmocka_unit_test(test_it_says_that_events_are_lost),
        cmocka_unit_test(test_it_goes_on_when_redis_is_back),
        cmocka_unit_test(test_one_that_is_stopped_and_started_begins_anew),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
