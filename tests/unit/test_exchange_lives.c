/*
 * Many exchanges at once, whose workers and callers do what a sequence of random numbers says: answers in pieces of any size, cut
 * or not, held, freed at any moment. Whatever happens, no answer that was cut is taken for whole, no byte is lost or changed, no
 * request that may be sent but once is delivered twice, and nothing is left.
 */
#include "far_end.h"

#include <signal.h>

enum { LIVES = 1500, AT_ONCE = 8, BODY_MAX = 300000 };

static uint64_t seed = 20260301;

static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(seed >> 33) % below;
}

static int listener, port;
static char url[64];
static char bytes[BODY_MAX]; /* every body is the beginning of these */

enum framing { LENGTH, CHUNKS, UNTIL_THE_END };

/* The worker's end of one connection. */
struct end {
    int fd; /* -1: none */
    struct buffer asked, says;
    size_t said, stops_at; /* stops_at: how much of `says` comes */
    bool answers;
    enum { STAYS, ENDS, RESETS } then;
};

static struct end ends[4 * AT_ONCE];

/* One request: its number is in its path, so that a second delivery shows. */
struct life {
    struct seen seen;
    struct buffer head;
    size_t body_size;
    bool cut; /* the worker does not say all */
    bool safe;
    int deliveries;
    bool used;
};

static struct life lives[LIVES];

static void write_answer(struct end *end, struct life *life)
{
    enum framing framing = (enum framing)draw(3);
    life->body_size = draw(4) == 0 ? draw(BODY_MAX) : draw(2000);
    life->cut = draw(4) == 0;
    end->says.len = end->said = 0;
    buffer_printf(&end->says, "HTTP/1.1 200 OK\r\n");
    if (framing == LENGTH)
        buffer_printf(&end->says, "Content-Length: %zu\r\n", life->body_size);
    buffer_append(&end->says, framing == CHUNKS ? STR("Transfer-Encoding: chunked\r\n\r\n") : STR("\r\n"));
    for (size_t at = 0; framing == CHUNKS && at < life->body_size;) {
        size_t size = 1 + draw(5000);
        size = size < life->body_size - at ? size : life->body_size - at;
        buffer_printf(&end->says, "%zx\r\n", size);
        buffer_append(&end->says, (struct str){bytes + at, size});
        buffer_append(&end->says, STR("\r\n"));
        at += size;
    }
    buffer_append(&end->says, framing == CHUNKS ? STR("0\r\n\r\n") : (struct str){bytes, life->body_size});
    end->stops_at = life->cut ? draw((uint32_t)end->says.len) : end->says.len;
    if (life->cut)
        end->then = framing == UNTIL_THE_END || draw(2) == 0 ? RESETS : ENDS;
    else
        end->then = framing == UNTIL_THE_END || draw(4) == 0 ? ENDS : STAYS;
    end->answers = true;
}

static void hang_up(struct end *end, bool with_reset)
{
    if (with_reset)
        reset(end->fd);
    else
        close(end->fd);
    end->fd = -1;
    end->answers = false;
}

