/*
 * Where Sentinels say that the primary is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <cmocka.h>

#include "redis/link.h"
#include "redis/sentinel.h"
#include "unit/fake_redis.h"

#define NOBODY "*-1\r\n"

/* What a Sentinel answers when it takes `redis` for the primary; the fake keeps it. */
static const char *names(const struct fake_redis *redis)
{
    static char rooms[16][80];
    static size_t used;
    char port[8], *room = rooms[used++];
    assert_true(used <= 16);
    int len = snprintf(port, sizeof(port), "%d", redis->port);
    snprintf(room, sizeof(rooms[0]), "*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n", len, port);
    return room;
}

/* The address that names these Sentinels, which lives as long as the program. */
static struct address *watched_by(const struct fake_redis *first, const struct fake_redis *second, const char *options)
{
    static struct address addresses[16];
    static size_t used;
    struct buffer url = BUFFER_INIT;
    const char *why;
    assert_true(used < 16);
    buffer_printf(&url, "redis+sentinel://127.0.0.1:%d,127.0.0.1:%d/fleet%s", first->port, second->port, options);
    assert_int_equal(address_parse(buffer_str(&url), &addresses[used], &why), ERR_NONE);
    buffer_fini(&url);
    return &addresses[used++];
}

struct found {
    int answers;
    struct endpoint primary; /* port 0: nobody knows */
    char why[128];
};

static void on_found(void *data, const struct endpoint *primary, const char *why)
{
    struct found *found = data;
    found->answers++;
    found->primary = primary != NULL ? *primary : (struct endpoint){.port = 0};
    snprintf(found->why, sizeof(found->why), "%s", why != NULL ? why : "");
}

static struct sentinel *made[16];
static size_t made_count;

static struct sentinel *new_asking(struct address *address, struct found *found)
{
    return made[made_count++] = sentinel_new(fake_loop(), fake_resolver(), address, on_found, found);
}

static void test_those_that_do_not_know_are_passed_over(void **state)
{
    (void)state;
    struct fake_redis *dead = fake_new(), *unknowing = fake_new(), *knowing = fake_new(), *primary = fake_new();
    static struct found found[2];
    fake_stop(dead);
    fake_answer(unknowing, "SENTINEL", NOBODY);
    fake_answer(knowing, "SENTINEL", names(primary));
    const struct fake_redis *firsts[] = {dead, unknowing};
    for (size_t i = 0; i < 2; i++) {
        struct sentinel *sentinel = new_asking(watched_by(firsts[i], knowing, ""), &found[i]);
        sentinel_ask(sentinel);
        fake_wait(found[i].answers > 0, sentinel_tick(sentinel));
        assert_int_equal(found[i].answers, 1);
        assert_int_equal(found[i].primary.port, primary->port);
        assert_string_equal(found[i].primary.host, "127.0.0.1");
    }
    assert_memory_equal(knowing->last.ptr + knowing->last.len - 6, " fleet", 6); /* the name that they were given */
}

static void test_one_that_is_silent_is_passed_over(void **state)
{
    (void)state;
    struct fake_redis *silent = fake_new(), *knowing = fake_new(), *primary = fake_new();
    static struct found found;
    fake_answer(silent, "SENTINEL", NULL);
    fake_answer(knowing, "SENTINEL", names(primary));
    struct sentinel *sentinel = new_asking(watched_by(silent, knowing, ""), &found);
    sentinel_ask(sentinel);
    fake_wait(found.answers > 0, sentinel_tick(sentinel));
    assert_int_equal(found.primary.port, primary->port);

    /* the one that has answered is asked first the next time, over the same connection */
    int asked = fake_count(silent, "SENTINEL");
    sentinel_ask(sentinel);
    fake_wait(found.answers > 1, sentinel_tick(sentinel));
    assert_int_equal(fake_count(silent, "SENTINEL"), asked);

    /* unless what it named was no primary */
    sentinel_doubt(sentinel);
    sentinel_ask(sentinel);
    fake_wait(found.answers > 2, sentinel_tick(sentinel));
    assert_int_equal(fake_count(silent, "SENTINEL"), asked + 1);
}

