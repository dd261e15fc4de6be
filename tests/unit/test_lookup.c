/* Names of workers: who looks them up, how often, and that a request goes to no address that was not looked at. */
#include "far_end.h"

#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static int listener, port;
static atomic_int calls;
static sem_t go_on;        /* what a slow name server waits for */
static atomic_int gone_on; /* how often it has waited for that */

static void add(struct lookup_result *result, const char *text)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    bool is_ipv4 = inet_pton(AF_INET, text, &ipv4.sin_addr) == 1;
    if (!is_ipv4 && inet_pton(AF_INET6, text, &ipv6.sin6_addr) != 1)
        abort();
    const void *name = is_ipv4 ? (const void *)&ipv4 : (const void *)&ipv6;
    if (!network_address_read(name, &result->addresses[result->count++]))
        abort();
}

/* The name server of these tests. It is called in a thread. */
static void resolve(const char *name, struct lookup_result *result)
{
    int call = atomic_fetch_add(&calls, 1);
    if (strncmp(name, "slow", 4) == 0 || (strcmp(name, "tardy.test") == 0 && call > 0)) {
        sem_wait(&go_on);
        atomic_fetch_add(&gone_on, 1);
    }
    if (strcmp(name, "nobody.test") == 0) {
        result->why = "it is not known";
    } else if (strcmp(name, "mixed.test") == 0) {
        add(result, "127.0.0.1");
        add(result, "169.254.169.254");
    } else if (strstr(name, "inner.test") != NULL) {
        add(result, "10.0.0.1");
    } else if (strcmp(name, "mapped.test") == 0) {
        add(result, "64:ff9b::7f00:1");
    } else if (strcmp(name, "blinks.test") == 0 && call > 0) {
        result->why = call == 1 ? "the name server does not answer" : "it is not known";
        result->is_passing = call == 1;
    } else if (strcmp(name, "rebinds.test") == 0) {
        add(result, call == 0 ? "127.0.0.1" : "10.0.0.1");
    } else if (strcmp(name, "two.test") == 0) {
        add(result, "127.0.0.99");
        add(result, "127.0.0.1");
    } else {
        add(result, "127.0.0.1");
    }
}

static int setup(void **state)
{
    port = 0;
    atomic_store(&calls, 0);
    atomic_store(&gone_on, 0);
    lookup_use_resolver(resolve, LOOKUP_KEPT_MS);
    if (far_end_setup(state) != 0)
        return 1;
    listener = listen_at("127.0.0.1", 64, &port);
    return 0;
}

static int teardown(void **state)
{
    close(listener);
    lookup_use_resolver(NULL, LOOKUP_KEPT_MS);
    return far_end_teardown(state);
}

static void dial_name(struct seen *seen, const char *name, struct exchange_request request)
{
    char url[128];
    snprintf(url, sizeof(url), "http://%s:%d", name, port);
    dial(seen, url, request);
}

static void expect_failure(const char *name, enum exchange_fault fault)
{
    struct seen seen = {.exchange = NULL};
    dial_name(&seen, name, (struct exchange_request){.safe = true});
    RUN_UNTIL(is_over(&seen));
    if (!seen.failed || seen.failure.fault != fault || seen.failure.delivered)
        fail_msg("%s: %s", name, seen.failed ? exchange_fault_word(seen.failure.fault) : "an answer");
    forget(&seen);
    assert_false(has_something(listener));
}

static void expect_answer(const char *name)
{
    struct seen seen = {.exchange = NULL};
    dial_name(&seen, name, (struct exchange_request){.safe = true});
    int fd = take_request(listener);
    say(fd, STR(OK));
    RUN_UNTIL(is_over(&seen));
    if (!seen.whole)
        fail_msg("%s: %s", name, seen.why);
    forget(&seen);
    close(fd);
    RUN_UNTIL(upstream_count(upstream).idle == 0);
}

static void test_a_name_is_looked_up_once_and_kept(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        expect_answer("worker.test");
    assert_int_equal(calls, 1);
    expect_answer("other.test");
    assert_int_equal(calls, 2);
}

