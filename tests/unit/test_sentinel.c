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

#include <hiredis/hiredis.h>

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

/* The same with three Sentinels. */
static struct address *watched_by_three(const struct fake_redis *const sentinels[3])
{
    static struct address address;
    struct buffer url = BUFFER_INIT;
    const char *why;
    buffer_printf(&url, "redis+sentinel://127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d/fleet", sentinels[0]->port, sentinels[1]->port,
                  sentinels[2]->port);
    assert_int_equal(address_parse(buffer_str(&url), &address, &why), ERR_NONE);
    buffer_fini(&url);
    return &address;
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
        int64_t before = clock_ms();
        sentinel_ask(sentinel);
        fake_wait(found[i].answers > 0, sentinel_tick(sentinel));
        assert_true(clock_ms() - before < SENTINEL_TIMEOUT_MS); /* at once */
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
    assert_true(sentinel_tick(sentinel) > SENTINEL_TIMEOUT_MS); /* it asks nothing by itself */
    sentinel_ask(sentinel);
    fake_wait(fake_count(silent, "SENTINEL") > 0, sentinel_tick(sentinel));
    int32_t wait = sentinel_tick(sentinel);
    assert_in_range(wait, SENTINEL_TIMEOUT_MS / 2, SENTINEL_TIMEOUT_MS);
    fake_pass(wait - 1);
    assert_int_equal(sentinel_tick(sentinel), 1);
    fake_pass(1);
    assert_int_equal(sentinel_tick(sentinel), SENTINEL_TIMEOUT_MS); /* the next one has as long */
    fake_wait(found.answers > 0, sentinel_tick(sentinel));
    assert_int_equal(found.primary.port, primary->port);

    /* the one that has answered is asked first the next time, over the same connection */
    int asked = fake_count(silent, "SENTINEL"), known = fake_count(knowing, "SENTINEL");
    sentinel_ask(sentinel);
    sentinel_ask(sentinel); /* it is under way */
    fake_wait(found.answers > 1, sentinel_tick(sentinel));
    assert_int_equal(fake_count(knowing, "SENTINEL"), known + 1);
    assert_true(knowing->peers[0].fd != -1 && knowing->peers[1].fd == -1);
    assert_int_equal(fake_count(silent, "SENTINEL"), asked);
    fake_pass(2 * SENTINEL_TIMEOUT_MS); /* nothing is under way now */
    assert_true(sentinel_tick(sentinel) > SENTINEL_TIMEOUT_MS);
    assert_int_equal(found.answers, 2);

    /* unless what it named was no primary */
    sentinel_doubt(sentinel);
    sentinel_ask(sentinel);
    fake_wait(found.answers > 2, (fake_pass(10), sentinel_tick(sentinel)));
    assert_int_equal(fake_count(silent, "SENTINEL"), asked + 1);
    sentinel_ask(sentinel); /* once */
    fake_wait(found.answers > 3, sentinel_tick(sentinel));
    assert_int_equal(fake_count(silent, "SENTINEL"), asked + 1);
}

static void test_all_are_asked_in_turn(void **state)
{
    (void)state;
    struct fake_redis *sentinels[] = {fake_new(), fake_new(), fake_new()}, *primary = fake_new();
    static struct found found;
    fake_answer(sentinels[0], "SENTINEL", NOBODY);
    fake_answer(sentinels[1], "SENTINEL", NOBODY);
    fake_answer(sentinels[2], "SENTINEL", names(primary));
    struct sentinel *sentinel = new_asking(watched_by_three((const struct fake_redis *const *)sentinels), &found);
    sentinel_ask(sentinel);
    fake_wait(found.answers > 0, sentinel_tick(sentinel));
    assert_int_equal(found.primary.port, primary->port);
    sentinel_doubt(sentinel); /* then the first one comes next, and so on */
    sentinel_ask(sentinel);
    fake_wait(found.answers > 1, sentinel_tick(sentinel));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(fake_count(sentinels[i], "SENTINEL"), 2);
}

static void test_one_that_hangs_up_is_passed_over(void **state)
{
    (void)state;
    struct fake_redis *leaving = fake_new(), *knowing = fake_new(), *primary = fake_new();
    static struct found found;
    fake_answer(leaving, "SENTINEL", names(primary));
    fake_answer(knowing, "SENTINEL", names(primary));
    struct sentinel *sentinel = new_asking(watched_by(leaving, knowing, ""), &found);
    sentinel_ask(sentinel);
    fake_wait(found.answers > 0, sentinel_tick(sentinel));
    fake_stop(leaving); /* while it is asked nothing: no answer comes of that */
    for (int turn = 0; turn < 50; turn++) {
        sentinel_tick(sentinel);
        fake_turn();
    }
    assert_int_equal(found.answers, 1);
    fake_listen(leaving);
    fake_answer(leaving, "SENTINEL", NULL);
    int64_t before = clock_ms();
    sentinel_ask(sentinel);
    fake_wait(fake_count(leaving, "SENTINEL") > 1, sentinel_tick(sentinel));
    fake_hang_up(leaving);
    fake_wait(found.answers > 1, sentinel_tick(sentinel));
    assert_int_equal(found.primary.port, primary->port);
    assert_true(clock_ms() - before < SENTINEL_TIMEOUT_MS);
}