static void test_nobody_knows(void **state)
{
    (void)state;
    struct fake_redis *a = fake_new(), *b = fake_new();
    static struct found found;
    fake_answer(a, "SENTINEL", NOBODY);
    fake_answer(b, "SENTINEL", NOBODY);
    struct sentinel *sentinel = new_asking(watched_by(a, b, ""), &found);
    sentinel_ask(sentinel);
    sentinel_ask(sentinel); /* while one is under way: none */
    fake_wait(found.answers > 0, sentinel_tick(sentinel));
    assert_int_equal(found.answers, 1);
    assert_int_equal(found.primary.port, 0);
    assert_true(found.why[0] != '\0');
}

static void test_a_password_is_sent_and_a_refused_one_is_the_reason(void **state)
{
    (void)state;
    struct fake_redis *a = fake_new(), *b = fake_new(), *primary = fake_new();
    static struct found found[2];
    fake_answer(a, "SENTINEL", names(primary));
    struct sentinel *let_in = new_asking(watched_by(a, b, "?sentinel_user=me&sentinel_password=pw"), &found[0]);
    sentinel_ask(let_in);
    fake_wait(found[0].answers > 0, sentinel_tick(let_in));
    assert_int_equal(fake_count(a, "AUTH"), 1);
    assert_int_equal(found[0].primary.port, primary->port);

    struct fake_redis *closed[] = {fake_new(), fake_new()};
    for (size_t i = 0; i < 2; i++) {
        fake_answer(closed[i], "AUTH", "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
        fake_answer(closed[i], "SENTINEL", "-NOAUTH Authentication required.\r\n");
    }
    struct sentinel *kept_out = new_asking(watched_by(closed[0], closed[1], "?sentinel_password=wrong"), &found[1]);
    sentinel_ask(kept_out);
    fake_wait(found[1].answers > 0, sentinel_tick(kept_out));
    assert_int_equal(found[1].primary.port, 0);
    assert_non_null(strstr(found[1].why, "WRONGPASS"));
}

static void test_the_link_goes_where_they_point(void **state)
{
    (void)state;
    struct fake_redis *sentinel = fake_new(), *other = fake_new(), *old = fake_new(), *new = fake_new();
    fake_answer(sentinel, "SENTINEL", names(old));
    fake_stop(other);
    static struct link *link;
    link = link_new(fake_loop(), fake_resolver(), watched_by(sentinel, other, ""));
    fake_wait(link_is_up(link), link_tick(link));
    assert_int_equal(fake_count(old, "SCRIPT"), SCRIPT_COUNT);
    assert_int_equal(fake_count(new, "SCRIPT"), 0);

    fake_answer(sentinel, "SENTINEL", names(new)); /* the old one is frozen, and says nothing */
    fake_answer(old, "EXISTS", NULL);
    fake_answer(old, "ROLE", NULL);
    fake_wait(fake_count(new, "SCRIPT") == SCRIPT_COUNT && link_is_up(link), link_tick(link));

    fake_answer(sentinel, "SENTINEL", NOBODY); /* what they don't know drops nothing */
    int asked = fake_count(sentinel, "SENTINEL");
    fake_wait(fake_count(sentinel, "SENTINEL") > asked + 1, link_tick(link));
    assert_true(link_is_up(link));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_those_that_do_not_know_are_passed_over),
        cmocka_unit_test(test_one_that_is_silent_is_passed_over),
        cmocka_unit_test(test_nobody_knows),
        cmocka_unit_test(test_a_password_is_sent_and_a_refused_one_is_the_reason),
        cmocka_unit_test(test_the_link_goes_where_they_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
