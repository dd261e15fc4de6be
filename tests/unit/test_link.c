/*
 * The link to Redis: when it is up, what becomes of commands, where it goes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <cmocka.h>

#include "base/metrics.h"
#include "redis/command.h"
#include "redis/link.h"
#include "unit/fake_redis.h"

#include <hiredis/hiredis.h>

#define BACKOFF_SHORTEST_MS 20
#define BACKOFF_LONGEST_MS 500
#define WATCH_MS 500
#define CONNECT_MS 1500

static struct link *made[FAKES_MAX]; /* links live as long as the program */
static size_t made_count;

static struct link *link_to(struct address *address)
{
    return made[made_count++] = link_new(fake_loop(), fake_resolver(), address);
}

static struct link *link_up(struct fake_redis *redis)
{
    struct link *link = link_to(fake_address(redis));
    fake_wait(link_is_up(link), link_tick(link));
    return link;
}

/* What became of a command. */
struct outcome {
    int calls;
    enum err err;
    char text[32];
};

static void on_reply(void *data, enum err err, const struct redisReply *reply)
{
    struct outcome *outcome = data;
    outcome->calls++;
    outcome->err = err;
    assert_true((err == ERR_NONE) == (reply != NULL));
    snprintf(outcome->text, sizeof(outcome->text), "%s", reply != NULL && reply->str != NULL ? reply->str : "");
}

static enum err send_get(struct link *link, struct outcome *outcome)
{
    struct buffer command = BUFFER_INIT;
    command_begin(&command, 2);
    command_add(&command, STR("GET"));
    command_add(&command, STR("key"));
    return link_send(link, &command, on_reply, outcome);
}

/* Passes time as the link's ticks say until it is no longer up, or trying to be; in this time nothing comes. Returns the ms. */
static int pass_until_dropped(struct link *link, const char *why)
{
    int passed = 0;
    for (int32_t wait; wait = link_tick(link), strcmp(link_why(link), why) != 0; passed += wait) {
        assert_in_range(wait, 1, WATCH_MS);
        assert_true(passed <= 2 * LINK_REPLY_TIMEOUT_MS);
        fake_pass(wait);
    }
    return passed;
}

static enum err run_script(struct link *link, struct outcome *outcome)
{
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_stats, NULL, 0);
    return link_run(link, SCRIPT_stats, &command, on_reply, outcome);
}

static void test_it_greets_and_takes_commands(void **state)
{
    (void)state;
    struct fake_redis *redis = fake_new();
    struct link *link = link_to(fake_address(redis));
    struct outcome early = {0}, outcome = {0};
    assert_int_equal(send_get(link, &early), ERR_UNAVAILABLE);
    fake_wait(link_is_up(link), link_tick(link));
    assert_int_equal(fake_count(redis, "SCRIPT"), SCRIPT_COUNT);
    fake_answer(redis, "GET", "$5\r\nvalue\r\n");
    assert_int_equal(send_get(link, &outcome), ERR_NONE);
    fake_wait(outcome.calls > 0, link_tick(link));
    assert_int_equal(outcome.err, ERR_NONE);
    assert_string_equal(outcome.text, "value");
    assert_int_equal(early.calls, 0);
}

static void test_commands_in_flight_end_once_when_the_connection_dies(void **state)
{
    (void)state;
    struct fake_redis *redis = fake_new();
    struct link *link = link_up(redis);
    struct outcome outcomes[3] = {{0}};
    fake_answer(redis, "GET", NULL);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(send_get(link, &outcomes[i]), ERR_NONE);
    fake_wait(fake_count(redis, "GET") == 3, link_tick(link));
    fake_hang_up(redis);
    fake_wait(!link_is_up(link), link_tick(link));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(outcomes[i].calls, 1);
        assert_int_equal(outcomes[i].err, ERR_UNAVAILABLE);
    }
    fake_wait(link_is_up(link), link_tick(link));
    assert_int_equal(fake_count(redis, "GET"), 3); /* nothing is sent again */
}

