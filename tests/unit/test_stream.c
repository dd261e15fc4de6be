/*
 * Answers in pieces and parked requests, on a server in this process and sockets of the loopback: what its clients get, and
 * what is told of those that leave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loopback.h"

#include "http/pending.h"
#include "http/reply.h"
#include "http/stream.h"

#include <stdio.h>
#include <sys/ioctl.h>

#define PIECES 5
#define BIG (4 << 20)
#define LONG_PIECE 16384
#define READERS 200

static atomic_int gone, parks, parked_late;
static atomic_size_t written; /* bytes of endless answers */
static char *big;             /* a piece that fits no socket buffer */

/* What makes the pieces of one answer. */
struct making {
    int pieces; /* still to come */
    bool aborts;
};

static void on_drained(struct stream *stream, void *data)
{
    struct making *making = data;
    struct str piece = STR("piece ");
    if (making->pieces > 0) {
        making->pieces--;
        stream_write(stream, &piece, 1);
    } else if (making->aborts) {
        stream_abort(stream);
    } else {
        stream_end(stream);
    }
}

static void on_gone(void *data)
{
    free(data);
    gone++;
}

static const struct stream_maker maker = {on_drained, on_gone, .socket_buffer = 4096, .last = false};

static void begin(struct request *request, int status, size_t length, bool aborts)
{
    struct making *making = calloc(1, sizeof(*making));
    struct str first = STR("first ");
    *making = (struct making){PIECES, aborts};
    request_set_header(request, "X-Own", "yes");
    stream_write(stream_begin(request, status, STR("text/plain"), length, &maker, making), &first, 1);
}

static void handle_pieces(struct request *request)
{
    char room[8];
    struct str status = request_query(request, "status", room, sizeof(room));
    int number = 0;
    for (size_t i = 0; i < status.len; i++)
        number = number * 10 + (status.ptr[i] - '0');
    begin(request, number, STREAM_LENGTH_UNKNOWN, false);
}

static void handle_known(struct request *request)
{
    begin(request, 200, strlen("first ") + PIECES * strlen("piece "), false);
}

static void handle_broken(struct request *request)
{
    begin(request, 200, STREAM_LENGTH_UNKNOWN, true);
}

/* Sends the head alone, and then what no buffer takes. */
static void on_big_drained(struct stream *stream, void *data)
{
    int *writes = data;
    struct str piece = {big, BIG};
    if ((*writes)++ == 0)
        stream_write(stream, &piece, 1);
    else
        stream_end(stream);
}

static void handle_big(struct request *request)
{
    static const struct stream_maker big_maker = {on_big_drained, on_gone, .socket_buffer = 0, .last = true};
    int *writes = calloc(1, sizeof(*writes));
    struct stream *stream = stream_begin(request, 200, STR("text/plain"), STREAM_LENGTH_UNKNOWN, &big_maker, writes);
    stream_write(stream, NULL, 0);
}

/* Nothing more comes, and its client is to be noticed when it leaves. */
static void on_endless_drained(struct stream *stream, void *data)
{
    (void)stream;
    (void)data;
}

static void handle_endless(struct request *request)
{
    static const struct stream_maker endless = {on_endless_drained, on_gone, .socket_buffer = 0, .last = false};
    struct str first = STR("first ");
    stream_write(stream_begin(request, 200, STR("text/plain"), STREAM_LENGTH_UNKNOWN, &endless, calloc(1, 1)), &first, 1);
}

/* Writes as much as its client takes. */
static void on_long_drained(struct stream *stream, void *data)
{
    struct str piece = {big, LONG_PIECE};
    (void)data;
    written += LONG_PIECE;
    stream_write(stream, &piece, 1);
}

static void handle_long(struct request *request)
{
    static const struct stream_maker maker_of_long = {on_long_drained, on_gone, STREAM_SOCKET_BUFFER, .last = false};
    stream_write(stream_begin(request, 200, STR("text/plain"), STREAM_LENGTH_UNKNOWN, &maker_of_long, calloc(1, 1)), NULL, 0);
}

static void answer_empty(struct request *request)
{
    parked_late++;
    reply_constant(request, 200, STR("{\"tasks\":[]}"));
}

static struct pending *parked; /* the last one */
static atomic_bool unpark;

static void handle_park(struct request *request)
{
    parked = pending_new(request, answer_empty, 0);
    pending_park(parked, 60000);
    parks++;
}