/* The worker reads a request, or answers a piece more. */
static void step_end(struct end *end)
{
    if (end->answers) {
        size_t size = 1 + draw(draw(2) ? 100 : 60000);
        size = size < end->stops_at - end->said ? size : end->stops_at - end->said;
        ssize_t sent = send(end->fd, end->says.ptr + end->said, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            end->said += (size_t)sent;
        if (sent < 0 && errno != EAGAIN)
            hang_up(end, false);
        else if (end->said == end->stops_at && end->then != STAYS)
            hang_up(end, end->then == RESETS);
        else if (end->said == end->stops_at)
            end->answers = false;
        return;
    }
    if (!has_something(end->fd))
        return;
    ssize_t got = recv(end->fd, buffer_reserve(&end->asked, 4096), 4096, 0);
    if (got <= 0) {
        hang_up(end, false);
        return;
    }
    end->asked.len += (size_t)got;
    *buffer_reserve(&end->asked, 1) = '\0';
    if (strstr(end->asked.ptr, "\r\n\r\n") == NULL)
        return;
    struct life *life = &lives[strtol(strchr(end->asked.ptr, '/') + 1, NULL, 10)];
    life->deliveries++;
    end->asked.len = 0;
    if (draw(12) == 0)
        hang_up(end, draw(2) == 0);
    else
        write_answer(end, life);
}

static void step(void)
{
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (ends[i].fd != -1 && draw(3) > 0)
            step_end(&ends[i]);
        else if (ends[i].fd == -1 && has_something(listener))
            ends[i].fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
}

static void check_end(struct life *life, int number)
{
    const struct seen *seen = &life->seen;
    if (seen->body.len > life->body_size || memcmp(seen->body.ptr != NULL ? seen->body.ptr : "", bytes, seen->body.len) != 0)
        fail_msg("life %d: the body is another one", number);
    if (seen->whole && (life->cut || seen->body.len != life->body_size))
        fail_msg("life %d: %zu of %zu bytes are taken for whole", number, seen->body.len, life->body_size);
    if (seen->failed && !seen->failure.delivered && life->deliveries > 0)
        fail_msg("life %d: it was delivered, and that is denied", number);
    if (life->deliveries > (life->safe ? 2 : 1))
        fail_msg("life %d: was delivered %d times", number, life->deliveries);
}

static void begin(struct life *life, int number)
{
    life->used = true;
    life->safe = draw(2) == 0;
    life->seen.holds = draw(3) == 0;
    life->seen.frees = draw(10) == 0;
    buffer_printf(&life->head, "%s /%d HTTP/1.1\r\nHost: w\r\n\r\n", life->safe ? "GET" : "POST", number);
    dial(&life->seen, url, (struct exchange_request){.head = buffer_str(&life->head), .safe = life->safe});
}

/* What callers do: go on, or leave. True: it is over. */
static bool act(struct life *life, int number)
{
    struct seen *seen = &life->seen;
    bool leaves = draw(200) == 0;
    if (seen->exchange != NULL && !is_over(seen) && !leaves) {
        if (seen->holds && seen->answers > 0 && draw(2) == 0)
            exchange_next(seen->exchange);
        return false;
    }
    check_end(life, number);
    forget(seen);
    buffer_fini(&life->head);
    life->used = false;
    return true;
}

static void test_random_lives(void **state)
{
    (void)state;
    int under_way[AT_ONCE], begun = 0, ended = 0;
    for (int i = 0; i < AT_ONCE; i++)
        under_way[i] = -1;
    while (ended < LIVES) {
        for (int i = 0; i < AT_ONCE; i++) {
            if (under_way[i] == -1 && begun < LIVES)
                begin(&lives[begun], begun), under_way[i] = begun++;
            if (under_way[i] != -1 && act(&lives[under_way[i]], under_way[i]))
                under_way[i] = -1, ended++;
        }
        step();
        upstream_tick(upstream);
        h2o_evloop_run(loop, 0);
    }
    struct upstream_counts counts = upstream_count(upstream);
    assert_int_equal(counts.busy, 0);
    assert_true(counts.reuses > LIVES / 10);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (ends[i].fd != -1)
            close(ends[i].fd);
        buffer_fini(&ends[i].asked);
        buffer_fini(&ends[i].says);
    }
    RUN_UNTIL(upstream_count(upstream).idle == 0);
}

static int setup(void **state)
{
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        ends[i].fd = -1;
    for (size_t i = 0; i < BODY_MAX; i++)
        bytes[i] = (char)('a' + i * 17 % 26 + (i >> 13) % 5);
    listener = listen_at("127.0.0.1", 64, &port);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", port);
    return far_end_setup(state);
}

static int teardown(void **state)
{
    close(listener);
    return far_end_teardown(state);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_random_lives, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
