/* Requests to workers: what is sent, what comes back, and every way in which a worker may fail. */
#include "far_end.h"
#include "upstream/internal.h"

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>

static int listener, port;
static char url[64];

#define OK "HTTP/1.1 200 OK\r\n"

static int setup(void **state)
{
    if (far_end_setup(state) != 0)
        return 1;
    port = 0;
    listener = listen_at("127.0.0.1", 64, &port);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", port);
    return 0;
}

static int teardown(void **state)
{
    close(listener);
    return far_end_teardown(state);
}

static void expect_failure(const struct seen *seen, enum exchange_fault fault, bool delivered)
{
    if (!seen->failed || seen->failure.fault != fault || seen->failure.delivered != delivered)
        fail_msg("%s (%s)%s instead of %s%s", seen->failed ? exchange_fault_word(seen->failure.fault) : "an answer", seen->why,
                 seen->failure.delivered ? ", delivered" : "", exchange_fault_word(fault), delivered ? ", delivered" : "");
}

static void test_an_answer_and_the_next_on_the_same_connection(void **state)
{
    (void)state;
    char room[4096];
    struct seen seen = {.exchange = NULL};
    dial(&seen, url, (struct exchange_request){.safe = true});
    int fd = take_connection(listener);
    read_until(fd, "\r\n\r\n", room, sizeof(room));
    assert_string_equal(room, "GET / HTTP/1.1\r\nHost: w\r\n\r\n");
    say(fd, STR(OK "X-A:  b \r\nContent-Length: 5\r\n\r\nhello"));
    RUN_UNTIL(seen.whole);
    assert_int_equal(seen.exchange->head.status, 200);
    assert_int_equal(seen.exchange->head.length, 5);
    assert_int_equal(seen.exchange->head.count, 2);
    assert_true(str_eq(seen.exchange->head.headers[0].name, STR("X-A")));
    assert_true(str_eq(seen.exchange->head.headers[0].value, STR("b")));
    assert_true(str_eq(buffer_str(&seen.body), STR("hello")));
    assert_int_equal(seen.answers, 1);
    assert_int_equal(upstream_count(upstream).idle, 1);
    forget(&seen);

    dial(&seen, url, (struct exchange_request){.head = POST, .body = STR("hi")});
    read_until(fd, "\r\n\r\nhi", room, sizeof(room));
    say(fd, STR(OK "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\n\r\n"));
    RUN_UNTIL(seen.whole);
    assert_int_equal(seen.exchange->head.length, -1);
    assert_true(str_eq(buffer_str(&seen.body), STR("abcde")));
    struct upstream_counts counts = upstream_count(upstream);
    assert_int_equal(counts.connects, 1);
    assert_int_equal(counts.reuses, 1);
    forget(&seen);
    close(fd);
    RUN_UNTIL(upstream_count(upstream).idle == 0);
}

/* What a worker says, and how it ends. */
struct saying {
    const char *text;
    enum { STAYS, ENDS, RESETS } end;
    bool is_head;
    bool whole;
    enum exchange_fault fault;
    const char *body; /* that came, in either case */
    bool kept;        /* the connection can take another request */
};

