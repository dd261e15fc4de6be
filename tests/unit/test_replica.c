/*
 * Up to which moment a replica has everything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <cmocka.h>

#include "redis/command.h"
#include "redis/link.h"
#include "redis/replica.h"
#include "unit/fake_redis.h"

#define ASK_MS 200           /* between two questions to a server */
#define REFUSED_ASK_MS 60000 /* to one that does not permit them */
#define SAMPLES 512

static struct {
    struct fake_redis *primary, *follower;
    char primary_says[160], follower_says[160];
    struct link *primary_link, *follower_link;
    struct replica *replica;
} all;

/* What INFO replication says. */
static void place(char says[160], const char *line, const char *history, int offset)
{
    char text[128];
    int len = snprintf(text, sizeof(text), "# Replication\r\nmaster_replid:%s\r\n%s:%d\r\n", history, line, offset);
    snprintf(says, 160, "$%d\r\n%s\r\n", len, text);
}

static void primary_is_at(const char *history, int offset)
{
    place(all.primary_says, "master_repl_offset", history, offset);
}

static void follower_is_at(const char *history, int offset)
{
    place(all.follower_says, "slave_repl_offset", history, offset);
}

static int tick(void)
{
    replica_tick(all.replica);
    link_tick(all.primary_link);
    link_tick(all.follower_link);
    fake_pass(ASK_MS / 10);
    return 0;
}

static void on_got(void *data, enum err err, const struct redisReply *reply)
{
    (void)err;
    (void)reply;
    ++*(int *)data;
}

static enum err send_get(struct link *link, int *got)
{
    struct buffer command = BUFFER_INIT;
    command_begin(&command, 2);
    command_add(&command, STR("GET"));
    command_add(&command, STR("key"));
    return link_send(link, &command, on_got, got);
}

/* Asks both servers once, and waits for their answers. Returns when they were asked. */
static int64_t ask_both(void)
{
    int got = 0;
    fake_pass(ASK_MS);
    int64_t asked_at = clock_ms();
    replica_tick(all.replica);
    assert_int_equal(send_get(all.primary_link, &got), ERR_NONE);
    assert_int_equal(send_get(all.follower_link, &got), ERR_NONE);
    fake_wait(got == 2, (link_tick(all.primary_link), link_tick(all.follower_link), 0));
    return asked_at;
}

/* Waits until both have been asked `times` more. */
static void let_both_be_asked(int times)
{
    int primary = fake_count(all.primary, "INFO"), follower = fake_count(all.follower, "INFO");
    fake_wait(fake_count(all.primary, "INFO") > primary + times && fake_count(all.follower, "INFO") > follower + times, tick());
}

static int setup(void **state)
{
    (void)state;
    all.primary = fake_new();
    all.follower = fake_new();
    fake_address(all.follower)->replica = true;
    all.primary_link = link_new(fake_loop(), fake_resolver(), fake_address(all.primary));
    all.follower_link = link_new(fake_loop(), fake_resolver(), &all.follower->address);
    all.replica = replica_new(all.primary_link, all.follower_link);
    primary_is_at("a", 100);
    follower_is_at("a", 50);
    fake_answer(all.primary, "INFO", all.primary_says);
    fake_answer(all.follower, "INFO", all.follower_says);
    fake_answer(all.primary, "GET", "+value\r\n");
    fake_answer(all.follower, "GET", "+value\r\n");
    fake_wait(link_is_up(all.primary_link) && link_is_up(all.follower_link), tick());
    return 0;
}

static void test_one_that_is_behind_has_nothing_yet(void **state)
{
    (void)state;
    let_both_be_asked(2);
    assert_int_equal(replica_complete_until(all.replica), 0);
}