static void test_it_comes_back_to_a_redis_that_was_away(void **state)
{
    (void)state;
    struct fake_redis *redis = fake_new();
    struct link *link = link_up(redis);
    fake_stop(redis);
    fake_wait(!link_is_up(link), link_tick(link));
    for (int turn = 0; turn < 50; turn++) {
        link_tick(link);
        fake_turn();
    }
    assert_int_equal(link_check(link), ERR_UNAVAILABLE);
    fake_listen(redis);
    fake_wait(link_is_up(link), link_tick(link));
}

static void test_it_says_why_it_is_not_up(void **state)
{
    (void)state;
    static const struct {
        const char *command, *reply;
        enum err err;
    } greetings[] = {
        {"EXISTS", "-LOADING Redis is loading the dataset in memory\r\n", ERR_LOADING},
        {"EXISTS", "-NOAUTH Authentication required.\r\n", ERR_NO_PASSWORD},
        {"EXISTS", "-NOPERM this user has no permissions to run the 'exists' command\r\n", ERR_NOT_PERMITTED},
        {"SCRIPT", "-NOPERM this user has no permissions to run the 'script|load' command\r\n", ERR_NOT_PERMITTED},
        {"ROLE", "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:1\r\n$7\r\nconnect\r\n:0\r\n", ERR_READONLY},
        {"ROLE", "*2\r\n$8\r\nsentinel\r\n*0\r\n", ERR_UNAVAILABLE},
        {"INFO", "$21\r\nredis_version:6.2.14\n\r\n", ERR_TOO_OLD},
        {"EXISTS", "-ERR unknown command\r\n", ERR_UNAVAILABLE},
        {"EXISTS", "$6\r\nEXISTS\r\n", ERR_UNAVAILABLE}, /* an echo */
    };
    for (size_t i = 0; i < sizeof(greetings) / sizeof(greetings[0]); i++) {
        struct fake_redis *redis = fake_new();
        struct link *link = link_to(fake_address(redis));
        struct outcome outcome = {0};
        fake_answer(redis, greetings[i].command, greetings[i].reply);
        print_message("%s\n", greetings[i].reply);
        fake_wait(fake_count(redis, "EXISTS") > 1, link_tick(link)); /* it tries again */
        assert_int_equal(link_check(link), greetings[i].err);
        assert_int_equal(send_get(link, &outcome), greetings[i].err);
        fake_stop(redis);
    }
}

static void test_what_only_adorns_may_be_refused(void **state)
{
    (void)state;
    struct fake_redis *redis = fake_new();
    static const char *const commands[] = {"CLIENT", "ROLE", "INFO", "CONFIG"};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        fake_answer(redis, commands[i], "-NOPERM this user has no permissions to run this command\r\n");
    struct link *link = link_up(redis);
    assert_int_equal(link_min_replicas(link), 0);
    fake_wait(fake_count(redis, "EXISTS") > 4, (fake_pass(WATCH_MS / 10), link_tick(link)));
    assert_true(link_is_up(link));
    assert_in_range(fake_count(redis, "ROLE"), 1, 2); /* it is not asked for ever */

    fake_answer(redis, "ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"); /* another connection may have more luck */
    fake_hang_up(redis);
    fake_wait(!link_is_up(link), link_tick(link));
    int greetings = fake_count(redis, "SCRIPT") / SCRIPT_COUNT, asked = fake_count(redis, "ROLE");
    fake_wait(fake_count(redis, "ROLE") > asked + 2, (fake_pass(WATCH_MS / 10), link_tick(link)));
    assert_int_equal(fake_count(redis, "SCRIPT") / SCRIPT_COUNT, greetings + 1);
}

static void test_what_it_watches(void **state)
{
    (void)state;
    struct fake_redis *redis = fake_new(), *replica = fake_new();
    fake_answer(redis, "CONFIG", "*2\r\n$21\r\nmin-replicas-to-write\r\n$1\r\n2\r\n");
    struct link *link = link_up(redis);
    assert_int_equal(link_min_replicas(link), 2);
    fake_address(replica)->replica = true;
    struct link *other = link_to(&replica->address);
    fake_wait(link_is_up(other), link_tick(other));
    fake_wait(fake_count(redis, "ROLE") > 4, (fake_pass(WATCH_MS / 2), link_tick(other), link_tick(link)));
    assert_int_equal(fake_count(redis, "EXISTS"), fake_count(redis, "ROLE"));
    assert_int_equal(fake_count(replica, "EXISTS") + fake_count(replica, "ROLE"), 0); /* it may be no primary */
    assert_true(link_is_up(link) && link_is_up(other));
}