static void test_what_it_answers_is_checked(void **state)
{
    (void)state;
    char long_host[ADDRESS_HOST_MAX + 2];
    memset(long_host, 'h', sizeof(long_host));
    long_host[ADDRESS_HOST_MAX + 1] = '\0';
    const struct {
        const char *host;
        size_t host_len;
        const char *port;
        int result; /* 0: it names no primary */
    } pairs[] = {
        {"h", 1, "1", 1},
        {"10.0.0.1", 8, "65535", 65535},
        {"h", 1, "0", 0},
        {"h", 1, "-1", 0},
        {"h", 1, "65536", 0},
        {"h", 1, "4294973675", 0},
        {"h", 1, "", 0},
        {"", 0, "6379", 0},
        {long_host + 1, ADDRESS_HOST_MAX, "6379", 6379},
        {"h", 1, "nonsense", 0},
        {long_host, ADDRESS_HOST_MAX + 1, "6379", 0},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        redisReply host = {.type = REDIS_REPLY_STRING, .str = (char *)pairs[i].host, .len = pairs[i].host_len};
        redisReply port = {.type = REDIS_REPLY_STRING, .str = (char *)pairs[i].port, .len = strlen(pairs[i].port)};
        redisReply *both[] = {&host, &port}, reply = {.type = REDIS_REPLY_ARRAY, .elements = 2, .element = both};
        struct endpoint out = {.port = 0};
        const char *why = sentinel_read(&reply, &out);
        assert_true((why == NULL) == (pairs[i].result > 0));
        assert_int_equal(out.port, pairs[i].result);
        assert_string_equal(out.host, why == NULL ? pairs[i].host : "");
        for (size_t j = 0; j < 2; j++) { /* what has another form */
            both[j]->type = REDIS_REPLY_INTEGER;
            assert_non_null(sentinel_read(&reply, &out));
            both[j]->type = REDIS_REPLY_STRING;
        }
        reply.elements = 1;
        assert_non_null(sentinel_read(&reply, &out));
    }
    struct endpoint out;
    redisReply error = {.type = REDIS_REPLY_ERROR, .str = (char *)"NOAUTH"}, nil = {.type = REDIS_REPLY_NIL};
    redisReply number = {.type = REDIS_REPLY_INTEGER, .elements = 2};
    assert_string_equal(sentinel_read(&error, &out), "NOAUTH");
    assert_string_equal(sentinel_read(&nil, &out), "it has no primary of that name");
    assert_non_null(sentinel_read(&number, &out));
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
    sentinel_ask(sentinel); /* and again */
    fake_wait(found.answers > 1, sentinel_tick(sentinel));
    assert_int_equal(fake_count(a, "SENTINEL") + fake_count(b, "SENTINEL"), 4);
}

static void test_a_password_is_sent_and_a_refused_one_is_the_reason(void **state)
{
    (void)state;
    struct fake_redis *a = fake_new(), *b = fake_new(), *primary = fake_new();
    static struct found found[2];
    static const struct {
        const char *options;
        bool needed;
    } secrets[] = {
        {"", false}, {"?sentinel_user=u", true}, {"?sentinel_password=p", true}, {"?sentinel_user=u&sentinel_password=p", true}};
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        struct buffer out = BUFFER_INIT;
        assert_true(sentinel_auth(&out, watched_by(a, b, secrets[i].options)) == secrets[i].needed);
        assert_true((out.len > 0) == secrets[i].needed);
        buffer_fini(&out);
    }
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

    fake_answer(sentinel, "SENTINEL", names(new)); /* although the old one goes on answering */
    fake_wait(fake_count(new, "SCRIPT") == SCRIPT_COUNT && link_is_up(link), (fake_pass(10), link_tick(link)));
    assert_int_equal(link_endpoint(link)->port, new->port);

    fake_answer(sentinel, "SENTINEL", NOBODY); /* what they don't know drops nothing */
    int asked = fake_count(sentinel, "SENTINEL");
    fake_wait(fake_count(sentinel, "SENTINEL") > asked + 1, (fake_pass(10), link_tick(link)));
    assert_true(link_is_up(link));

    fake_stop(new); /* then nobody knows where to go, and the link says so and goes on asking */
    fake_wait(strstr(link_why(link), "no Sentinel knows") != NULL, (fake_pass(10), link_tick(link)));
    assert_int_equal(link_check(link), ERR_UNAVAILABLE);
    fake_answer(sentinel, "SENTINEL", names(old));
    fake_wait(link_is_up(link), (fake_pass(10), link_tick(link)));
}

static void test_one_that_names_no_primary_is_doubted(void **state)
{
    (void)state;
    static struct link *links[2];
    for (size_t i = 0; i < 2; i++) {
        struct fake_redis *wrong = fake_new(), *right = fake_new(), *named = fake_new(), *primary = fake_new();
        fake_answer(wrong, "SENTINEL", names(named));
        fake_answer(right, "SENTINEL", names(primary));
        if (i == 0)
            fake_stop(named);
        else
            fake_answer(named, "ROLE", "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:1\r\n$7\r\nconnect\r\n:0\r\n");
        links[i] = link_new(fake_loop(), fake_resolver(), watched_by(wrong, right, ""));
        fake_wait(link_is_up(links[i]), (fake_pass(10), link_tick(links[i])));
        assert_int_equal(link_endpoint(links[i])->port, primary->port);
        assert_int_equal(fake_count(wrong, "SENTINEL"), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_those_that_do_not_know_are_passed_over),
        cmocka_unit_test(test_one_that_is_silent_is_passed_over),
        cmocka_unit_test(test_all_are_asked_in_turn),
        cmocka_unit_test(test_one_that_hangs_up_is_passed_over),
        cmocka_unit_test(test_what_it_answers_is_checked),
        cmocka_unit_test(test_nobody_knows),
        cmocka_unit_test(test_a_password_is_sent_and_a_refused_one_is_the_reason),
        cmocka_unit_test(test_the_link_goes_where_they_point),
        cmocka_unit_test(test_one_that_names_no_primary_is_doubted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
