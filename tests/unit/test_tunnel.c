/*
 * Tunnels, on a server in this process and sockets of the loopback: bytes both ways, who waits for whom, and every way to end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loopback.h"

#include "http/reply.h"
#include "http/tunnel.h"

#include <stdio.h>

#define MIB (1 << 20)

static atomic_int gone, ended;
static atomic_size_t pushed, taken; /* bytes that were written, and that came, in the latest tunnel */
static atomic_bool may_go_on;
static char big[MIB];

/* What is at the other end of a tunnel. */
struct far_end {
    struct tunnel *tunnel;
    struct buffer piece;
    bool client_ended;
};

static struct far_end *paused; /* the one that waits for the tick */

static void on_gone(void *data)
{
    struct far_end *far = data;
    if (paused == far)
        paused = NULL;
    buffer_fini(&far->piece);
    free(far);
    gone++;
}

static void begin(struct request *request, const struct tunnel_end *end)
{
    if (!tunnel_is_asked_for(request)) {
        reply_error(request, ERR_BAD_REQUEST, "no upgrade", NULL);
        return;
    }
    struct far_end *far = calloc(1, sizeof(*far));
    pushed = taken = 0;
    request_set_header(request, "Upgrade", "websocket");
    far->tunnel = tunnel_begin(request, end, far);
}

/* --- sends back what comes --- */

static void echo_drained(struct tunnel *tunnel, void *data)
{
    const struct far_end *far = data;
    if (far->client_ended)
        tunnel_finish(tunnel);
    else
        tunnel_resume(tunnel);
}

static void echo_piece(struct tunnel *tunnel, struct str bytes, void *data)
{
    struct far_end *far = data;
    tunnel_pause(tunnel);
    far->piece.len = 0;
    buffer_append(&far->piece, bytes);
    struct str piece = buffer_str(&far->piece);
    taken += bytes.len;
    tunnel_write(tunnel, &piece, 1);
}

static void echo_ended(struct tunnel *tunnel, void *data)
{
    struct far_end *far = data;
    ended++;
    far->client_ended = true;
    if (tunnel_is_ready(tunnel))
        tunnel_finish(tunnel);
}

static void handle_echo(struct request *request)
{
    static const struct tunnel_end echo = {echo_drained, echo_piece, echo_ended, on_gone, .idle_ms = 60000};
    begin(request, &echo);
}

/* --- writes as much as goes, and takes a piece when it may --- */

static void push_drained(struct tunnel *tunnel, void *data)
{
    struct str piece = {big, 16384};
    (void)data;
    pushed += piece.len;
    tunnel_write(tunnel, &piece, 1);
}

static void push_piece(struct tunnel *tunnel, struct str bytes, void *data)
{
    taken += bytes.len;
    if (may_go_on)
        return;
    tunnel_pause(tunnel);
    paused = data;
}

static void push_ended(struct tunnel *tunnel, void *data)
{
    (void)data;
    ended++;
    tunnel_finish(tunnel);
}

static void handle_push(struct request *request)
{
    static const struct tunnel_end push = {push_drained, push_piece, push_ended, on_gone, .idle_ms = 60000};
    begin(request, &push);
}

/* --- does one thing with the first piece --- */

static void nothing_drained(struct tunnel *tunnel, void *data)
{
    (void)tunnel;
    (void)data;
}

static void bye_piece(struct tunnel *tunnel, struct str bytes, void *data)
{
    static const struct str bye = {"bye", 3};
    (void)data;
    taken += bytes.len;
    if (bytes.ptr[0] == 'a') {
        tunnel_abort(tunnel);
    } else if (bytes.ptr[0] == 'f') {
        tunnel_write(tunnel, &bye, 1);
        tunnel_finish(tunnel);
    }
}

static void bye_ended(struct tunnel *tunnel, void *data)
{
    (void)tunnel;
    (void)data;
    ended++;
}

static void handle_bye(struct request *request)
{
    static const struct tunnel_end bye = {nothing_drained, bye_piece, bye_ended, on_gone, .idle_ms = 60000};
    begin(request, &bye);
}

static void handle_idle(struct request *request)
{
    static const struct tunnel_end idle = {nothing_drained, bye_piece, bye_ended, on_gone, .idle_ms = 100};
    begin(request, &idle);
}