static void test_a_script_that_is_gone_is_loaded_again_unseen(void **state)
{
    (void)state;
    struct fake_redis *redis = fake_new();
    struct link *link = link_up(redis);
    struct outcome outcome = {0}, never = {0};
    fake_answer(redis, "EVALSHA", "+good\r\n");
    fake_answer_times(redis, "EVALSHA", "-NOSCRIPT No matching script.\r\n", 1);
    fake_answer_times(redis, "EVALSHA", "-NOSCRIPT\r\n", 1);
    assert_int_equal(run_script(link, &outcome), ERR_NONE);
    fake_wait(outcome.calls > 0, link_tick(link));
    assert_int_equal(outcome.err, ERR_NONE);
    assert_string_equal(outcome.text, "good");
    assert_int_equal(fake_count(redis, "EVALSHA"), 3);
    assert_int_equal(fake_count(redis, "SCRIPT"), SCRIPT_COUNT + 2);

    fake_answer(redis, "EVALSHA", "-NOSCRIPT No matching script.\r\n"); /* somebody's SCRIPT FLUSH in a loop */
    assert_int_equal(run_script(link, &never), ERR_NONE);
    fake_wait(never.calls > 0, link_tick(link));
    assert_int_equal(never.err, ERR_NO_SCRIPT);
    assert_int_equal(fake_count(redis, "EVALSHA"), 3 + 4);
}

static void test_errors_of_redis_have_names(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        enum err err;
    } refusals[] = {
        {"-OOM command not allowed when used memory > 'maxmemory'.\r\n", ERR_FULL},
        {"-MISCONF Redis is configured to save RDB snapshots\r\n", ERR_DISK},
        {"-NOREPLICAS Not enough good replicas to write.\r\n", ERR_NO_REPLICAS},
        {"-ERR The user executing the script can't run this command or subcommand script: x, on @user_script:3.\r\n",
         ERR_NOT_PERMITTED},
        {"-NOPERM User fleet has no permissions to run the 'hget' command\r\n", ERR_NOT_PERMITTED},
        {"-ERR something else\r\n", ERR_INTERNAL},
    };
    struct fake_redis *redis = fake_new();
    struct link *link = link_up(redis);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        struct outcome outcome = {0};
        uint64_t counted = metric_read(&metrics->command_errors[refusals[i].err]);
        fake_answer_times(redis, "EVALSHA", refusals[i].reply, 1);
        assert_int_equal(run_script(link, &outcome), ERR_NONE);
        fake_wait(outcome.calls > 0, link_tick(link));
        assert_int_equal(outcome.err, refusals[i].err);
        assert_int_equal(metric_read(&metrics->command_errors[refusals[i].err]), counted + 1);
        assert_true(link_is_up(link));
    }
}

static void test_it_leaves_what_is_no_longer_the_primary(void **state)
{
    (void)state;
    static const struct {
        const char *reply, *why;
        enum err err;
    } refusals[] = {
        {"-READONLY You can't write against a read only replica.\r\n", "READONLY You can't write against a read only replica.",
         ERR_READONLY},
        {"-MASTERDOWN Link with MASTER is down.\r\n", "MASTERDOWN Link with MASTER is down.", ERR_MASTER_DOWN},
        {"-NEWER The data is newer.\r\n", "The data is newer.", ERR_NEWER},
    };
    struct fake_redis *redis = fake_new();
    struct link *link = link_up(redis);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        struct outcome outcome = {0};
        fake_answer_times(redis, "GET", refusals[i].reply, 1);
        assert_int_equal(send_get(link, &outcome), ERR_NONE);
        fake_wait(outcome.calls > 0, link_tick(link));
        assert_int_equal(outcome.err, refusals[i].err);
        assert_int_equal(link_check(link), refusals[i].err);
        assert_string_equal(link_why(link), refusals[i].why);
        fake_wait(link_is_up(link), link_tick(link));
    }

    /* and one that was demoted by hand, and goes on answering: it is asked */
    fake_answer(redis, "ROLE", "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:1\r\n$7\r\nconnect\r\n:0\r\n");
    fake_wait(!link_is_up(link), (fake_pass(50), link_tick(link)));
    assert_int_equal(link_check(link), ERR_READONLY);
}

