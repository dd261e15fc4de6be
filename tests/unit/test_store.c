/*
 * Heartbeats on a link that takes no more, and more polls that end at once than commands may be on their way: a real link, and a
 * Redis that greets it and then never answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <cmocka.h>

#include "base/clock.h"
#include "redis/address.h"
#include "redis/command.h"
#include "redis/keys.h"
#include "redis/link.h"
#include "redis/script.h"
#include "store/batch.h"
#include "store/internal.h"
#include "store/leases.h"
#include "store/store.h"

#include <h2o.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
    char directory[32];
    struct address address;
    int listener;
    int peer; /* Redis's end of the connection */
    h2o_loop_t *loop;
    struct link *link;
    struct store *store;
} all;

static const struct store_config config = {.heartbeat_timeout_ms = 300000, .worker_timeout_ms = 1800000, .max_services = 1};

static int listen_on_a_socket(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct buffer url = BUFFER_INIT;
    const char *why;
    snprintf(all.directory, sizeof(all.directory), "/tmp/rma-test-XXXXXX");
    assert_non_null(mkdtemp(all.directory));
    snprintf(name.sun_path, sizeof(name.sun_path), "%s/redis", all.directory);
    buffer_printf(&url, "unix://%s", name.sun_path);
    assert_int_equal(address_parse(buffer_str(&url), &all.address, &why), ERR_NONE);
    buffer_fini(&url);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(listen(listener, 1), 0);
    return listener;
}

static void run_until_up(void)
{
    int64_t deadline = clock_ms() + 10000;
    while (!link_is_up(all.link)) {
        assert_true(clock_ms() < deadline);
        link_tick(all.link);
        h2o_evloop_run(all.loop, 10);
    }
}

static int setup(void **state)
{
    (void)state;
    keys_init(STR("{rma}"));
    scripts_init();
    all.listener = listen_on_a_socket();
    all.loop = h2o_evloop_create();
    all.link = link_new(all.loop, NULL, &all.address);
    all.store = store_new(all.link, &config);
    link_tick(all.link);
    all.peer = accept(all.listener, NULL, NULL);
    assert_true(all.peer >= 0);
    struct buffer replies = BUFFER_INIT; /* to the client's name, a probe, ROLE, INFO, CONFIG GET and the scripts */
    buffer_append(&replies, STR("+OK\r\n:0\r\n*1\r\n$6\r\nmaster\r\n$0\r\n\r\n*0\r\n"));
    for (int script = 0; script < SCRIPT_COUNT; script++)
        buffer_append(&replies, STR("$2\r\nid\r\n"));
    assert_int_equal(write(all.peer, replies.ptr, replies.len), replies.len);
    buffer_fini(&replies);
    run_until_up();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof(path), "%s/redis", all.directory);
    unlink(path);
    rmdir(all.directory);
    close(all.listener);
    close(all.peer);
    return 0;
}

static int answers[3 * BATCH_FULL]; /* how often each heartbeat was answered */
static size_t answered;
static enum err last_answer;

static void on_answer(void *data, enum err err, const struct beaten *beaten)
{
    (void)beaten;
    ++*(int *)data;
    answered++;
    last_answer = err;
}

static void beat(size_t i)
{
    struct heartbeat heartbeat = {
        .worker_id = STR("w"), .status = STR("healthy"), .active_requests = -1, .gpu_utilization = -1, .expect_silence = -1};
    assert_int_equal(store_heartbeat(all.store, &heartbeat, false, on_answer, &answers[i]), ERR_NONE);
}

static void ignore(void *data, enum err err, const struct redisReply *reply)
{
    (void)data;
    (void)err;
    (void)reply;
}

/* Puts as much in flight as may be. */
static void fill_the_link(void)
{
    struct buffer command = BUFFER_INIT;
    char *text = calloc(1, LINK_BYTES_MAX);
    assert_non_null(text);
    command_begin(&command, 2);
    command_add(&command, STR("ECHO"));
    command_add(&command, (struct str){text, LINK_BYTES_MAX});
    free(text);
    assert_int_equal(link_send(all.link, &command, ignore, NULL), ERR_NONE);
}

