/*
 * Event streams, on a server in this process and sockets of the loopback: everybody gets what was appended since they came, in
 * order, and whoever does not read holds up nobody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loopback.h"

#include "http/feed.h"
#include "http/reply.h"

#include <stdio.h>

#define CROWD 280 /* more than are sent to in one turn */
#define LONG 65536

static struct feed *feed;
static atomic_int count, room;       /* streams that are open, and that may be */
static atomic_int wanted, appended;  /* lines that the test wants to be appended, and that were */
static atomic_bool are_long, end_it; /* each line has LONG bytes; the feed is to end */

static void handle_feed(struct request *request)
{
    struct buffer first = BUFFER_INIT;
    buffer_append(&first, STR("welcome\n"));
    feed_join(feed, request, &first);
}

static void handle_silent_feed(struct request *request)
{
    struct buffer first = BUFFER_INIT;
    feed_join(feed, request, &first);
}

static int32_t tick(void *data)
{
    (void)data;
    if (feed == NULL)
        feed = feed_new(loopback.thread);
    while (appended < wanted) {
        struct buffer line = BUFFER_INIT;
        buffer_printf(&line, "line %012d", appended + 1);
        if (are_long)
            memset(buffer_reserve(&line, LONG), '.', LONG);
        line.len += are_long ? LONG : 0;
        buffer_append(&line, STR("\n"));
        feed_append(feed, &line);
        appended++;
    }
    if (atomic_exchange(&end_it, false))
        feed_end(feed);
    int32_t wait = feed_tick(feed);
    count = (int)feed_count(feed);
    room = (int)feed_room(feed);
    return wait < 5 ? wait : 5;
}

static const struct route routes[] = {
    {"GET", "/feed", handle_feed, .access = 0},
    {"GET", "/silent", handle_silent_feed, .access = 0},
    {.path = NULL},
};

/* --- a client --- */

#define ASK "GET /feed HTTP/1.1\r\nHost: x\r\n\r\n"

static int follow(const char *request)
{
    int fd = client_open();
    client_send(fd, request);
    return fd;
}

/* Appends so many lines more, and waits until that was done. */
static void append(int lines)
{
    int to = appended + lines;
    wanted = to;
    assert_becomes(&appended, to);
}

static const char *line_of(int number)
{
    static char text[32];
    snprintf(text, sizeof(text), "line %012d", number);
    return text;
}

static int set_up(void **state)
{
    (void)state;
    assert_becomes(&count, 0);
    are_long = false;
    return 0;
}

/* Ends the feed and returns what a stream has got. */
static struct buffer read_rest(int fd)
{
    bool reset;
    struct buffer all = client_read_all(fd, &reset);
    assert_false(reset);
    return all;
}

/* --- tests --- */