/* Aborts before the 101 can have been sent. */
static void handle_abort(struct request *request)
{
    static const struct tunnel_end bye = {nothing_drained, bye_piece, bye_ended, on_gone, .idle_ms = 60000};
    struct far_end *far = calloc(1, sizeof(*far));
    request_set_header(request, "Upgrade", "websocket");
    tunnel_abort(tunnel_begin(request, &bye, far));
}

static int32_t tick(void *data)
{
    (void)data;
    struct far_end *far = paused;
    if (far != NULL && may_go_on) {
        paused = NULL;
        tunnel_resume(far->tunnel);
    }
    return 5;
}

static const struct route routes[] = {
    {"GET", "/echo", handle_echo, .body = STREAMED, .access = 0},
    {"POST", "/echo", handle_echo, .body = STREAMED, .access = 0},
    {"GET", "/push", handle_push, .access = 0},
    {"GET", "/bye", handle_bye, .access = 0},
    {"GET", "/idle", handle_idle, .access = 0},
    {"GET", "/abort", handle_abort, .access = 0},
    {.path = NULL},
};

/* --- a client --- */

#define ASK(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"

/* Opens a tunnel to a path, and reads its head. */
static int open_tunnel(const char *path, int receive_buffer)
{
    char request[256];
    struct buffer all = BUFFER_INIT;
    int fd = client_open();
    if (receive_buffer > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", path);
    client_send(fd, request);
    char byte;
    while (all.len < 4 || memcmp(all.ptr + all.len - 4, "\r\n\r\n", 4) != 0) {
        assert_int_equal(recv(fd, &byte, 1, 0), 1);
        buffer_append(&all, (struct str){&byte, 1});
    }
    assert_memory_equal(all.ptr, "HTTP/1.1 101 Switching Protocols\r\n", 34);
    buffer_append(&all, (struct str){"", 1});
    assert_has(&all, "\r\nConnection: upgrade\r\n");
    assert_has(&all, "\r\nUpgrade: websocket\r\n");
    assert_null(strstr(all.ptr, "Keep-Alive"));
    assert_null(strstr(all.ptr, "Content-Length"));
    buffer_fini(&all);
    return fd;
}

static int set_up(void **state)
{
    (void)state;
    gone = ended = 0;
    may_go_on = true;
    return 0;
}

static void read_exactly(int fd, size_t size)
{
    static char room[65536];
    while (size > 0) {
        ssize_t got = recv(fd, room, size < sizeof(room) ? size : sizeof(room), 0);
        assert_true(got > 0);
        size -= (size_t)got;
    }
}

/* --- tests --- */

/* Also what the client sends before it can have read the 101. */
static void test_bytes_pass_both_ways(void **state)
{
    (void)state;
    struct buffer all = BUFFER_INIT;
    int fd = client_open();
    client_send(fd, ASK("/echo") "early");
    client_read_until(fd, &all, "\r\n\r\nearly");
    buffer_fini(&all);
    client_send(fd, "GET / HTTP/1.1\r\n\r\n"); /* a request no more */
    client_read_until(fd, &all, "GET / HTTP/1.1\r\n\r\n");
    for (int i = 0; i < 40; i++) {
        client_send_bytes(fd, (struct str){big, 50000});
        read_exactly(fd, 50000);
    }
    client_send_bytes(fd, (struct str){big, 50000});
    shutdown(fd, SHUT_WR);
    bool reset;
    struct buffer rest = client_read_all(fd, &reset);
    assert_int_equal(rest.len - 1, 50000);
    assert_false(reset);
    assert_becomes(&gone, 1);
    assert_int_equal(ended, 1);
    buffer_fini(&rest);
    buffer_fini(&all);
}

static void test_who_may_not(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n",
        "GET /echo HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\na",
        "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        int fd = client_open();
        client_send(fd, requests[i]);
        struct buffer all = client_read_all(fd, NULL);
        assert_has(&all, "HTTP/1.1 400 ");
        buffer_fini(&all);
    }
}

/* Waits until a number changes no more. */
static size_t settle(atomic_size_t *number)
{
    size_t last;
    do {
        last = *number;
        poll(NULL, 0, 50);
    } while (*number != last);
    return last;
}