static const struct saying sayings[] = {
    {OK "Content-Length: 2\r\n\r\nhi", STAYS, false, true, 0, "hi", true},
    {OK "Content-Length: 2\r\n\r\nhi", ENDS, false, true, 0, "hi", false},
    {OK "Content-Length: 0\r\n\r\n", STAYS, false, true, 0, "", true},
    {OK "Content-Length: 2\r\nConnection: close\r\n\r\nhi", STAYS, false, true, 0, "hi", false},
    {OK "Content-Length: 2\r\nKeep-Alive: timeout=5, max=9\r\n\r\nhi", STAYS, false, true, 0, "hi", true},
    {OK "Content-Length: 2\r\nKeep-Alive: timeout=1\r\n\r\nhi", STAYS, false, true, 0, "hi", false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", STAYS, false, true, 0, "hi", false},
    {OK "\r\nuntil the end", ENDS, false, true, 0, "until the end", false},
    {OK "Content-Length: 9\r\n\r\n", STAYS, true, true, 0, "", true},
    {"HTTP/1.1 204 No Content\r\n\r\n", STAYS, false, true, 0, "", true},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", STAYS, false, true, 0, "", false}, /* may not have read the body */
    {"HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 2\r\n\r\nhi", STAYS, false, true, 0, "hi", true},
    {OK "Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\nX: y\r\n\r\n", STAYS, false, true, 0, "hi", true},
    /* what comes behind an answer belongs to none */
    {OK "Content-Length: 2\r\n\r\nhi!", STAYS, false, true, 0, "hi", false},
    {OK "Content-Length: 2\r\n\r\nhi" OK "Content-Length: 0\r\n\r\n", STAYS, false, true, 0, "hi", false},
    {OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nX", STAYS, false, true, 0, "", false},
    /* none, and none that may be passed on */
    {"", ENDS, false, false, EXCHANGE_CLOSED, "", false},
    {"", RESETS, false, false, EXCHANGE_CLOSED, "", false},
    {"HTTP/1.1 200 O", ENDS, false, false, EXCHANGE_CLOSED, "", false},
    {OK "Content-Length: 2\r\n", ENDS, false, false, EXCHANGE_CLOSED, "", false},
    {"SSH-2.0-OpenSSH_9.2\r\n", STAYS, false, false, EXCHANGE_BAD_ANSWER, "", false},
    {"-ERR unknown command\r\n", STAYS, false, false, EXCHANGE_BAD_ANSWER, "", false},
    {OK "Content-Length: abc\r\n\r\n", STAYS, false, false, EXCHANGE_BAD_ANSWER, "", false},
    {OK "Transfer-Encoding: gzip\r\n\r\nhi", STAYS, false, false, EXCHANGE_BAD_ANSWER, "", false},
    {OK "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nhi", STAYS, false, false, EXCHANGE_BAD_ANSWER, "", false},
    {OK "X: a\r\n b\r\n\r\n", STAYS, false, false, EXCHANGE_BAD_ANSWER, "", false},
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", STAYS, false, false, EXCHANGE_BAD_ANSWER, "", false},
    {"HTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 "
     "A\r\n\r\n"
     "HTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\n",
     STAYS, false, false, EXCHANGE_BAD_ANSWER, "", false},
    {OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n", STAYS, false, false, EXCHANGE_BAD_ANSWER, "", false},
    /* cut off: never whole */
    {OK "Content-Length: 5\r\n\r\nhi", ENDS, false, false, EXCHANGE_CUT, "hi", false},
    {OK "Content-Length: 5\r\n\r\nhi", RESETS, false, false, EXCHANGE_CUT, "hi", false},
    {OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhi", ENDS, false, false, EXCHANGE_CUT, "hi", false},
    {OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", ENDS, false, false, EXCHANGE_CUT, "hi", false},
    {OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n", ENDS, false, false, EXCHANGE_CUT, "hi", false},
    {OK "\r\nuntil the end", RESETS, false, false, EXCHANGE_CUT, "until the end", false},
};

/* The whole at once; or its bytes one by one, each in a turn of its own. */
static void check_saying(const struct saying *saying, bool slowly)
{
    struct seen seen = {.exchange = NULL};
    struct str text = str_from(saying->text);
    dial(&seen, url, (struct exchange_request){.is_head = saying->is_head, .head = POST, .body = STR("hi")});
    int fd = take_request(listener);
    for (size_t i = 0; i < text.len && slowly && !is_over(&seen); i++) {
        say(fd, (struct str){text.ptr + i, 1});
        h2o_evloop_run(loop, 0);
        upstream_tick(upstream);
        h2o_evloop_run(loop, 0);
        upstream_tick(upstream);
    }
    if (!slowly)
        say(fd, text);
    if (saying->end == ENDS)
        shutdown(fd, SHUT_WR);
    else if (saying->end == RESETS) /* not before all has been read, which a reset would discard */
        RUN_UNTIL(text.len == 0 || seen.body.len == strlen(saying->body));
    if (saying->end == RESETS)
        reset(fd);
    RUN_UNTIL(is_over(&seen));
    if (seen.whole != saying->whole)
        fail_msg("%s: is %s", saying->text, seen.whole ? "whole" : seen.why);
    if (!saying->whole)
        expect_failure(&seen, saying->fault, true);
    if ((saying->whole || !slowly) && !str_eq(buffer_str(&seen.body), str_from(saying->body)))
        if (seen.body.len != 0 || saying->body[0] != '\0')
            fail_msg("%s: the body is %.*s", saying->text, STR_PRINTF(buffer_str(&seen.body)));
    h2o_evloop_run(loop, 0);
    if (!slowly && (upstream_count(upstream).idle == 1) != saying->kept)
        fail_msg("%s: the connection is kept, or is not", saying->text);
    forget(&seen);
    if (saying->end != RESETS)
        close(fd);
    RUN_UNTIL(upstream_count(upstream).idle == 0 && upstream_count(upstream).busy == 0);
}

static void test_all_that_workers_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(sayings) / sizeof(sayings[0]); i++) {
        check_saying(&sayings[i], false);
        check_saying(&sayings[i], true);
    }
}

static void test_nobody_listens(void **state)
{
    (void)state;
    struct seen seen = {.exchange = NULL};
    close(listener);
    dial(&seen, url, (struct exchange_request){.head = POST, .body = STR("hi")});
    assert_false(is_over(&seen)); /* no event comes from within the call */
    RUN_UNTIL(is_over(&seen));
    expect_failure(&seen, EXCHANGE_REFUSED, false);
    forget(&seen);
    listener = listen_at("127.0.0.1", 64, &port);
}

/* A queue that is full: what more comes gets no answer. */
static void test_a_worker_that_takes_no_connection(void **state)
{
    (void)state;
    struct seen seen[4] = {{.exchange = NULL}};
    int full_port = 0, full = listen_at("127.0.0.1", 0, &full_port);
    char full_url[64];
    snprintf(full_url, sizeof(full_url), "http://127.0.0.1:%d", full_port);
    for (int i = 0; i < 4; i++)
        dial(&seen[i], full_url, (struct exchange_request){.connect_ms = 60, .head_ms = 60});
    RUN_UNTIL(is_over(&seen[3]));
    expect_failure(&seen[3], EXCHANGE_CONNECT_TIMEOUT, false);
    for (int i = 0; i < 4; i++)
        forget(&seen[i]);
    close(full);
}

static void test_a_worker_that_falls_silent(void **state)
{
    (void)state;
    static const struct str sayings_[] = {{"", 0}, {"HTTP/1.1 200 OK\r\n", 17}};
    struct seen seen = {.exchange = NULL};
    for (size_t i = 0; i < 2; i++) {
        dial(&seen, url, (struct exchange_request){.head_ms = 40});
        int fd = take_request(listener);
        say(fd, sayings_[i]);
        RUN_UNTIL(is_over(&seen));
        expect_failure(&seen, EXCHANGE_HEAD_TIMEOUT, true);
        RUN_UNTIL(has_ended(fd));
        forget(&seen);
        close(fd);
    }
    dial(&seen, url, (struct exchange_request){.silence_ms = 40});
    int fd = take_request(listener);
    say(fd, STR(OK "Content-Length: 5\r\n\r\nhi"));
    RUN_UNTIL(is_over(&seen));
    expect_failure(&seen, EXCHANGE_SILENCE, true);
    forget(&seen);
    close(fd);
}

/* A reader that stops is not the worker's silence. */
static void test_a_caller_that_holds_has_time(void **state)
{
    (void)state;
    struct seen seen = {.holds = true};
    dial(&seen, url, (struct exchange_request){.silence_ms = 20});
    int fd = take_request(listener);
    say(fd, STR(OK "Content-Length: 5\r\n\r\nhi"));
    RUN_UNTIL(seen.answers == 1);
    int64_t until = clock_ms() + 60;
    RUN_UNTIL(clock_ms() > until);
    assert_false(is_over(&seen));
    say(fd, STR("ho!"));
    exchange_next(seen.exchange);
    RUN_UNTIL(seen.whole);
    assert_true(str_eq(buffer_str(&seen.body), STR("hiho!")));
    forget(&seen);
    close(fd);
}

static struct str make_big(size_t size)
{
    char *big = malloc(size);
    assert_non_null(big);
    for (size_t i = 0; i < size; i++)
        big[i] = (char)('a' + i * 31 % 26 + (i >> 16) % 3);
    return (struct str){big, size};
}

static void test_a_worker_that_takes_no_body(void **state)
{
    (void)state;
    struct str big = make_big(16 << 20);
    struct seen seen = {.exchange = NULL};
    dial(&seen, url, (struct exchange_request){.head = POST, .body = big, .silence_ms = 50});
    int fd = take_connection(listener);
    RUN_UNTIL(is_over(&seen));
    expect_failure(&seen, EXCHANGE_SEND_TIMEOUT, true);
    forget(&seen);
    close(fd);
    free((char *)(uintptr_t)big.ptr);
}

/* Makes one kept connection; returns the worker's end. */
static int make_kept(void)
{
    struct seen seen = {.exchange = NULL};
    dial(&seen, url, (struct exchange_request){.safe = true});
    int fd = take_request(listener);
    say(fd, STR(OK "Content-Length: 0\r\n\r\n"));
    RUN_UNTIL(seen.whole);
    forget(&seen);
    assert_int_equal(upstream_count(upstream).idle, 1);
    return fd;
}

/* The kept connection is closed between two turns of the loop: neither request is lost, each is delivered once. */
static void test_a_kept_connection_that_was_closed(void **state)
{
    (void)state;
    for (int safe = 0; safe < 2; safe++) {
        struct seen seen = {.exchange = NULL};
        close(make_kept());
        dial(&seen, url, (struct exchange_request){.head = POST, .body = STR("hi"), .safe = safe});
        int fd = take_request(listener);
        say(fd, STR(OK "Content-Length: 2\r\n\r\nhi"));
        RUN_UNTIL(is_over(&seen));
        assert_true(seen.whole);
        assert_false(has_something(listener));
        forget(&seen);
        close(fd);
        RUN_UNTIL(upstream_count(upstream).idle == 0);
    }
}

/* Makes the kept connection as old as if it had been idle for `ms`. */
static void age_kept(int64_t ms)
{
    H2O_STRUCT_FROM_MEMBER(struct wire, of_pool, upstream->pool.idle.next)->idle_since -= ms;
}

/* Servers that keep a connection for two seconds may close it while a request is on its way. */
static void test_a_kept_connection_that_may_be_closed_any_moment(void **state)
{
    (void)state;
    char room[4096];
    for (int safe = 0; safe < 2; safe++) {
        struct seen seen = {.exchange = NULL};
        int kept = make_kept(), fd = kept;
        age_kept(1600);
        dial(&seen, url, (struct exchange_request){.head = POST, .body = STR("hi"), .safe = safe});
        if (safe)
            read_until(fd, "\r\n\r\nhi", room, sizeof(room));
        else
            fd = take_request(listener);
        say(fd, STR(OK "Content-Length: 2\r\n\r\nhi"));
        RUN_UNTIL(is_over(&seen));
        assert_true(seen.whole);
        forget(&seen);
        close(kept);
        if (fd != kept)
            close(fd);
        RUN_UNTIL(upstream_count(upstream).idle == 0);
    }
}

/* It is closed when it has the request: that may have been carried out. */
static void test_a_kept_connection_that_is_closed_on_a_request(void **state)
{
    (void)state;
    char room[4096];
    for (int safe = 0; safe < 2; safe++)
        for (int with_reset = 0; with_reset < 2; with_reset++) {
            struct seen seen = {.exchange = NULL};
            int fd = make_kept();
            dial(&seen, url, (struct exchange_request){.head = POST, .body = STR("hi"), .safe = safe});
            read_until(fd, "\r\n\r\nhi", room, sizeof(room));
            if (with_reset)
                reset(fd);
            else
                close(fd);
            if (safe) {
                fd = take_request(listener);
                close(fd); /* once more, but not a third time */
            }
            RUN_UNTIL(is_over(&seen));
            expect_failure(&seen, EXCHANGE_CLOSED, true);
            assert_false(has_something(listener));
            forget(&seen);
        }
}

/* Whoever has heard something of an answer does not ask again. */
static void test_an_answer_that_began_is_not_asked_for_again(void **state)
{
    (void)state;
    char room[4096];
    struct seen seen = {.exchange = NULL};
    int fd = make_kept();
    dial(&seen, url, (struct exchange_request){.safe = true});
    read_until(fd, "\r\n\r\n", room, sizeof(room));
    say(fd, STR("HTTP/1.1 2"));
    turn();
    close(fd);
    RUN_UNTIL(is_over(&seen));
    expect_failure(&seen, EXCHANGE_CLOSED, true);
    assert_false(has_something(listener));
    forget(&seen);
}

/* A kept connection on which something comes that nobody asked for is closed. */
static void test_a_kept_connection_that_speaks(void **state)
{
    (void)state;
    struct seen seen = {.exchange = NULL};
    int fd = make_kept();
    say(fd, STR(OK "Content-Length: 4\r\n\r\nevil"));
    dial(&seen, url, (struct exchange_request){.head = POST, .body = STR("hi")}); /* before the loop has seen it */
    int other = take_request(listener);
    say(other, STR(OK "Content-Length: 2\r\n\r\nhi"));
    RUN_UNTIL(seen.whole);
    assert_true(str_eq(buffer_str(&seen.body), STR("hi")));
    assert_true(has_ended(fd));
    forget(&seen);
    close(fd);
    say(other, STR("X"));
    RUN_UNTIL(has_ended(other));
    close(other);
}

/* Sends as much of a big text as goes; returns how much that was in all. */
static size_t say_some(int fd, struct str big, size_t said)
{
    ssize_t sent = send(fd, big.ptr + said, big.len - said, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent > 0 ? said + (size_t)sent : said;
}

static void test_back_pressure(void **state)
{
    (void)state;
    char head[128];
    struct str big = make_big(32 << 20);
    struct seen seen = {.holds = true};
    dial(&seen, url, (struct exchange_request){.safe = true});
    int fd = take_request(listener);
    size_t said = 0;
    int len = snprintf(head, sizeof(head), OK "Content-Length: %zu\r\n\r\n", big.len);
    say(fd, (struct str){head, (size_t)len});
    int64_t until = clock_ms() + 50;
    while (clock_ms() < until) {
        said = say_some(fd, big, said);
        turn();
    }
    assert_int_equal(seen.answers, 1); /* and it has not gone on by itself */
    size_t stuck = said;
    assert_true(stuck < 8 << 20);
    assert_true(say_some(fd, big, said) == stuck);
    seen.holds = false;
    exchange_next(seen.exchange);
    int64_t end = clock_ms() + PATIENCE_MS;
    while (!is_over(&seen) && clock_ms() < end) {
        said = said < big.len ? say_some(fd, big, said) : said;
        turn();
    }
    assert_true(seen.whole);
    assert_true(str_eq(buffer_str(&seen.body), big));
    forget(&seen);
    close(fd);
    free((char *)(uintptr_t)big.ptr);
}

/* Many chunks in one read are one piece; and pieces cut anywhere are the same body. */
static void test_chunks_are_put_together(void **state)
{
    (void)state;
    struct buffer text = BUFFER_INIT, body = BUFFER_INIT;
    struct str big = make_big(200000);
    for (size_t at = 0, i = 0; at < big.len; i++) {
        size_t size = 1 + i * 7919 % 3000;
        if (size > big.len - at)
            size = big.len - at;
        buffer_printf(&text, "%zX\r\n", size);
        buffer_append(&text, (struct str){big.ptr + at, size});
        buffer_append(&text, STR("\r\n"));
        at += size;
    }
    buffer_append(&text, STR("0\r\n\r\n"));
    struct seen seen = {.exchange = NULL};
    dial(&seen, url, (struct exchange_request){.safe = true});
    int fd = take_request(listener);
    say(fd, STR(OK "Transfer-Encoding: chunked\r\n\r\n"));
    for (size_t said = 0; !is_over(&seen);) {
        said = said < text.len ? say_some(fd, buffer_str(&text), said) : said;
        turn();
    }
    assert_true(seen.whole);
    assert_true(str_eq(buffer_str(&seen.body), big));
    assert_int_equal(upstream_count(upstream).idle, 1);
    forget(&seen);
    close(fd);
    buffer_fini(&text);
    buffer_fini(&body);
    free((char *)(uintptr_t)big.ptr);
}

/* In every state: the worker sees it at once, and no event comes any more. */
static void test_who_frees_ends_everything(void **state)
{
    (void)state;
    struct seen seen = {.exchange = NULL};
    dial(&seen, url, (struct exchange_request){.safe = true});
    forget(&seen); /* connecting */
    dial(&seen, url, (struct exchange_request){.safe = true});
    int fd = take_connection(listener); /* the first one */
    assert_true(has_ended(fd));
    close(fd);
    fd = take_request(listener);
    forget(&seen); /* waiting for the head */
    assert_true(has_ended(fd));
    close(fd);
    dial(&seen, url, (struct exchange_request){.safe = true});
    fd = take_request(listener);
    say(fd, STR(OK "Content-Length: 5\r\n\r\nhi"));
    RUN_UNTIL(seen.answers == 1);
    forget(&seen); /* within the answer */
    assert_true(has_ended(fd));
    close(fd);
    static const char *const texts[] = {OK "Content-Length: 5\r\n\r\nhi", OK "Content-Length: 2\r\n\r\nhi", "nonsense\r\n"};
    for (size_t i = 0; i < 3; i++) { /* within an event */
        seen.frees = true;
        dial(&seen, url, (struct exchange_request){.safe = true});
        fd = take_request(listener);
        say(fd, str_from(texts[i]));
        RUN_UNTIL(seen.exchange == NULL);
        forget(&seen);
        close(fd);
    }
    RUN_UNTIL(upstream_count(upstream).idle == 0 && upstream_count(upstream).busy == 0);
}

/* --- bodies of requests in pieces --- */

/* The worker reads all that comes until `size` bytes are there. */
static void take_all(int fd, struct buffer *into, size_t size)
{
    while (into->len < size) {
        RUN_UNTIL(has_something(fd));
        ssize_t got = recv(fd, buffer_reserve(into, 65536), 65536, 0);
        assert_true(got > 0);
        into->len += (size_t)got;
    }
}

static void test_a_body_in_pieces(void **state)
{
    (void)state;
    struct str head = STR("POST / HTTP/1.1\r\nContent-Length: 4194306\r\n\r\n");
    struct str big = make_big(4 << 20);
    struct seen seen = {.exchange = NULL};
    struct buffer taken = BUFFER_INIT;
    dial(&seen, url, (struct exchange_request){.head = head, .body = STR("ab"), .more = true, .silence_ms = 30});
    int fd = take_connection(listener);
    RUN_UNTIL(seen.writables == 1);
    int64_t until = clock_ms() + 60;
    RUN_UNTIL(clock_ms() > until); /* the caller's time is not the worker's */
    struct str pieces[2] = {{big.ptr, 1000}, {big.ptr + 1000, big.len - 1000}};
    assert_false(exchange_send(seen.exchange, pieces, 2, true));
    take_all(fd, &taken, head.len + 2 + big.len);
    assert_true(memcmp(taken.ptr + head.len + 2, big.ptr, big.len) == 0);
    say(fd, STR(OK "Content-Length: 2\r\n\r\nhi"));
    RUN_UNTIL(is_over(&seen));
    assert_true(seen.whole);
    assert_int_equal(seen.writables, 1);
    assert_int_equal(upstream_count(upstream).idle, 1);
    forget(&seen);
    buffer_fini(&taken);
    close(fd);
    free((char *)(uintptr_t)big.ptr);
}

static void test_a_body_in_chunks(void **state)
{
    (void)state;
    struct seen seen = {.exchange = NULL};
    char room[4096];
    dial(&seen, url, (struct exchange_request){.body = STR("abc"), .more = true, .chunked = true});
    int fd = take_connection(listener);
    RUN_UNTIL(seen.writables == 1);
    struct str pieces[2] = {STR("0123456789"), STR("abcdef")};
    assert_true(exchange_send(seen.exchange, pieces, 2, false));
    assert_true(exchange_send(seen.exchange, NULL, 0, false)); /* which is not the end */
    assert_true(exchange_send(seen.exchange, pieces, 1, false));
    assert_true(exchange_send(seen.exchange, NULL, 0, true));
    read_until(fd, "0\r\n\r\n", room, sizeof(room));
    assert_string_equal(strstr(room, "\r\n\r\n") + 4, "3\r\nabc\r\n10\r\n0123456789abcdef\r\na\r\n0123456789\r\n0\r\n\r\n");
    say(fd, STR(OK "Content-Length: 0\r\n\r\n"));
    RUN_UNTIL(seen.whole);
    forget(&seen);
    close(fd);
}

/* "413", before the body is there, and the end of the connection: the answer counts. */
static void test_an_answer_before_the_whole_request(void **state)
{
    (void)state;
    struct str big = make_big(8 << 20);
    for (int with_end = 0; with_end < 2; with_end++) {
        struct seen seen = {.exchange = NULL};
        dial(&seen, url, (struct exchange_request){.head = POST, .body = big});
        int fd = take_connection(listener);
        RUN_UNTIL(has_something(fd));
        say(fd, STR("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"));
        if (with_end)
            close(fd); /* with what it has not read: a reset */
        RUN_UNTIL(is_over(&seen));
        assert_true(seen.whole);
        assert_int_equal(seen.exchange->head.status, 413);
        assert_int_equal(upstream_count(upstream).idle, 0);
        forget(&seen);
        if (!with_end)
            close(fd);
    }
    free((char *)(uintptr_t)big.ptr);
}

/* Nor has a worker a claim to the rest of a head that it answers before it has it: the head is the caller's from then on. */
static void test_an_answer_before_the_whole_head(void **state)
{
    (void)state;
    struct str big = make_big(8 << 20);
    struct seen seen = {.exchange = NULL};
    struct buffer taken = BUFFER_INIT;
    dial(&seen, url, (struct exchange_request){.head = big});
    int fd = take_connection(listener);
    RUN_UNTIL(has_something(fd));
    say(fd, STR(OK "Content-Length: 5\r\n\r\nhi"));
    RUN_UNTIL(seen.answers == 1);
    free((char *)(uintptr_t)big.ptr);
    int64_t until = clock_ms() + 30;
    while (clock_ms() < until) {
        ssize_t got = recv(fd, buffer_reserve(&taken, 65536), 65536, 0);
        taken.len += got > 0 ? (size_t)got : 0;
        turn();
    }
    assert_true(taken.len < big.len);
    say(fd, STR("abc"));
    RUN_UNTIL(is_over(&seen));
    assert_true(seen.whole);
    assert_int_equal(upstream_count(upstream).idle, 0);
    forget(&seen);
    buffer_fini(&taken);
    close(fd);
}

static void test_another_protocol(void **state)
{
    (void)state;
    char room[64];
    struct seen seen = {.exchange = NULL};
    dial(&seen, url, (struct exchange_request){.upgrade = true, .silence_ms = 5000});
    int fd = take_request(listener);
    say(fd, STR("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nearly"));
    RUN_UNTIL(seen.answers == 1);
    assert_int_equal(seen.exchange->head.status, 101);
    struct str pieces[2] = {STR("to "), STR("worker")};
    assert_true(exchange_send(seen.exchange, pieces, 2, false));
    read_until(fd, "to worker", room, sizeof(room));
    say(fd, STR(" bird"));
    RUN_UNTIL(seen.answers == 2);
    assert_true(exchange_send(seen.exchange, NULL, 0, true));
    RUN_UNTIL(has_ended(fd));
    say(fd, STR("!"));
    close(fd);
    RUN_UNTIL(is_over(&seen));
    assert_true(seen.whole);
    assert_true(str_eq(buffer_str(&seen.body), STR("early bird!")));
    assert_int_equal(upstream_count(upstream).idle, 0);
    forget(&seen);
}

/* The worker's end of its own direction ends only that one; `failed` tells when the worker takes nothing more, either. */
static void test_another_protocol_in_one_direction(void **state)
{
    (void)state;
    char room[64];
    struct seen seen = {.exchange = NULL};
    dial(&seen, url, (struct exchange_request){.upgrade = true, .silence_ms = 5000});
    int fd = take_request(listener);
    say(fd, STR("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nbye"));
    shutdown(fd, SHUT_WR);
    RUN_UNTIL(is_over(&seen));
    assert_true(seen.whole);
    struct str pieces[] = {STR("to worker")};
    assert_true(exchange_send(seen.exchange, pieces, 1, false));
    read_until(fd, "to worker", room, sizeof(room));
    close(fd);
    for (int64_t end = clock_ms() + 5000; exchange_send(seen.exchange, pieces, 1, false) && clock_ms() < end;)
        poll(NULL, 0, 1);
    RUN_UNTIL(seen.failed);
    forget(&seen);
}

static void test_an_upgrade_that_is_refused(void **state)
{
    (void)state;
    struct seen seen = {.exchange = NULL};
    dial(&seen, url, (struct exchange_request){.upgrade = true});
    int fd = take_request(listener);
    say(fd, STR("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n"));
    RUN_UNTIL(is_over(&seen));
    assert_true(seen.whole);
    assert_int_equal(seen.exchange->head.status, 426);
    forget(&seen);
    close(fd);
}

/* --- where requests may not go --- */

static void expect_forbidden(const char *where)
{
    struct seen seen = {.exchange = NULL};
    dial(&seen, where, (struct exchange_request){.safe = true});
    RUN_UNTIL(is_over(&seen));
    if (!seen.failed || seen.failure.fault != EXCHANGE_FORBIDDEN || seen.failure.delivered)
        fail_msg("%s is not forbidden", where);
    forget(&seen);
    turn();
    assert_false(has_something(listener));
    assert_int_equal(upstream_count(upstream).connects, 0);
}

static void test_forbidden_places(void **state)
{
    (void)state;
    static const char *const forms[] = {"http://[::ffff:127.0.0.1]:%d", "http://127.0.0.1:%d", "http://127.255.255.254:%d/a"};
    char where[64];
    rules.own_ports[rules.own_port_count++] = port;
    for (size_t i = 0; i < 3; i++) {
        snprintf(where, sizeof(where), forms[i], port);
        expect_forbidden(where);
    }
    rules.own_port_count = 0;
    rules.redis_ports[rules.redis_port_count++] = port;
    expect_forbidden(url);
    rules.redis_port_count = 0;
    rules.allowed.count = 0;
    expect_forbidden(url);
    expect_forbidden("http://10.0.0.1");
    expect_forbidden("http://169.254.169.254");
    snprintf(rules.own_host, sizeof(rules.own_host), "api.example");
    rules.own_host_port = 8080;
    expect_forbidden("http://API.example:8080");
}

/* Without a descriptor for it: a kept connection gives up its own; then it is said. */
static void test_descriptors_run_out(void **state)
{
    (void)state;
    struct rlimit before, few;
    struct seen seen = {.exchange = NULL};
    int fd = make_kept(), next = dup(0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){(rlim_t)next, before.rlim_max};
    int other_port = 0, other = listen_at("127.0.0.1", 4, &other_port);
    char other_url[64];
    snprintf(other_url, sizeof(other_url), "http://127.0.0.1:%d", other_port);
    few.rlim_cur++;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    dial(&seen, other_url, (struct exchange_request){.safe = true});
    struct seen none = {.exchange = NULL};
    dial(&none, other_url, (struct exchange_request){.safe = true});
    RUN_UNTIL(is_over(&none));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    expect_failure(&none, EXCHANGE_OVERLOADED, false);
    forget(&none);
    assert_true(has_ended(fd));
    int last = take_request(other);
    say(last, STR(OK "Content-Length: 0\r\n\r\n"));
    RUN_UNTIL(seen.whole);
    forget(&seen);
    close(fd);
    close(last);
    close(other);
}

/* Bytes in use as malloc counts them; 0 with a sanitizer's malloc. */
static size_t count_bytes(void)
{
    return mallinfo2().uordblks;
}

enum { MANY = 64 };

/* What a stream costs between two pieces of its answer, and what its connection costs when it is kept. */
static void test_what_streams_and_kept_connections_cost(void **state)
{
    (void)state;
    static struct seen seen[MANY];
    int fds[MANY];
    close(make_kept()); /* which has made what is made once */
    RUN_UNTIL(upstream_count(upstream).idle == 0);
    size_t before = count_bytes();
    for (int i = 0; i < MANY; i++) {
        dial(&seen[i], url, (struct exchange_request){.safe = true});
        fds[i] = take_request(listener);
        say(fds[i], STR(OK "Content-Type: text/event-stream\r\nContent-Length: 8\r\n\r\ndata"));
        RUN_UNTIL(seen[i].answers == 1);
        buffer_fini(&seen[i].body);
    }
    if (before > 0)
        assert_in_range((count_bytes() - before) / MANY, 1, 3 * 1024);
    for (int i = 0; i < MANY; i++) {
        say(fds[i], STR(" end"));
        RUN_UNTIL(seen[i].whole);
        forget(&seen[i]);
    }
    assert_int_equal(upstream_count(upstream).idle, MANY);
    if (before > 0)
        assert_in_range((count_bytes() - before) / MANY, 1, 512);
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
    RUN_UNTIL(upstream_count(upstream).idle == 0);
}

static void test_every_fault_has_its_words(void **state)
{
    (void)state;
    for (int i = 0; i < EXCHANGE_FAULT_COUNT; i++) {
        assert_true(strlen(exchange_fault_word((enum exchange_fault)i)) > 0);
        assert_true(strlen(exchange_fault_sentence((enum exchange_fault)i)) > 10);
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST(test_an_answer_and_the_next_on_the_same_connection),
        TEST(test_all_that_workers_say),
        TEST(test_nobody_listens),
        TEST(test_a_worker_that_takes_no_connection),
        TEST(test_a_worker_that_falls_silent),
        TEST(test_a_caller_that_holds_has_time),
        TEST(test_a_worker_that_takes_no_body),
        TEST(test_a_kept_connection_that_was_closed),
        TEST(test_a_kept_connection_that_may_be_closed_any_moment),
        TEST(test_a_kept_connection_that_is_closed_on_a_request),
        TEST(test_an_answer_that_began_is_not_asked_for_again),
        TEST(test_a_kept_connection_that_speaks),
        TEST(test_back_pressure),
        TEST(test_chunks_are_put_together),
        TEST(test_who_frees_ends_everything),
        TEST(test_a_body_in_pieces),
        TEST(test_a_body_in_chunks),
        TEST(test_an_answer_before_the_whole_request),
        TEST(test_an_answer_before_the_whole_head),
        TEST(test_another_protocol),
        TEST(test_another_protocol_in_one_direction),
        TEST(test_an_upgrade_that_is_refused),
        TEST(test_forbidden_places),
        TEST(test_descriptors_run_out),
        TEST(test_what_streams_and_kept_connections_cost),
        cmocka_unit_test(test_every_fault_has_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