static void test_everybody_gets_what_came_since(void **state)
{
    (void)state;
    int before = appended;
    int first = follow(ASK), silent = follow("GET /silent HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_becomes(&count, 2);
    append(3);
    int second = follow(ASK);
    assert_becomes(&count, 3);
    append(2);
    struct buffer all = BUFFER_INIT;
    client_read_until(first, &all, line_of(before + 5));
    end_it = true;
    struct buffer rest = read_rest(second), other = read_rest(silent);
    close(first);
    assert_has(&all, "text/event-stream");
    assert_has(&all, "Cache-Control: no-store");
    assert_has(&all, "\r\n\r\n8\r\nwelcome\n\r\n");
    const char *at = all.ptr;
    for (int i = 1; i <= 5; i++) {
        at = strstr(at, line_of(before + i));
        assert_non_null(at);
        assert_non_null(strstr(other.ptr, line_of(before + i)));
        assert_int_equal(strstr(rest.ptr, line_of(before + i)) != NULL, i > 3);
    }
    assert_has(&rest, "welcome\n");
    assert_null(strstr(other.ptr, "welcome"));
    assert_memory_equal(rest.ptr + rest.len - 6, "0\r\n\r\n", 5);
    buffer_fini(&all);
    buffer_fini(&rest);
    buffer_fini(&other);
}

/* HTTP/1.0 has no chunks, and HEAD wants no events. */
static void test_other_ways_to_ask(void **state)
{
    (void)state;
    int fd = follow("GET /feed HTTP/1.0\r\n\r\n"), head = follow("HEAD /feed HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    struct buffer all = BUFFER_INIT, none = read_rest(head);
    client_read_until(fd, &all, "\r\n\r\nwelcome\n");
    append(1);
    client_read_until(fd, &all, "welcome\nline ");
    assert_has(&none, "text/event-stream");
    assert_null(strstr(none.ptr, "welcome"));
    end_it = true;
    struct buffer rest = read_rest(fd);
    buffer_fini(&all);
    buffer_fini(&none);
    buffer_fini(&rest);
}

static void test_room(void **state)
{
    (void)state;
    int most = room; /* half of the connections */
    assert_int_equal(most, 150);
    int fds[10];
    for (int i = 0; i < 10; i++)
        fds[i] = follow(ASK);
    assert_becomes(&count, 10);
    assert_int_equal(room, most - 10);
    for (int i = 0; i < 10; i++)
        close(fds[i]);
    assert_becomes(&count, 0);
    assert_int_equal(room, most);
}

/* All of a crowd get each line, though a turn sends to some of them only. */
static void test_a_crowd(void **state)
{
    (void)state;
    static int fds[CROWD];
    int before = appended;
    for (int i = 0; i < CROWD; i++)
        fds[i] = follow(ASK);
    assert_becomes(&count, CROWD);
    assert_int_equal(room, 0);
    append(20);
    end_it = false;
    for (int i = 0; i < CROWD; i++) {
        struct buffer all = BUFFER_INIT;
        client_read_until(fds[i], &all, line_of(before + 20));
        assert_has(&all, line_of(before + 1));
        buffer_fini(&all);
    }
    end_it = true;
    for (int i = 0; i < CROWD; i++) {
        struct buffer rest = read_rest(fds[i]);
        assert_memory_equal(rest.ptr + rest.len - 6, "0\r\n\r\n", 5);
        buffer_fini(&rest);
    }
}

/* One that does not read is given up, and its stream does not look whole; the others miss nothing. */
static void test_one_that_falls_behind(void **state)
{
    (void)state;
    int before = appended, small = 4096;
    int laggard = client_open();
    setsockopt(laggard, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    client_send(laggard, ASK);
    int fd = follow(ASK);
    assert_becomes(&count, 2);
    are_long = true;
    struct buffer all = BUFFER_INIT;
    int lines = 0;
    for (; count == 2 && lines < 100; lines++) {
        append(1);
        all.len = 0;
        client_read_until(fd, &all, "..\n\r\n");
        assert_has(&all, line_of(before + lines + 1));
    }
    assert_int_equal(count, 1);
    assert_true(lines > (int)(FEED_BEHIND_MAX / LONG) && lines < 30);
    bool reset;
    struct buffer got = client_read_all(laggard, &reset);
    assert_true(reset);
    close(fd);
    buffer_fini(&got);
    buffer_fini(&all);
}

/* One that is slow, but not too slow, gets all. */
static void test_one_that_is_slow(void **state)
{
    (void)state;
    int before = appended, small = 4096;
    int fd = client_open();
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    client_send(fd, ASK);
    assert_becomes(&count, 1);
    are_long = true;
    append(3);
    are_long = false;
    append(1);
    end_it = false;
    struct buffer all = BUFFER_INIT;
    client_read_until(fd, &all, line_of(before + 4));
    size_t dots = 0;
    for (const char *at = strstr(all.ptr, "\r\n\r\n"); *at != '\0'; at++)
        dots += *at == '.';
    assert_true(dots == 3 * LONG);
    close(fd);
    buffer_fini(&all);
}

/* The last test. */
static void test_the_end(void **state)
{
    (void)state;
    int fd = follow(ASK);
    assert_becomes(&count, 1);
    end_it = true;
    loopback_stop();
    struct buffer rest = read_rest(fd);
    assert_memory_equal(rest.ptr + rest.len - 6, "0\r\n\r\n", 5);
    buffer_fini(&rest);
}

int main(void)
{
    loopback_start(routes, tick);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_everybody_gets_what_came_since, set_up),
        cmocka_unit_test_setup(test_other_ways_to_ask, set_up),
        cmocka_unit_test_setup(test_room, set_up),
        cmocka_unit_test_setup(test_a_crowd, set_up),
        cmocka_unit_test_setup(test_one_that_falls_behind, set_up),
        cmocka_unit_test_setup(test_one_that_is_slow, set_up),
        cmocka_unit_test_setup(test_the_end, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