static void test_it_goes_where_a_cluster_points_for_one_attempt(void **state)
{
    (void)state;
    struct fake_redis *node = fake_new(), *owner = fake_new();
    static char moved[64]; /* the fake keeps it */
    snprintf(moved, sizeof(moved), "-MOVED 3999 127.0.0.1:%d\r\n", owner->port);
    fake_answer(node, "EXISTS", moved);
    struct link *link = link_up(node);
    struct outcome outcome = {0};
    fake_answer(owner, "GET", "$3\r\nour\r\n");
    assert_int_equal(send_get(link, &outcome), ERR_NONE);
    fake_wait(outcome.calls > 0, link_tick(link));
    assert_string_equal(outcome.text, "our");
    int before = fake_count(node, "EXISTS");
    fake_stop(owner);
    fake_wait(fake_count(node, "EXISTS") > before, link_tick(link));

    /* also when the keys move while it is up */
    struct outcome refused = {0};
    fake_answer(node, "EXISTS", ":0\r\n");
    fake_wait(link_is_up(link), link_tick(link));
    assert_int_equal(link_endpoint(link)->port, node->port);
    fake_listen(owner);
    fake_answer(node, "GET", moved);
    assert_int_equal(send_get(link, &refused), ERR_NONE);
    fake_wait(refused.calls > 0, link_tick(link));
    assert_int_equal(refused.err, ERR_MOVED);
    fake_wait(link_is_up(link), link_tick(link));
    assert_int_equal(link_endpoint(link)->port, owner->port);
}

static void test_one_that_answers_nothing_is_given_up(void **state)
{
    (void)state;
    static const struct {
        bool replica; /* of which less patience is had */
        int patience;
    } servers[] = {{false, LINK_REPLY_TIMEOUT_MS}, {true, LINK_REPLICA_TIMEOUT_MS}};
    for (size_t i = 0; i < 2; i++) {
        struct fake_redis *redis = fake_new();
        fake_address(redis)->replica = servers[i].replica;
        struct link *link = link_to(&redis->address);
        fake_wait(link_is_up(link), link_tick(link));
        struct outcome outcomes[2] = {{0}};
        fake_answer(redis, "GET", NULL);
        fake_answer_times(redis, "GET", "+one\r\n", 1);
        fake_pass(servers[i].patience + 1); /* without a command in flight it may be silent */
        for (size_t j = 0; j < 2; j++)
            assert_int_equal(send_get(link, &outcomes[j]), ERR_NONE);
        fake_pass(servers[i].patience - WATCH_MS / 2);
        link_flush(link);
        fake_wait(outcomes[0].calls > 0, (fake_turn(), 0));
        assert_true(link_is_up(link));
        assert_in_range(pass_until_dropped(link, "no reply in time"), servers[i].patience - 5, servers[i].patience);
        assert_int_equal(outcomes[0].err, ERR_NONE);
        assert_int_equal(outcomes[1].err, ERR_UNAVAILABLE);
        assert_int_equal(outcomes[1].calls, 1);
    }
}

static void test_a_greeting_has_its_time(void **state)
{
    (void)state;
    struct fake_redis *redis = fake_new();
    fake_answer(redis, "SCRIPT", NULL);
    struct link *link = link_to(fake_address(redis));
    fake_wait(fake_count(redis, "SCRIPT") > 0, link_tick(link));
    assert_in_range(pass_until_dropped(link, "connecting took too long"), CONNECT_MS - 100, CONNECT_MS);
}