static void test_one_that_has_followed_is_complete_until_the_primary_was_asked(void **state)
{
    (void)state;
    follower_is_at("a", 100);
    int64_t before = clock_ms();
    fake_wait(replica_complete_until(all.replica) > 0, tick());
    assert_true(replica_complete_until(all.replica) <= clock_ms());
    fake_wait(replica_complete_until(all.replica) >= before, tick());

    primary_is_at("a", 200); /* it falls behind again, and keeps what it has */
    let_both_be_asked(2);
    int64_t kept = replica_complete_until(all.replica);
    assert_true(kept > 0);
    let_both_be_asked(2);
    assert_int_equal(replica_complete_until(all.replica), kept);
    follower_is_at("a", 200);
    fake_wait(replica_complete_until(all.replica) > kept, tick());
}

/* Goes last. */
static void test_a_server_that_does_not_permit_info_is_asked_seldom(void **state)
{
    (void)state;
    primary_is_at("d", 100);
    follower_is_at("d", 100);
    fake_wait(replica_complete_until(all.replica) > 0, tick());
    int64_t before = replica_complete_until(all.replica);
    snprintf(all.primary_says, sizeof(all.primary_says), "-NOPERM this user has no permissions to run the 'info' command\r\n");
    ask_both(); /* a question may have been on its way */
    ask_both();
    int primary = fake_count(all.primary, "INFO");
    int64_t kept = replica_complete_until(all.replica);
    assert_true(kept >= before);
    for (int64_t end = clock_ms() + REFUSED_ASK_MS - 2 * ASK_MS - 1000; clock_ms() < end;)
        ask_both();
    assert_int_equal(fake_count(all.primary, "INFO"), primary);
    assert_int_equal(replica_complete_until(all.replica), kept); /* no answer says that it has more */
    fake_wait(fake_count(all.primary, "INFO") > primary, tick());
}

static void test_another_history_forgets_everything(void **state)
{
    (void)state;
    follower_is_at("b", 1000);
    fake_wait(replica_complete_until(all.replica) == 0, tick());
    follower_is_at("a", 200);
    fake_wait(replica_complete_until(all.replica) > 0, tick());
    primary_is_at("c", 1); /* a primary that began anew */
    fake_wait(replica_complete_until(all.replica) == 0, tick());
    let_both_be_asked(2);
    assert_int_equal(replica_complete_until(all.replica), 0);
    follower_is_at("c", 1);
    fake_wait(replica_complete_until(all.replica) > 0, tick());
}

static void test_a_primary_that_lost_data_begins_anew(void **state)
{
    (void)state;
    primary_is_at("c", 1000);
    follower_is_at("c", 1000);
    fake_wait(replica_complete_until(all.replica) > 0, tick());
    ask_both();
    primary_is_at("c", 1050);
    ask_both();
    primary_is_at("c", 1100);
    ask_both();
    assert_true(replica_complete_until(all.replica) > 0);
    primary_is_at("c", 1075);
    follower_is_at("c", 1010);
    ask_both();
    ask_both();
    assert_int_equal(replica_complete_until(all.replica), 0);
    follower_is_at("c", 1080);
    ask_both();
    int64_t asked_at = ask_both();
    assert_in_range(replica_complete_until(all.replica), asked_at - ASK_MS - 50, asked_at);
}

static void test_it_knows_when_the_primary_was_where_the_follower_is(void **state)
{
    (void)state;
    static int64_t moments[SAMPLES + 100];
    size_t count = sizeof(moments) / sizeof(moments[0]);
    primary_is_at("e", 1000);
    follower_is_at("e", 10);
    fake_wait(replica_complete_until(all.replica) == 0, tick());
    for (size_t i = 0; i < count; i++) {
        primary_is_at("e", 2000 + (int)i);
        moments[i] = ask_both();
    }
    assert_int_equal(replica_complete_until(all.replica), 0);
    follower_is_at("e", 2000 + (int)count - SAMPLES - 1); /* so much it does not remember */
    ask_both();
    assert_int_equal(replica_complete_until(all.replica), 0);
    static const size_t places[] = {SAMPLES / 2, SAMPLES / 2 + 1, SAMPLES, SAMPLES + 98};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        follower_is_at("e", 2000 + (int)places[i]);
        ask_both();
        assert_int_equal(replica_complete_until(all.replica), moments[places[i]]);
    }
}