static int32_t tick(void *data)
{
    (void)data;
    if (parked != NULL && atomic_exchange(&unpark, false)) {
        struct request *request = pending_take(parked);
        if (request != NULL)
            reply_constant(request, 200, STR("{\"tasks\":[1]}"));
    }
    if (parked != NULL && !pending_is_waited_for(parked)) {
        pending_release(parked, ERR_INTERNAL);
        parked = NULL;
    }
    return 10;
}

static const struct route routes[] = {
    {"GET", "/pieces", handle_pieces, .access = 0},   {"GET", "/known", handle_known, .access = 0},
    {"GET", "/broken", handle_broken, .access = 0},   {"GET", "/big", handle_big, .access = 0},
    {"GET", "/endless", handle_endless, .access = 0}, {"GET", "/long", handle_long, .access = 0},
    {"GET", "/park", handle_park, .access = 0},       {.path = NULL},
};

static int open_client(const char *request)
{
    int fd = client_open();
    client_send(fd, request);
    return fd;
}

static int set_up(void **state)
{
    (void)state;
    gone = parks = parked_late = 0;
    return 0;
}

/* --- what it gets --- */

#define CHUNKS "\r\n\r\n6\r\nfirst \r\n6\r\npiece \r\n6\r\npiece \r\n6\r\npiece \r\n6\r\npiece \r\n6\r\npiece \r\n0\r\n\r\n"

/* libh2o frames chunks of status 200 alone; ours are framed for any, and the connection goes on. */
static void test_any_status_has_chunks(void **state)
{
    (void)state;
    static const int statuses[] = {200, 201, 404, 502};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        char request[256], line[32];
        bool reset;
        snprintf(request, sizeof(request),
                 "GET /pieces?status=%d HTTP/1.1\r\nHost: x\r\n\r\nGET /known HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                 statuses[i]);
        struct buffer all = client_read_all(open_client(request), &reset);
        snprintf(line, sizeof(line), "HTTP/1.1 %d ", statuses[i]);
        assert_has(&all, line);
        assert_has(&all, "X-Own: yes");
        assert_has(&all, CHUNKS "HTTP/1.1 200 OK");
        assert_has(&all, "Content-Length: 36");
        assert_has(&all, "\r\n\r\nfirst piece piece piece piece piece ");
        assert_false(reset);
        buffer_fini(&all);
    }
    assert_becomes(&gone, 8);
}