/* A failure is kept, too: a name that is none costs one question. */
static void test_a_name_without_address(void **state)
{
    (void)state;
    expect_failure("nobody.test", EXCHANGE_LOOKUP);
    expect_failure("nobody.test", EXCHANGE_LOOKUP);
    assert_int_equal(calls, 1);
}

/* Each address must be allowed; and it is the one that was looked at which is connected to, whatever the name means by then. */
static void test_names_of_forbidden_places(void **state)
{
    (void)state;
    static const char *const names[] = {"mixed.test", "inner.test", "mapped.test"};
    for (size_t i = 0; i < 3; i++)
        expect_failure(names[i], EXCHANGE_FORBIDDEN);
    assert_int_equal(upstream_count(upstream).connects, 0);
    atomic_store(&calls, 0);
    expect_answer("rebinds.test");
    expect_answer("rebinds.test"); /* by the same answer */
    assert_int_equal(calls, 1);
    lookup_use_resolver(resolve, LOOKUP_KEPT_MS); /* as if the time of what is kept were over */
    expect_failure("rebinds.test", EXCHANGE_FORBIDDEN);
}

static void test_the_second_address_when_the_first_refuses(void **state)
{
    (void)state;
    expect_answer("two.test");
    assert_int_equal(upstream_count(upstream).connects, 2);
}

/* Many who ask for one name share its look-up; whoever leaves does not end it for the others. */
static void test_one_look_up_for_all_who_wait(void **state)
{
    (void)state;
    struct seen seen[20] = {{.exchange = NULL}};
    for (int i = 0; i < 20; i++)
        dial_name(&seen[i], "slow.test", (struct exchange_request){.safe = true});
    RUN_UNTIL(calls == 1);
    for (int i = 1; i < 20; i++)
        forget(&seen[i]);
    sem_post(&go_on);
    int fd = take_request(listener);
    say(fd, STR(OK));
    RUN_UNTIL(is_over(&seen[0]));
    assert_true(seen[0].whole);
    assert_int_equal(calls, 1);
    assert_int_equal(upstream_count(upstream).connects, 1);
    forget(&seen[0]);
    close(fd);
}

/* A name server that does not answer is given up; the other names have threads of their own, up to their number. */
static void test_a_slow_name_server(void **state)
{
    (void)state;
    struct seen seen[LOOKUP_THREADS] = {{.exchange = NULL}};
    for (int i = 0; i < LOOKUP_THREADS; i++) {
        char name[32];
        snprintf(name, sizeof(name), "slow%d.test", i);
        if (i == LOOKUP_THREADS - 1)
            expect_answer("quick.test");
        dial_name(&seen[i], name, (struct exchange_request){.lookup_ms = 100});
    }
    for (int i = 0; i < LOOKUP_THREADS; i++) {
        RUN_UNTIL(is_over(&seen[i]));
        assert_true(seen[i].failed && seen[i].failure.fault == EXCHANGE_LOOKUP_TIMEOUT && !seen[i].failure.delivered);
        forget(&seen[i]);
    }
    for (int i = 0; i < LOOKUP_THREADS; i++)
        sem_post(&go_on);
    RUN_UNTIL(gone_on == LOOKUP_THREADS); /* or names of the next test would go on in their place */
    expect_answer("quick.test");
}

/* More names than may wait. */
static void test_too_many_names(void **state)
{
    (void)state;
    enum { MANY = LOOKUP_THREADS + LOOKUP_WAITING_MAX + 8 };
    struct seen *seen = calloc(MANY, sizeof(*seen));
    int refused = 0;
    for (int i = 0; i < MANY; i++) {
        char name[32];
        snprintf(name, sizeof(name), "slow-%d.test", i);
        dial_name(&seen[i], name, (struct exchange_request){.safe = true});
    }
    turn();
    turn();
    for (int i = 0; i < MANY; i++) {
        refused += seen[i].failed && seen[i].failure.fault == EXCHANGE_LOOKUP;
        forget(&seen[i]);
        sem_post(&go_on);
    }
    assert_in_range(refused, 1, 8 + LOOKUP_THREADS);
    free(seen);
    RUN_UNTIL(calls > LOOKUP_THREADS); /* a place has become free */
    expect_answer("quick.test");       /* behind all of them */
}