/* A reader that stopped costs no more than the kernel's buffers, and gets all when it goes on. */
static void test_a_reader_that_stops(void **state)
{
    (void)state;
    int fd = open_tunnel("/push", 65536);
    size_t most = settle(&pushed);
    assert_true(most > 65536 && most < 2 * MIB);
    read_exactly(fd, 8 * MIB);
    assert_true(pushed >= 8 * MIB);
    close(fd);
    assert_becomes(&gone, 1);
}

/* A sender whose bytes nobody takes has to wait. */
static void test_a_sender_has_to_wait(void **state)
{
    (void)state;
    may_go_on = false;
    int fd = open_tunnel("/push", 65536);
    size_t sent = 0;
    for (int64_t stalled_at = clock_ms(); clock_ms() - stalled_at < 100 && sent < 64 * (size_t)MIB;) {
        ssize_t got = send(fd, big, sizeof(big), MSG_DONTWAIT);
        sent += got > 0 ? (size_t)got : 0;
        stalled_at = got > 0 ? clock_ms() : stalled_at;
    }
    assert_true(taken <= TUNNEL_PIECE_MAX && sent < 16 * (size_t)MIB);
    may_go_on = true;
    for (int64_t end = clock_ms() + 3000; taken < sent && clock_ms() < end;)
        poll(NULL, 0, 1);
    assert_int_equal(taken, sent);
    close(fd);
    assert_becomes(&gone, 1);
}

static void test_clients_that_leave(void **state)
{
    (void)state;
    static const struct linger hard = {1, 0};
    for (int i = 0; i < 4; i++) {
        bool pauses = i >= 2;
        may_go_on = !pauses;
        int fd = open_tunnel(pauses ? "/push" : "/echo", 0);
        if (pauses) {
            client_send(fd, "x");
            for (int64_t end = clock_ms() + 1000; taken == 0 && clock_ms() < end;)
                poll(NULL, 0, 1);
        }
        if (i % 2 == 1)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        close(fd);
        assert_becomes(&gone, i + 1);
    }
}

static void test_we_end_it(void **state)
{
    (void)state;
    bool reset;
    int fd = open_tunnel("/bye", 0);
    client_send(fd, "a");
    struct buffer all = client_read_all(fd, &reset);
    assert_true(reset && all.len == 1);
    buffer_fini(&all);
    assert_becomes(&gone, 1);

    /* with our end closed, the client may go on */
    char text[4];
    fd = open_tunnel("/bye", 0);
    client_send(fd, "f");
    assert_int_equal(recv(fd, text, sizeof(text), 0), 3);
    assert_int_equal(recv(fd, text, sizeof(text), 0), 0);
    client_send(fd, "more");
    for (int64_t end = clock_ms() + 1000; taken < 5 && clock_ms() < end;)
        poll(NULL, 0, 1);
    assert_int_equal(taken, 5);
    assert_int_equal(gone, 1);
    close(fd);
    assert_becomes(&gone, 2);

    fd = client_open();
    client_send(fd, "GET /abort HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    all = client_read_all(fd, &reset);
    buffer_fini(&all);
    assert_true(reset);
    assert_becomes(&gone, 3);
}

static void test_an_idle_one_ends(void **state)
{
    (void)state;
    int fd = open_tunnel("/idle", 0);
    for (int i = 0; i < 10; i++) {
        client_send(fd, "x");
        poll(NULL, 0, 40);
    }
    assert_int_equal(gone, 0);
    assert_becomes(&gone, 1);
    close(fd);
}

/* The last test: the server ends. */
static void test_the_end(void **state)
{
    (void)state;
    bool reset;
    int fd = open_tunnel("/echo", 0);
    int64_t told_at = clock_ms();
    loopback_stop();
    assert_true(clock_ms() - told_at < 3000); /* and not when requests in flight are given up */
    struct buffer all = client_read_all(fd, &reset);
    assert_false(reset);
    buffer_fini(&all);
    assert_int_equal(gone, 1);
}

int main(void)
{
    loopback_start(routes, tick);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_bytes_pass_both_ways, set_up), cmocka_unit_test_setup(test_who_may_not, set_up),
        cmocka_unit_test_setup(test_a_reader_that_stops, set_up),  cmocka_unit_test_setup(test_a_sender_has_to_wait, set_up),
        cmocka_unit_test_setup(test_clients_that_leave, set_up),   cmocka_unit_test_setup(test_we_end_it, set_up),
        cmocka_unit_test_setup(test_an_idle_one_ends, set_up),     cmocka_unit_test_setup(test_the_end, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