static void test_http_1_0_gets_an_end(void **state)
{
    (void)state;
    bool reset;
    struct buffer all = client_read_all(open_client("GET /pieces?status=200 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), &reset);
    assert_has(&all, "\r\n\r\nfirst piece piece piece piece piece ");
    assert_null(strstr(all.ptr, "chunked"));
    assert_false(reset);
    buffer_fini(&all);
    assert_becomes(&gone, 1);
}

static void test_what_has_no_body_ends_at_once(void **state)
{
    (void)state;
    bool reset;
    struct buffer all = client_read_all(open_client("HEAD /pieces?status=200 HTTP/1.1\r\nHost: x\r\nX-Head: 1\r\n\r\n"
                                                    "GET /pieces?status=204 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
                                        &reset);
    assert_has(&all, "HTTP/1.1 200 OK");
    assert_has(&all, "HTTP/1.1 204 No Content");
    assert_null(strstr(all.ptr, "first"));
    assert_false(reset);
    buffer_fini(&all);
    assert_becomes(&gone, 2);
}

static void test_an_aborted_one_does_not_look_whole(void **state)
{
    (void)state;
    bool reset;
    struct buffer all = client_read_all(open_client("GET /broken HTTP/1.1\r\nHost: x\r\n\r\n"), &reset);
    assert_true(reset);
    assert_null(strstr(all.ptr, "0\r\n\r\n"));
    buffer_fini(&all);
    all = client_read_all(open_client("GET /broken HTTP/1.0\r\n\r\n"), &reset);
    assert_true(reset);
    buffer_fini(&all);
    assert_becomes(&gone, 2);
}

static void test_a_large_piece_arrives_whole(void **state)
{
    (void)state;
    bool reset;
    struct buffer all = client_read_all(open_client("GET /big HTTP/1.1\r\nHost: x\r\n\r\n"), &reset);
    assert_false(reset);
    assert_true(all.len > BIG && all.len < BIG + 1000);
    assert_memory_equal(all.ptr + all.len - 1 - 5, "0\r\n\r\n", 5);
    buffer_fini(&all);
    assert_becomes(&gone, 1);
}

/* --- who leaves --- */

static void test_one_that_leaves_a_silent_stream_is_noticed(void **state)
{
    (void)state;
    static const char *const requests[] = {"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n",
                                           "GET /endless HTTP/1.1\r\nHost: x\r\n\r\nGET /endless HTTP/1.1\r\nHost"};
    char first[256];
    for (int i = 0; i < 2; i++) {
        int fd = open_client(requests[i]);
        assert_true(recv(fd, first, sizeof(first), 0) > 0);
        close(fd);
        assert_becomes(&gone, i + 1);
    }
}

static void test_one_that_leaves_in_the_middle_of_a_write(void **state)
{
    (void)state;
    char first[1024];
    for (int i = 0; i < 20; i++) {
        int fd = open_client("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(recv(fd, first, sizeof(first), 0) > 0);
        close(fd);
    }
    assert_becomes(&gone, 20);
}

/* Readers that stopped cost no more than a buffer each, in the kernel; and end when they leave. */
static void test_readers_that_stop(void **state)
{
    (void)state;
    static int fds[READERS];
    size_t last, unread = 0;
    written = 0;
    for (int i = 0; i < READERS; i++) {
        int small = 65536;
        fds[i] = client_open();
        setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        client_send(fds[i], "GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    do {
        last = written;
        poll(NULL, 0, 100);
    } while (written != last || last == 0);
    for (int i = 0; i < READERS; i++) {
        int bytes;
        assert_int_equal(ioctl(fds[i], FIONREAD, &bytes), 0);
        assert_true(bytes > 0);
        unread += (size_t)bytes;
    }
    print_message("%zu KiB for each\n", (last - unread) / READERS / 1024);
    assert_true(last > unread && (last - unread) / READERS < 2 * STREAM_SOCKET_BUFFER);
    for (int i = 0; i < READERS; i++)
        close(fds[i]);
    assert_becomes(&gone, READERS);
}

static void test_a_parked_request_is_answered(void **state)
{
    (void)state;
    bool reset;
    int fd = open_client("GET /park HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_becomes(&parks, 1);
    unpark = true;
    struct buffer all = client_read_all(fd, &reset);
    assert_has(&all, "{\"tasks\":[1]}");
    buffer_fini(&all);
    assert_int_equal(parked_late, 0);
}

/* Whoever closes its side may be reading still: it gets what there is. */
static void test_a_parked_request_whose_client_leaves(void **state)
{
    (void)state;
    static const char *const requests[] = {"GET /park HTTP/1.1\r\nHost: x\r\n\r\n",
                                           "GET /park HTTP/1.1\r\nHost: x\r\n\r\nGET /park HTTP/1.1\r\nHos"};
    for (int i = 0; i < 2; i++) {
        int fd = open_client(requests[i]);
        assert_becomes(&parks, i + 1);
        assert_int_equal(parked_late, i);
        close(fd);
        assert_becomes(&parked_late, i + 1);
    }
    bool reset;
    int fd = open_client(requests[0]);
    shutdown(fd, SHUT_WR);
    struct buffer all = client_read_all(fd, &reset);
    assert_has(&all, "{\"tasks\":[]}");
    buffer_fini(&all);
}

/* The last test: the server ends. */
static void test_at_the_end_the_parked_are_answered(void **state)
{
    (void)state;
    bool reset;
    int fd = open_client("GET /park HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_becomes(&parks, 1);
    int64_t told_at = clock_ms();
    server_thread_stop(loopback.thread);
    struct buffer all = client_read_all(fd, &reset);
    assert_has(&all, "{\"tasks\":[]}");
    assert_has(&all, "Connection: close");
    assert_true(clock_ms() - told_at < 2000); /* and not when those that wait for Redis are given up */
    buffer_fini(&all);
    pthread_join(loopback.id, NULL);
}

int main(void)
{
    big = calloc(1, BIG);
    loopback_start(routes, tick);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_any_status_has_chunks, set_up),
        cmocka_unit_test_setup(test_http_1_0_gets_an_end, set_up),
        cmocka_unit_test_setup(test_what_has_no_body_ends_at_once, set_up),
        cmocka_unit_test_setup(test_an_aborted_one_does_not_look_whole, set_up),
        cmocka_unit_test_setup(test_a_large_piece_arrives_whole, set_up),
        cmocka_unit_test_setup(test_one_that_leaves_a_silent_stream_is_noticed, set_up),
        cmocka_unit_test_setup(test_one_that_leaves_in_the_middle_of_a_write, set_up),
        cmocka_unit_test_setup(test_readers_that_stop, set_up),
        cmocka_unit_test_setup(test_a_parked_request_is_answered, set_up),
        cmocka_unit_test_setup(test_a_parked_request_whose_client_leaves, set_up),
        cmocka_unit_test_setup(test_at_the_end_the_parked_are_answered, set_up),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(big);
    return failed;
}