/* Strangers may make up names without end. The ones that were kept last stay no longer, and a new one is looked up at once. */
static void test_more_names_than_are_kept(void **state)
{
    (void)state;
    for (int i = 0; i < LOOKUP_CACHE_MAX + LOOKUP_CACHE_MAX / 4; i++) {
        char name[32];
        snprintf(name, sizeof(name), "%d.inner.test", i);
        expect_failure(name, EXCHANGE_FORBIDDEN);
    }
    atomic_store(&calls, 0);
    expect_answer("worker.test");
    expect_answer("worker.test");
    assert_int_equal(calls, 1);
}

/* A name that is asked for all the time costs nobody a wait; and what it means by now counts from the next request on. */
static void test_a_name_is_looked_up_anew(void **state)
{
    (void)state;
    lookup_use_resolver(resolve, 200);
    expect_answer("rebinds.test");
    int64_t until = clock_ms() + 210;
    RUN_UNTIL(clock_ms() > until);
    expect_answer("rebinds.test"); /* by what is known, and connected to that */
    struct lookup_result result;
    RUN_UNTIL(lookup_find("rebinds.test", &result) && !network_is_loopback(&result.addresses[0]));
    expect_failure("rebinds.test", EXCHANGE_FORBIDDEN);
}

/* While name servers don't answer, a worker stays where it was. Once they say that there is no such name, it is gone. */
static void test_name_servers_that_do_not_answer(void **state)
{
    (void)state;
    struct lookup_result result;
    lookup_use_resolver(resolve, 200);
    expect_answer("blinks.test");
    RUN_UNTIL(lookup_find("blinks.test", &result) && calls == 2);
    int64_t until = clock_ms() + 410; /* longer than the first result is used */
    RUN_UNTIL(clock_ms() > until);
    expect_answer("blinks.test");
    RUN_UNTIL(lookup_find("blinks.test", &result) && result.why != NULL);
    expect_failure("blinks.test", EXCHANGE_LOOKUP);
}

/* Nor does a request wait for them in vain, if it is known where the worker was. */
static void test_name_servers_that_have_become_slow(void **state)
{
    (void)state;
    struct seen seen = {.exchange = NULL};
    while (sem_trywait(&go_on) == 0) /* other tests may have left some */
        ;
    lookup_use_resolver(resolve, 50);
    expect_answer("tardy.test");
    int64_t until = clock_ms() + 110; /* longer than the result is used */
    RUN_UNTIL(clock_ms() > until);
    dial_name(&seen, "tardy.test", (struct exchange_request){.lookup_ms = 100});
    int fd = take_request(listener);
    say(fd, STR(OK));
    RUN_UNTIL(is_over(&seen));
    assert_true(seen.whole);
    forget(&seen);
    close(fd);
    assert_int_equal(gone_on, 0);
    sem_post(&go_on);
    RUN_UNTIL(gone_on == 1);
}

/* The system's own resolver, on a name that needs no server. */
static void test_localhost(void **state)
{
    (void)state;
    lookup_use_resolver(NULL, LOOKUP_KEPT_MS);
    expect_answer("localhost");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    sem_init(&go_on, 0, 0);
    const struct CMUnitTest tests[] = {
        TEST(test_a_name_is_looked_up_once_and_kept),
        TEST(test_a_name_without_address),
        TEST(test_names_of_forbidden_places),
        TEST(test_the_second_address_when_the_first_refuses),
        TEST(test_one_look_up_for_all_who_wait),
        TEST(test_a_slow_name_server),
        TEST(test_too_many_names),
        TEST(test_more_names_than_are_kept),
        TEST(test_a_name_is_looked_up_anew),
        TEST(test_name_servers_that_do_not_answer),
        TEST(test_name_servers_that_have_become_slow),
        TEST(test_localhost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
