/*
 * For tests of exchanges: a loop to run them on, what was seen of one, and the worker at the far end, which the test plays itself,
 * step by step, on sockets of the loopback.
 */
#ifndef UNIT_FAR_END_H
#define UNIT_FAR_END_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "upstream/exchange.h"
#include "upstream/lookup.h"
#include "upstream/upstream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <h2o.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 10000

static h2o_loop_t *loop;
static struct upstream *upstream;
static struct upstream_rules rules;

static void (*far_end_step)(void); /* what the worker does in each turn, where the test does not play it step by step */

/* Nothing to do: upstream_tick is called in each turn, and a turn is short. */
static void wake(void *unused)
{
    (void)unused;
}

/* One turn of the loop, of 10 ms at most. */
static inline void turn(void)
{
    if (far_end_step != NULL)
        far_end_step();
    int32_t wait = upstream_tick(upstream);
    h2o_evloop_run(loop, wait < 10 ? wait : 10);
    upstream_tick(upstream);
}

/* Runs the loop until it is so. */
#define RUN_UNTIL(condition)                                                                                                       \
    do {                                                                                                                           \
        int64_t end_ = clock_ms() + PATIENCE_MS;                                                                                   \
        while (!(condition)) {                                                                                                     \
            if (clock_ms() > end_)                                                                                                 \
                fail_msg("it never came: %s", #condition);                                                                         \
            turn();                                                                                                                \
        }                                                                                                                          \
    } while (0)

/* --- what was seen of an exchange --- */

struct seen {
    struct exchange *exchange;
    int answers, writables;
    bool whole, failed, holds; /* holds: the test calls exchange_next itself */
    bool frees;                /* the exchange is freed within its next event */
    struct buffer body;
    struct exchange_failure failure;
    char why[256];
};

static inline void see_writable(void *data)
{
    struct seen *seen = data;
    seen->writables++;
}

static inline void see_answer(void *data, struct str bytes, bool last)
{
    struct seen *seen = data;
    assert_false(seen->whole || seen->failed);
    assert_true(seen->answers == 0 || bytes.len > 0 || last);
    seen->answers++;
    buffer_append(&seen->body, bytes);
    seen->whole = last;
    if (seen->frees) {
        exchange_free(seen->exchange);
        seen->exchange = NULL;
    } else if (!last && !seen->holds) {
        exchange_next(seen->exchange);
    }
}

static inline void see_failed(void *data, const struct exchange_failure *failure)
{
    struct seen *seen = data;
    assert_false((seen->whole && seen->exchange->head.status != 101) || seen->failed);
    assert_true(failure->answered == (seen->answers > 0));
    seen->failed = true;
    seen->failure = *failure;
    snprintf(seen->why, sizeof(seen->why), "%s", failure->why);
    if (seen->frees) {
        exchange_free(seen->exchange);
        seen->exchange = NULL;
    }
}

static const struct exchange_events seeing = {see_writable, see_answer, see_failed};

static inline bool is_over(const struct seen *seen)
{
    return seen->whole || seen->failed;
}

static inline void forget(struct seen *seen)
{
    if (seen->exchange != NULL)
        exchange_free(seen->exchange);
    buffer_fini(&seen->body);
    *seen = (struct seen){.exchange = NULL};
}

static inline struct target target_of(const char *url)
{
    struct target target;
    const char *fault = target_read(str_from(url), &target);
    if (fault != NULL)
        fail_msg("%s %s", url, fault);
    return target;
}

#define GET STR("GET / HTTP/1.1\r\nHost: w\r\n\r\n")
#define POST STR("POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 2\r\n\r\n")

/* Begins the request to a URL; members of it that are not set are a GET's. */
static inline void dial(struct seen *seen, const char *url, struct exchange_request request)
{
    struct target target = target_of(url);
    request.target = &target;
    if (request.head.ptr == NULL)
        request.head = GET;
    seen->exchange = exchange_dial(upstream, &request, &seeing, seen);
}

/* --- the worker --- */

static inline int listen_at(const char *address, int backlog, int *port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
    socklen_t len = sizeof(name);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(inet_pton(AF_INET, address, &name.sin_addr), 1);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    *port = ntohs(name.sin_port);
    return fd;
}

/* Whether the descriptor is readable now. */
static inline bool has_something(int fd)
{
    struct pollfd waits = {.fd = fd, .events = POLLIN};
    return poll(&waits, 1, 0) == 1;
}

static inline int take_connection(int listener)
{
    RUN_UNTIL(has_something(listener));
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(fd >= 0);
    return fd;
}

/* Reads until the text has come, and returns all that has. */
static inline void read_until(int fd, const char *text, char *room, size_t size)
{
    size_t len = 0;
    room[0] = '\0';
    while (strstr(room, text) == NULL) {
        RUN_UNTIL(has_something(fd));
        ssize_t got = recv(fd, room + len, size - len - 1, 0);
        if (got <= 0)
            fail_msg("the connection ended after \"%s\"", room);
        len += (size_t)got;
        room[len] = '\0';
    }
}

static inline void say(int fd, struct str text)
{
    assert_int_equal(send(fd, text.ptr, text.len, MSG_NOSIGNAL), (ssize_t)text.len);
}

/* Takes a connection and the request's head. */
static inline int take_request(int listener)
{
    char room[4096];
    int fd = take_connection(listener);
    read_until(fd, "\r\n\r\n", room, sizeof(room));
    return fd;
}

static inline void reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

/* Whether the other side has ended the connection, within a turn of nothing. */
static inline bool has_ended(int fd)
{
    char byte;
    return has_something(fd) && recv(fd, &byte, 1, 0) <= 0;
}

static inline int far_end_setup(void **state)
{
    (void)state;
    struct str entry;
    const char *why;
    loop = h2o_evloop_create();
    memset(&rules, 0, sizeof(rules));
    upstream = upstream_new(loop, &rules, wake, NULL);
    return network_list_read(STR("127.0.0.0/8, ::1"), &rules.allowed, &entry, &why) == ERR_NONE ? 0 : 1;
}

static inline int far_end_teardown(void **state)
{
    (void)state;
    upstream_free(upstream);
    h2o_evloop_run(loop, 0); /* it frees what was closed */
    h2o_evloop_destroy(loop);
    return 0;
}

#endif