static void test_it_waits_longer_after_each_failure_but_not_for_long(void **state)
{
    (void)state;
    struct fake_redis *redis = fake_new();
    fake_answer(redis, "EXISTS", "-LOADING Redis is loading the dataset in memory\r\n");
    struct link *link = link_to(fake_address(redis));
    uint64_t losses = metric_read(&metrics->redis_disconnects), connects = metric_read(&metrics->redis_connects);
    fake_wait(fake_count(redis, "EXISTS") > 0, link_tick(link));
    for (int failure = 1, backoff = BACKOFF_SHORTEST_MS; failure <= 9; failure++) {
        fake_wait(link_why(link)[0] != '\0', (fake_turn(), 0));
        int32_t wait = link_tick(link);
        assert_in_range(wait, backoff - 5, backoff + backoff / 2);
        fake_pass(wait - 1);
        assert_int_equal(link_tick(link), 1);
        assert_int_equal(fake_count(redis, "EXISTS"), failure);
        fake_wait(fake_count(redis, "EXISTS") > failure, link_tick(link));
        backoff = backoff * 2 < BACKOFF_LONGEST_MS ? backoff * 2 : BACKOFF_LONGEST_MS;
    }
    assert_int_equal(metric_read(&metrics->redis_disconnects), losses); /* it was never up */
    fake_answer(redis, "EXISTS", ":0\r\n");
    fake_wait(link_is_up(link), link_tick(link));
    assert_int_equal(metric_read(&metrics->redis_connects), connects + 1);

    fake_hang_up(redis); /* after a success it begins again with the shortest wait */
    fake_wait(!link_is_up(link), (fake_turn(), 0));
    assert_int_equal(metric_read(&metrics->redis_disconnects), losses + 1);
    assert_in_range(link_tick(link), BACKOFF_SHORTEST_MS - 5, BACKOFF_SHORTEST_MS * 3 / 2);
}

/* What is to be done before a link is up: `left` commands. */
struct opening {
    int calls, left;
    enum err result;
};

static enum err open_step(void *data, struct link *link, enum err err, const struct redisReply *reply, struct buffer *out,
                          char why[GREETING_WHY_MAX])
{
    struct opening *opening = data;
    assert_false(link_is_up(link));
    assert_true(opening->calls == 0 || reply != NULL || err != ERR_NONE);
    opening->calls++;
    if (err != ERR_NONE && reply == NULL)
        return err;
    if (opening->left-- > 0) {
        command_begin(out, 1);
        command_add(out, STR("TIME"));
        return ERR_NONE;
    }
    snprintf(why, GREETING_WHY_MAX, "not yet");
    return opening->result;
}

static void test_what_is_to_be_done_before_it_is_up_is_done_first(void **state)
{
    (void)state;
    struct fake_redis *redis = fake_new();
    fake_answer(redis, "TIME", "*0\r\n");
    fake_answer(redis, "INFO", "$42\r\nrun_id:0123456789\r\nuptime_in_seconds:372\r\n\r\n");
    struct link *link = link_to(fake_address(redis));
    struct opening opening = {.left = 3, .result = ERR_NONE};
    link_set_opener(link, open_step, &opening);
    fake_wait(link_is_up(link), link_tick(link));
    assert_int_equal(opening.calls, 4);
    assert_int_equal(fake_count(redis, "TIME"), 3);
    assert_string_equal(link_server(link)->run, "0123456789");
    assert_int_equal(link_server(link)->uptime_s, 372);
    assert_string_equal(link_why(link), "");

    /* again on each new connection, which it may refuse */
    opening = (struct opening){.left = 1, .result = ERR_NEWER};
    fake_hang_up(redis);
    fake_wait(link_check(link) == ERR_NEWER, link_tick(link));
    assert_string_equal(link_why(link), "not yet");
    opening = (struct opening){.left = 0, .result = ERR_NONE};
    fake_wait(link_is_up(link), link_tick(link));

    /* each step has a greeting's time */
    opening = (struct opening){.left = 2, .result = ERR_NONE};
    fake_hang_up(redis);
    for (int steps = 1; steps <= 3; steps++) {
        fake_wait(opening.calls == steps, link_tick(link));
        fake_pass(CONNECT_MS - 100);
    }
    fake_wait(link_is_up(link), link_tick(link));
    assert_int_equal(opening.calls, 3);

    /* a connection that dies meanwhile is one that was lost */
    opening = (struct opening){.left = 1, .result = ERR_NONE};
    fake_answer(redis, "TIME", NULL);
    fake_hang_up(redis);
    fake_wait(fake_count(redis, "TIME") == 7, link_tick(link));
    assert_false(link_is_up(link));
    opening.left = 0;
    fake_hang_up(redis);
    fake_wait(opening.calls > 1 && link_check(link) == ERR_UNAVAILABLE, link_tick(link));
    opening.calls = 0;
    fake_wait(link_is_up(link), link_tick(link));
}

