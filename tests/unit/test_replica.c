/*
 * Up to which moment a replica has everything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <cmocka.h>

#include "redis/link.h"
#include "redis/replica.h"
#include "unit/fake_redis.h"

static struct {
    struct fake_redis *primary, *follower;
    struct link *primary_link, *follower_link;
    struct replica *replica;
} all;

/* What INFO replication says; the fake keeps it. */
static const char *place(const char *line, const char *history, int offset)
{
    static char rooms[32][160];
    static size_t used;
    char text[128], *room = rooms[used++];
    assert_true(used <= 32);
    int len = snprintf(text, sizeof(text), "# Replication\r\nmaster_replid:%s\r\n%s:%d\r\n", history, line, offset);
    snprintf(room, sizeof(rooms[0]), "$%d\r\n%s\r\n", len, text);
    return room;
}

static void primary_is_at(const char *history, int offset)
{
    fake_answer(all.primary, "INFO", place("master_repl_offset", history, offset));
}

static void follower_is_at(const char *history, int offset)
{
    fake_answer(all.follower, "INFO", place("slave_repl_offset", history, offset));
}

static int tick(void)
{
    replica_tick(all.replica);
    link_tick(all.primary_link);
    link_tick(all.follower_link);
    return 0;
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

static void test_a_server_that_does_not_permit_info_is_asked_seldom(void **state)
{
    (void)state;
    let_both_be_asked(1);
    fake_answer(all.primary, "INFO", "-NOPERM this user has no permissions to run the 'info' command\r\n");
    int primary = fake_count(all.primary, "INFO"), follower = fake_count(all.follower, "INFO");
    fake_wait(fake_count(all.follower, "INFO") > follower + 4, tick());
    assert_in_range(fake_count(all.primary, "INFO"), primary, primary + 2);
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

static void test_a_follower_that_is_away_has_nothing(void **state)
{
    (void)state;
    fake_stop(all.follower);
    fake_wait(replica_complete_until(all.replica) == 0, tick());
    fake_listen(all.follower);
    fake_wait(replica_complete_until(all.replica) > 0, tick());
}

static void test_what_does_not_say_is_not_believed(void **state)
{
    (void)state;
    fake_answer(all.follower, "INFO", "$13\r\nno place here\r\n");
    fake_wait(replica_complete_until(all.replica) == 0, tick());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_that_is_behind_has_nothing_yet),
        cmocka_unit_test(test_one_that_has_followed_is_complete_until_the_primary_was_asked),
        cmocka_unit_test(test_another_history_forgets_everything),
        cmocka_unit_test(test_a_follower_that_is_away_has_nothing),
        cmocka_unit_test(test_what_does_not_say_is_not_believed),
        cmocka_unit_test(test_a_server_that_does_not_permit_info_is_asked_seldom), /* for a minute: the last one */
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