static void test_a_full_batch_that_the_link_refuses_ends_at_once(void **state)
{
    (void)state;
    fill_the_link();

    for (size_t i = 0; i < BATCH_FULL - 1; i++)
        beat(i);
    assert_int_equal(answered, 0);
    beat(BATCH_FULL - 1);
    assert_int_equal(answered, BATCH_FULL);
    assert_int_equal(last_answer, ERR_OVERLOADED);
    for (size_t i = BATCH_FULL; i < 2 * BATCH_FULL + 1; i++)
        beat(i);
    assert_int_equal(answered, 2 * BATCH_FULL);
    store_tick(all.store);
    assert_int_equal(answered, 2 * BATCH_FULL + 1);
    assert_int_equal(last_answer, ERR_OVERLOADED);
    store_tick(all.store);
    for (size_t i = 0; i < 3 * BATCH_FULL; i++)
        assert_int_equal(answers[i], i < 2 * BATCH_FULL + 1);
}

/* Counts the bytes 1 in what has come, until it is `wanted` of them or nothing comes any more. */
static size_t count_ones(size_t wanted)
{
    char room[65536];
    size_t count = 0;
    int64_t deadline = clock_ms() + 2000; /* a link that is silent for longer is dropped */
    while (count < wanted && clock_ms() < deadline) {
        link_tick(all.link);
        h2o_evloop_run(all.loop, 1);
        ssize_t len = recv(all.peer, room, sizeof(room), MSG_DONTWAIT);
        for (ssize_t i = 0; i < len; i++)
            count += room[i] == '\1';
    }
    return count;
}

/* Answers the oldest `calls` calls. */
static void answer(size_t calls)
{
    static const char reply[] = "*0\r\n";
    for (size_t i = 0; i < calls; i++)
        assert_int_equal(write(all.peer, reply, sizeof(reply) - 1), sizeof(reply) - 1);
    int before = all.store->calls_under_way[SCRIPT_task_unpark];
    for (int64_t deadline = clock_ms() + 2000;
         all.store->calls_under_way[SCRIPT_task_unpark] > before - (int)calls && clock_ms() < deadline;)
        h2o_evloop_run(all.loop, 1);
}

static void test_what_comes_while_two_calls_are_under_way_shares_the_next(void **state)
{
    (void)state;
    for (size_t calls = 1; calls <= 2; calls++) {
        store_unpark(all.store, STR("thread \1"));
        store_tick(all.store);
        assert_int_equal(count_ones(1), 1);
        assert_int_equal(all.store->calls_under_way[SCRIPT_task_unpark], calls);
    }
    for (size_t i = 0; i < BATCH_FULL + 1; i++) {
        store_unpark(all.store, STR("thread \1"));
        store_tick(all.store);
    }
    assert_int_equal(all.store->calls_under_way[SCRIPT_task_unpark], 2);
    answer(1);
    store_tick(all.store);
    assert_int_equal(count_ones(BATCH_FULL + 1), BATCH_FULL + 1);
    assert_int_equal(all.store->calls_under_way[SCRIPT_task_unpark], 2);
    answer(2);
}

static void test_no_poll_stays_a_waiter_when_thousands_end_at_once(void **state)
{
    (void)state;
    const size_t polls = LINK_IN_FLIGHT_MAX + 1000, last = polls % BATCH_MAX;
    for (size_t i = 0; i < polls; i++)
        store_unpark(all.store, STR("thread \1"));
    store_tick(all.store);
    assert_int_equal(count_ones(polls - last), polls - last);
    answer(polls / BATCH_MAX);
    store_tick(all.store);
    assert_int_equal(count_ones(last), last);
    answer(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_comes_while_two_calls_are_under_way_shares_the_next),
        cmocka_unit_test(test_no_poll_stays_a_waiter_when_thousands_end_at_once), /* before the link is full */
        cmocka_unit_test(test_a_full_batch_that_the_link_refuses_ends_at_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