static void test_a_question_is_asked_once_until_it_is_answered(void **state)
{
    (void)state;
    int asked = fake_count(all.primary, "INFO");
    fake_answer_times(all.primary, "INFO", NULL, 1);
    fake_wait(fake_count(all.primary, "INFO") > asked, tick());
    for (int turn = 0; turn < 100; turn++) {
        replica_tick(all.replica);
        link_flush(all.primary_link);
        fake_turn();
    }
    fake_pass(ASK_MS);
    replica_tick(all.replica);
    link_flush(all.primary_link);
    fake_turn();
    assert_int_equal(fake_count(all.primary, "INFO"), asked + 1);
    fake_hang_up(all.primary);
    fake_wait(fake_count(all.primary, "INFO") > asked + 4, tick()); /* those of two greetings among them */

    /* one that could not be sent is no question */
    static int got;
    fake_answer(all.primary, "GET", NULL);
    fake_wait(link_is_up(all.primary_link), tick());
    while (send_get(all.primary_link, &got) == ERR_NONE)
        ;
    fake_pass(ASK_MS);
    replica_tick(all.replica);
    fake_hang_up(all.primary);
    fake_answer(all.primary, "GET", "+value\r\n");
    fake_wait(!link_is_up(all.primary_link), (fake_turn(), 0));
    asked = fake_count(all.primary, "INFO");
    fake_wait(fake_count(all.primary, "INFO") > asked + 2, tick());
}

static void test_one_that_is_away(void **state)
{
    (void)state;
    primary_is_at("a", 200);
    follower_is_at("a", 200);
    fake_wait(replica_complete_until(all.replica) > 0, tick());
    fake_stop(all.follower); /* the follower: it has nothing */
    fake_wait(replica_complete_until(all.replica) == 0, tick());
    assert_false(replica_is_alone(all.replica));
    fake_listen(all.follower);
    fake_wait(replica_complete_until(all.replica) > 0, tick());
    fake_stop(all.primary);
    fake_wait(replica_is_alone(all.replica), tick());
    fake_listen(all.primary);
    fake_wait(!replica_is_alone(all.replica), tick());
}

static void test_what_does_not_say_is_not_believed(void **state)
{
    (void)state;
    static const char *const replies[] = {
        "$13\r\nno place here\r\n",
        ":1\r\n",
        "*0\r\n",
        "$-1\r\n",
        "$26\r\nx\r\nslave_repl_offset:200\r\n\r\n",
        "$20\r\nx\r\nmaster_replid:a\r\n\r\n",
        "$132\r\nx\r\nmaster_replid:"
        "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\r\nslave_repl_offset:"
        "200\r\n\r\n",
    };
    static const char *const history = "0123456789012345678901234567890123456789"; /* as long as Redis's */
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        primary_is_at(history, 200);
        follower_is_at(history, 200);
        fake_wait(replica_complete_until(all.replica) > 0, tick());
        snprintf(all.follower_says, sizeof(all.follower_says), "%s", replies[i]);
        fake_wait(replica_complete_until(all.replica) == 0, tick());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_that_is_behind_has_nothing_yet),
        cmocka_unit_test(test_one_that_has_followed_is_complete_until_the_primary_was_asked),
        cmocka_unit_test(test_another_history_forgets_everything),
        cmocka_unit_test(test_a_primary_that_lost_data_begins_anew),
        cmocka_unit_test(test_it_knows_when_the_primary_was_where_the_follower_is),
        cmocka_unit_test(test_a_question_is_asked_once_until_it_is_answered),
        cmocka_unit_test(test_one_that_is_away),
        cmocka_unit_test(test_what_does_not_say_is_not_believed),
        cmocka_unit_test(test_a_server_that_does_not_permit_info_is_asked_seldom),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