static void test_what_is_in_flight_is_bounded(void **state)
{
    (void)state;
    struct fake_redis *redis = fake_new();
    struct link *link = link_up(redis);
    static struct outcome outcomes[LINK_IN_FLIGHT_MAX + 1];
    size_t sent = 0;
    fake_answer(redis, "GET", NULL);
    while (sent <= LINK_IN_FLIGHT_MAX && send_get(link, &outcomes[sent]) == ERR_NONE)
        sent++;
    assert_in_range(sent, LINK_IN_FLIGHT_MAX - 16, LINK_IN_FLIGHT_MAX); /* the link's own questions count, too */
    assert_int_equal(send_get(link, &outcomes[LINK_IN_FLIGHT_MAX]), ERR_OVERLOADED);
    fake_stop(redis);
    fake_wait(!link_is_up(link), link_tick(link));
    for (size_t i = 0; i < sent; i++)
        assert_int_equal(outcomes[i].calls, 1);
    assert_int_equal(outcomes[LINK_IN_FLIGHT_MAX].calls, 0);
}

static enum err send_large(struct link *link, struct outcome *outcome)
{
    struct buffer command = BUFFER_INIT, text = BUFFER_INIT;
    memset(buffer_reserve(&text, 1 << 20), 'x', 1 << 20);
    text.len = 1 << 20;
    command_begin(&command, 2);
    command_add(&command, STR("GET"));
    command_add(&command, buffer_str(&text));
    buffer_fini(&text);
    return link_send(link, &command, on_reply, outcome);
}

static void test_the_bytes_in_flight_are_bounded(void **state)
{
    (void)state;
    struct fake_redis *redis = fake_new();
    struct link *link = link_up(redis);
    fake_answer(redis, "GET", "+x\r\n");
    for (int round = 0; round < 2; round++) {
        struct outcome outcomes[LINK_BYTES_MAX >> 20] = {{0}}, refused = {0};
        size_t count = sizeof(outcomes) / sizeof(outcomes[0]);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(send_large(link, &outcomes[i]), ERR_NONE);
        uint64_t counted = metric_read(&metrics->command_errors[ERR_OVERLOADED]);
        assert_int_equal(send_get(link, &refused), ERR_OVERLOADED);
        assert_int_equal(metric_read(&metrics->command_errors[ERR_OVERLOADED]), counted + 1);
        fake_wait(outcomes[count - 1].calls > 0, link_tick(link));
        assert_int_equal(outcomes[count - 1].err, ERR_NONE);
    }
}

static void test_another_one_alike_goes_to_the_same_place(void **state)
{
    (void)state;
    struct fake_redis *redis = fake_new();
    struct link *link = link_up(redis), *alike = made[made_count++] = link_new_alike(link);
    fake_wait(link_is_up(alike), link_tick(alike));
    assert_int_equal(fake_count(redis, "SCRIPT"), 2 * SCRIPT_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_greets_and_takes_commands),
        cmocka_unit_test(test_commands_in_flight_end_once_when_the_connection_dies),
        cmocka_unit_test(test_it_comes_back_to_a_redis_that_was_away),
        cmocka_unit_test(test_it_says_why_it_is_not_up),
        cmocka_unit_test(test_what_only_adorns_may_be_refused),
        cmocka_unit_test(test_what_it_watches),
        cmocka_unit_test(test_a_script_that_is_gone_is_loaded_again_unseen),
        cmocka_unit_test(test_errors_of_redis_have_names),
        cmocka_unit_test(test_it_leaves_what_is_no_longer_the_primary),
        cmocka_unit_test(test_it_goes_where_a_cluster_points_for_one_attempt),
        cmocka_unit_test(test_one_that_answers_nothing_is_given_up),
        cmocka_unit_test(test_a_greeting_has_its_time),
        cmocka_unit_test(test_it_waits_longer_after_each_failure_but_not_for_long),
        cmocka_unit_test(test_what_is_to_be_done_before_it_is_up_is_done_first),
        cmocka_unit_test(test_what_is_in_flight_is_bounded),
        cmocka_unit_test(test_the_bytes_in_flight_are_bounded),
        cmocka_unit_test(test_another_one_alike_goes_to_the_same_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
