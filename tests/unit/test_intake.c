/*
 * Bodies of requests, on a server in this process and sockets of the loopback: what its handlers get of them, and what happens
 * to clients that send other things.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loopback.h"

#include "http/intake.h"
#include "http/pending.h"
#include "http/reply.h"
#include "http/stream.h"

#include <stdio.h>

#define MIB (1 << 20)

static atomic_int failures, left_ones, refusals, gone;
static atomic_size_t taken; /* bytes of the latest body until now */
static atomic_bool may_go_on;

/* The sum of a body's bytes, each by its place: what is lost, doubled or moved shows. */
static uint64_t sum_of(uint64_t sum, struct str bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        sum = sum * 31 + (unsigned char)bytes.ptr[i];
    return sum;
}

/* --- handlers --- */

struct upload {
    struct request *request;
    struct intake *intake;
    size_t bytes;
    uint64_t sum;
    bool quick; /* only counts */
};

static struct upload *paused; /* the one that waits for the tick */

static void answer(struct request *request, const char *how, size_t bytes, uint64_t sum)
{
    struct buffer body = BUFFER_INIT;
    buffer_printf(&body, "%s %zu %016llx;", how, bytes, (unsigned long long)sum);
    reply_json(request, 200, &body);
}

static void on_piece(struct intake *intake, struct str bytes, void *data)
{
    struct upload *upload = data;
    (void)intake;
    assert_true(bytes.len > 0 && bytes.len <= INTAKE_PIECE_MAX);
    upload->bytes += bytes.len;
    taken = upload->bytes;
    if (!upload->quick)
        upload->sum = sum_of(upload->sum, bytes);
}

static void on_whole(struct intake *intake, void *data)
{
    const struct upload *upload = data;
    (void)intake;
    answer(upload->request, "streamed", upload->bytes, upload->sum);
}

static void on_failed(struct intake *intake, enum err err, const char *why, bool left, void *data)
{
    const struct upload *upload = data;
    (void)intake;
    failures++;
    left_ones += left;
    reply_error(upload->request, err, why, NULL);
}

static const struct intake_taker taker = {on_piece, on_whole, on_failed};

static struct upload *begin(struct request *request, const struct intake_taker *with)
{
    struct upload *upload = request_alloc(request, sizeof(*upload));
    upload->request = request;
    upload->intake = request->intake;
    taken = 0;
    if (request->intake != NULL)
        intake_take(request->intake, with, upload);
    else
        answer(request, "whole", request->body.len, sum_of(0, request->body));
    return upload;
}

static void handle_upload(struct request *request)
{
    begin(request, &taker);
}

static void handle_count(struct request *request)
{
    begin(request, &taker)->quick = true;
}

/* Pauses after each piece, until the next tick. */
static void on_piece_then_pause(struct intake *intake, struct str bytes, void *data)
{
    on_piece(intake, bytes, data);
    intake_pause(intake);
    paused = data;
}

static void on_whole_of_paused(struct intake *intake, void *data)
{
    paused = NULL;
    on_whole(intake, data);
}

static void on_failed_of_paused(struct intake *intake, enum err err, const char *why, bool left, void *data)
{
    paused = NULL;
    on_failed(intake, err, why, left, data);
}

static void handle_slow(struct request *request)
{
    static const struct intake_taker slow = {on_piece_then_pause, on_whole_of_paused, on_failed_of_paused};
    begin(request, &slow);
}

/* Waits before it takes the body. */
static struct pending *waiting;

static void handle_wait(struct request *request)
{
    waiting = pending_new(request, NULL, 0);
}

static void on_piece_refuse(struct intake *intake, struct str bytes, void *data)
{
    const struct upload *upload = data;
    (void)intake;
    (void)bytes;
    refusals++;
    reply_error(upload->request, ERR_FORBIDDEN, "refused in the middle", NULL);
}

static void handle_refuse(struct request *request)
{
    static const struct intake_taker refuser = {on_piece_refuse, on_whole, on_failed};
    begin(request, &refuser);
}

static void handle_early(struct request *request)
{
    refusals++;
    reply_error(request, ERR_FORBIDDEN, "refused at once", NULL);
}

/* Sends back what comes, as it comes: one piece at a time. */
struct echo {
    struct intake *intake;
    struct stream *stream;
    struct buffer piece; /* empty unless it is being sent */
    bool whole;
};

static void echo_drained(struct stream *stream, void *data)
{
    struct echo *echo = data;
    echo->piece.len = 0;
    if (echo->whole)
        stream_end(stream);
    else
        intake_resume(echo->intake);
}

static void echo_gone(void *data)
{
    struct echo *echo = data;
    buffer_fini(&echo->piece);
    free(echo);
    gone++;
}

static void echo_piece(struct intake *intake, struct str bytes, void *data)
{
    struct echo *echo = data;
    intake_pause(intake);
    buffer_append(&echo->piece, bytes);
    struct str piece = buffer_str(&echo->piece);
    stream_write(echo->stream, &piece, 1);
}

static void echo_whole(struct intake *intake, void *data)
{
    struct echo *echo = data;
    (void)intake;
    echo->whole = true;
    if (echo->piece.len == 0)
        stream_end(echo->stream);
}

static void echo_failed(struct intake *intake, enum err err, const char *why, bool left, void *data)
{
    struct echo *echo = data;
    (void)intake;
    (void)err;
    (void)why;
    failures++;
    left_ones += left;
    stream_abort(echo->stream);
}

static void handle_echo(struct request *request)
{
    static const struct intake_taker echo_taker = {echo_piece, echo_whole, echo_failed};
    static const struct stream_maker echo_maker = {echo_drained, echo_gone, .socket_buffer = 4096, .last = false};
    struct echo *echo = calloc(1, sizeof(*echo));
    echo->intake = request->intake;
    echo->stream = stream_begin(request, 200, STR("text/plain"), STREAM_LENGTH_UNKNOWN, &echo_maker, echo);
    intake_take(request->intake, &echo_taker, echo);
}

static void handle_json(struct request *request)
{
    answer(request, "json", request->body.len, sum_of(0, request->body));
}

/* Holds its request until the tick. */
#define HOLDERS 8
static struct pending *held[HOLDERS];
static atomic_int holds;
static atomic_bool let_go;

static void handle_hold(struct request *request)
{
    held[holds] = pending_new(request, NULL, 0);
    pending_park(held[holds++], 60000);
}

static void handle_get(struct request *request)
{
    reply_constant(request, 200, STR("got"));
}

/* An answer whose length is known, after which the connection goes on. */
static void known_drained(struct stream *stream, void *data)
{
    (void)data;
    stream_end(stream);
}

static void known_gone(void *data)
{
    (void)data;
    gone++;
}

static void handle_known(struct request *request)
{
    static const struct stream_maker known = {known_drained, known_gone, .socket_buffer = 0, .last = false};
    struct str text = STR("known");
    stream_write(stream_begin(request, 200, STR("text/plain"), text.len, &known, NULL), &text, 1);
}

static int32_t tick(void *data)
{
    (void)data;
    struct upload *upload = paused;
    if (upload != NULL && may_go_on) {
        paused = NULL;
        intake_resume(upload->intake);
    }
    if (waiting != NULL && atomic_exchange(&may_go_on, false)) {
        struct request *request = pending_take(waiting);
        if (request != NULL)
            begin(request, &taker);
        pending_release(waiting, ERR_INTERNAL);
        waiting = NULL;
    }
    while (let_go && holds > 0) {
        struct pending *each = held[--holds];
        struct request *request = pending_take(each);
        if (request != NULL)
            handle_json(request);
        pending_release(each, ERR_INTERNAL);
    }
    return 1;
}

static const struct route routes[] = {
    {"POST", "/upload", handle_upload, .body = STREAMED, .access = 0},
    {"POST", "/count", handle_count, .body = STREAMED, .access = 0},
    {"POST", "/slow", handle_slow, .body = STREAMED, .access = 0},
    {"POST", "/wait", handle_wait, .body = STREAMED, .access = 0},
    {"POST", "/refuse", handle_refuse, .body = STREAMED, .access = 0},
    {"POST", "/early", handle_early, .body = STREAMED, .access = 0},
    {"POST", "/echo", handle_echo, .body = STREAMED, .access = 0},
    {"POST", "/json", handle_json, .access = 0},
    {"POST", "/bulk", handle_json, .body_max = MIB, .access = 0},
    {"POST", "/hold", handle_hold, .body_max = 16 * MIB, .access = 0},
    {"GET", "/get", handle_get, .access = 0},
    {"GET", "/known", handle_known, .access = 0},
    {.path = NULL},
};

/* --- a client --- */

/* A body of `size` bytes that does not repeat itself. */
static struct buffer make_body(size_t size)
{
    struct buffer body = BUFFER_INIT;
    char *room = buffer_reserve(&body, size + 1);
    uint32_t random = (uint32_t)size;
    for (size_t i = 0; i < size; i++) {
        random = random * 1664525 + 1013904223;
        room[i] = (char)(random >> 24);
    }
    body.len = size;
    return body;
}

/* Appends a request with that body, in chunks of `chunk` bytes; 0: with its length. */
static void append_request(struct buffer *out, const char *path, struct str body, size_t chunk)
{
    buffer_printf(out, "POST %s HTTP/1.1\r\nHost: x\r\n", path);
    if (chunk == 0) {
        buffer_printf(out, "Content-Length: %zu\r\n\r\n", body.len);
        buffer_append(out, body);
        return;
    }
    buffer_append(out, STR("Transfer-Encoding: chunked\r\n\r\n"));
    for (size_t at = 0; at < body.len; at += chunk) {
        size_t size = chunk < body.len - at ? chunk : body.len - at;
        buffer_printf(out, "%zx\r\n", size);
        buffer_append(out, (struct str){body.ptr + at, size});
        buffer_append(out, STR("\r\n"));
    }
    buffer_append(out, STR("0\r\n\r\n"));
}

/* What the answer to that body says. */
static const char *expected(const char *how, struct str body)
{
    static char text[80];
    snprintf(text, sizeof(text), "%s %zu %016llx;", how, body.len, (unsigned long long)sum_of(0, body));
    return text;
}

static int set_up(void **state)
{
    (void)state;
    failures = left_ones = refusals = gone = 0;
    may_go_on = true;
    return 0;
}

/* --- what handlers get --- */

#define GET "GET /get HTTP/1.1\r\nHost: x\r\n\r\n"
#define GET_LAST "GET /get HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

/* On one connection, each body with its length and in chunks, and what the handler must be told of it. */
static void test_bodies_of_all_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        size_t size, chunk;
        const char *how;
    } cases[] = {
        {"/upload", 1, 0, "whole"},
        {"/upload", 1, 1, "whole"},
        {"/upload", 1000, 7, "whole"},
        {"/upload", INTAKE_WHOLE_MAX, 0, "whole"},
        {"/upload", INTAKE_WHOLE_MAX + 1, 0, "streamed"},
        {"/upload", 3 * MIB + 1, 0, "streamed"},
        {"/upload", 3 * MIB + 1, 100000, "streamed"},
        {"/upload", 300000, 1, "streamed"},
        {"/upload", 300000, 4093, "streamed"},
        {"/slow", MIB, 0, "streamed"},
        {"/slow", MIB, 5000, "streamed"},
        {"/json", INTAKE_WHOLE_MAX, 0, "json"},
        {"/json", INTAKE_WHOLE_MAX, 777, "json"},
        {"/bulk", MIB, 0, "json"},
        {"/bulk", MIB, 65536, "json"},
    };
    int fd = client_open();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer body = make_body(cases[i].size), request = BUFFER_INIT, all = BUFFER_INIT;
        append_request(&request, cases[i].path, buffer_str(&body), cases[i].chunk);
        buffer_append(&request, STR(GET)); /* behind it, at once */
        print_message("%s %zu %zu\n", cases[i].path, cases[i].size, cases[i].chunk);
        client_send_bytes(fd, buffer_str(&request));
        client_read_until(fd, &all, "\r\n\r\ngot");
        assert_has(&all, expected(cases[i].how, buffer_str(&body)));
        buffer_fini(&body);
        buffer_fini(&request);
        buffer_fini(&all);
    }
    close(fd);
    assert_int_equal(failures, 0);
}

/* Requests of all kinds behind one another, cut into pieces at any place. */
static void test_pipelined_requests_in_pieces(void **state)
{
    (void)state;
    struct buffer small = make_body(50), large = make_body(70000), requests = BUFFER_INIT;
    append_request(&requests, "/upload", buffer_str(&large), 0);
    append_request(&requests, "/upload", buffer_str(&small), 9);
    buffer_append(&requests, STR(GET));
    append_request(&requests, "/json", buffer_str(&small), 0);
    buffer_append(&requests, STR("GET /known HTTP/1.1\r\nHost: x\r\n\r\n"));
    append_request(&requests, "/upload", buffer_str(&large), 30000);
    append_request(&requests, "/json", buffer_str(&small), 50);
    buffer_append(&requests, STR("HEAD /known HTTP/1.1\r\nHost: x\r\n\r\n"));
    append_request(&requests, "/upload", buffer_str(&large), 0);
    buffer_append(&requests, STR(GET_LAST));
    static const size_t pieces[] = {SIZE_MAX, 50000, 8192, 1999, 613};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        int fd = client_open();
        struct str rest = buffer_str(&requests);
        while (rest.len > 0) {
            size_t size = pieces[i] < rest.len ? pieces[i] : rest.len;
            client_send_bytes(fd, (struct str){rest.ptr, size});
            rest = (struct str){rest.ptr + size, rest.len - size};
            if (size < 2000)
                poll(NULL, 0, rest.len % 17 == 0); /* now and then, so that pieces arrive as such */
        }
        struct buffer all = client_read_all(fd, NULL);
        const char *at = all.ptr;
        static const char *const order[] = {"streamed 70000", " 50 ",    "got",          "json 50",        "known",
                                            "streamed 70000", "json 50", "HTTP/1.1 200", "streamed 70000", "got"};
        for (size_t j = 0; j < sizeof(order) / sizeof(order[0]); j++) {
            at = strstr(at, order[j]);
            if (at == NULL)
                fail_msg("\"%s\" is not in its place: %s", order[j], all.ptr);
            at += strlen(order[j]);
        }
        assert_has(&all, expected("streamed", buffer_str(&large)));
        buffer_fini(&all);
    }
    buffer_fini(&small);
    buffer_fini(&large);
    buffer_fini(&requests);
    assert_int_equal(failures, 0);
}

static size_t peak_memory_kib(void)
{
    char line[128];
    size_t kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtoul(line + 6, NULL, 10);
    fclose(file);
    return kib;
}

/* However long it is, no body is held. */
static void test_a_long_body_takes_no_memory(void **state)
{
    (void)state;
    static char room[MIB];
    for (int chunked = 0; chunked < 2; chunked++) {
        int fd = client_open();
        struct buffer all = BUFFER_INIT;
        size_t before = peak_memory_kib();
        if (chunked)
            client_send(fd, "POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        else
            client_send(fd, "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 268435456\r\n\r\n");
        for (int i = 0; i < 256; i++) {
            if (chunked)
                client_send(fd, "100000\r\n");
            client_send_bytes(fd, (struct str){room, MIB});
            if (chunked)
                client_send(fd, "\r\n");
        }
        if (chunked)
            client_send(fd, "0\r\n\r\n");
        client_read_until(fd, &all, "streamed 268435456 ");
        close(fd);
        buffer_fini(&all);
        assert_true(peak_memory_kib() - before < 2048);
    }
}

/* Nothing is read of what nobody takes: the client has to wait. */
static void test_back_pressure_reaches_the_client(void **state)
{
    (void)state;
    static char room[MIB];
    may_go_on = false;
    int fd = client_open();
    struct buffer all = BUFFER_INIT;
    client_send(fd, "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n");
    size_t sent = 0;
    int64_t stalled_at = clock_ms();
    while (sent < 100 * (size_t)MIB && clock_ms() - stalled_at < 100) {
        ssize_t got = send(fd, room, sizeof(room), MSG_DONTWAIT);
        if (got > 0) {
            sent += (size_t)got;
            stalled_at = clock_ms();
        } else {
            poll(NULL, 0, 1);
        }
    }
    assert_true(taken <= INTAKE_PIECE_MAX && sent < 16 * (size_t)MIB);
    may_go_on = true;
    while (sent < 100 * (size_t)MIB) {
        size_t size = 100 * (size_t)MIB - sent < MIB ? 100 * (size_t)MIB - sent : MIB;
        client_send_bytes(fd, (struct str){room, size});
        sent += size;
    }
    client_read_until(fd, &all, "streamed 104857600 ");
    close(fd);
    buffer_fini(&all);
}

/* A client that waits for 100 Continue gets it when somebody takes the body, and not before. */
static void test_expectations(void **state)
{
    (void)state;
    static const struct {
        const char *path, *length, *body, *how;
    } cases[] = {
        {"/upload", "Content-Length: 5", "hello", "streamed 5 "},
        {"/upload", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", "streamed 5 "},
        {"/json", "Content-Length: 5", "hello", "json 5 "},
        {"/json", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", "json 5 "},
        {"/wait", "Content-Length: 5", "hello", "streamed 5 "},
    };
    int fd = client_open();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer all = BUFFER_INIT;
        char head[256], byte;
        bool waits = strcmp(cases[i].path, "/wait") == 0;
        may_go_on = !waits;
        snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n%s\r\n\r\n", cases[i].path,
                 cases[i].length);
        client_send(fd, head);
        if (waits) {
            poll(NULL, 0, 50);
            assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
            may_go_on = true;
        }
        client_read_until(fd, &all, "HTTP/1.1 100 Continue\r\n\r\n");
        client_send(fd, cases[i].body);
        client_read_until(fd, &all, cases[i].how);
        buffer_fini(&all);
    }
    close(fd);
}

/* Whoever will not read a body says so before it is sent. */
static void test_nobody_is_asked_for_what_is_refused(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "POST /early HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        "POST /nowhere HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        "GET /get HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 500000\r\n\r\n",
        "POST /json HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 500000\r\n\r\n",
        "POST /upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 999999999999\r\n\r\n",
        "POST /upload HTTP/1.1\r\nHost: x\r\nExpect: the-unexpected\r\nContent-Length: 5\r\n\r\n",
    };
    static const char *const answers[] = {"HTTP/1.1 403 ", "HTTP/1.1 404 ",    "HTTP/1.1 413 ",
                                          "HTTP/1.1 413 ", "MAX_UPLOAD_BYTES", "HTTP/1.1 417 "};
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        int fd = client_open();
        client_send(fd, requests[i]);
        struct buffer all = client_read_all(fd, NULL);
        assert_memory_equal(all.ptr, "HTTP/1.1 4", 10);
        assert_has(&all, answers[i]);
        assert_has(&all, "Connection: close");
        buffer_fini(&all);
    }
}

/* One that was refused gets its answer, not a reset, though it has sent much that nobody reads. */
static void test_an_early_answer_is_read(void **state)
{
    (void)state;
    static const char *const paths[] = {"/early", "/refuse", "/nowhere"};
    struct buffer body = make_body(4 * MIB);
    for (int i = 0; i < 6; i++) {
        struct buffer request = BUFFER_INIT;
        int fd = client_open();
        append_request(&request, paths[i % 3], buffer_str(&body), i < 3 ? 0 : 10000);
        for (struct str rest = buffer_str(&request); rest.len > 0;) {
            ssize_t sent = send(fd, rest.ptr, rest.len, 0);
            if (sent <= 0)
                break;
            rest = (struct str){rest.ptr + sent, rest.len - (size_t)sent};
        }
        struct buffer all = client_read_all(fd, NULL);
        assert_has(&all, i % 3 == 2 ? "HTTP/1.1 404 " : "HTTP/1.1 403 ");
        assert_has(&all, "Connection: close");
        assert_null(strstr(all.ptr + 1, "HTTP/1.1 ")); /* nothing of the body was taken for a request */
        buffer_fini(&all);
        buffer_fini(&request);
    }
    buffer_fini(&body);
    assert_int_equal(refusals, 4);
    assert_int_equal(failures, 0);
}

/* An answer may go on while the body comes. */
static void test_both_ways_at_once(void **state)
{
    (void)state;
    struct buffer body = make_body(100000), all = BUFFER_INIT;
    int fd = client_open();
    client_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    client_read_until(fd, &all, "5\r\nfirst\r\n");
    client_send(fd, "6\r\nsecond\r\n");
    client_read_until(fd, &all, "6\r\nsecond\r\n");
    client_send(fd, "186a0\r\n");
    client_send_bytes(fd, buffer_str(&body));
    client_send(fd, "\r\n0\r\n\r\n");
    struct buffer rest = client_read_all(fd, NULL);
    assert_memory_equal(rest.ptr + rest.len - 6, "0\r\n\r\n", 5);
    assert_true(rest.len > 100000);
    buffer_fini(&rest);
    buffer_fini(&body);
    buffer_fini(&all);
    assert_becomes(&gone, 1);
}

/* --- what is no body --- */

static void test_what_is_broken_is_refused(void **state)
{
    (void)state;
    static const char *const starts[] = {"5\r\nhello\r\n", ""};
    static const char *const ends[] = {"xyz\r\n", "5 \r\n", "\n", "0\r\nno colon\r\n\r\n", "5;\nhello\r\n"};
    static const char *const paths[] = {"/upload", "/json", "/echo"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        for (size_t j = 0; j < 6; j++) {
            char head[256];
            struct buffer all = BUFFER_INIT;
            int fd = client_open();
            const char *path = paths[j / 2], *start_of_body = strcmp(path, "/echo") == 0 ? starts[0] : starts[j % 2];
            snprintf(head, sizeof(head),
                     "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n", path);
            client_send(fd, head);
            if (strcmp(path, "/echo") == 0)
                poll(NULL, 0, 5);
            else
                client_read_until(fd, &all, "HTTP/1.1 100 Continue\r\n\r\n");
            client_send(fd, start_of_body);
            char rest[128]; /* in one piece: the server may be gone after what is broken */
            snprintf(rest, sizeof(rest), "%s%s", ends[i], GET);
            client_send(fd, rest);
            buffer_fini(&all);
            all = client_read_all(fd, NULL);
            assert_null(strstr(all.ptr, "got"));
            if (strcmp(path, "/echo") != 0)
                assert_has(&all, "HTTP/1.1 400 ");
            else
                assert_null(strstr(all.ptr, "0\r\n\r\n"));
            buffer_fini(&all);
        }
    }
}

/* A request that was smuggled in another one's body is never served. */
static void test_nothing_is_smuggled(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "Content-Length: 5\r\nContent-Length: 50",
        "Content-Length: +5",
        "Content-Length: 5, 5",
        "Content-Length: 0x5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\r\n: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "Transfer_Encoding: chunked",
        "Connection: close, Content-Length\r\nContent-Length: 5",
        "Content-Length: 5\r\n\tX: y",
        "X: y\rContent-Length: 5",
        "Content-Length: 5\r\nExpect: 200-maybe",
    };
    static const char *const paths[] = {"/upload", "/json"};
    for (size_t i = 0; i < 2 * sizeof(heads) / sizeof(heads[0]); i++) {
        char request[512];
        snprintf(request, sizeof(request), "POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n0\r\n\r\n" GET, paths[i % 2], heads[i / 2]);
        int fd = client_open();
        client_send(fd, request);
        struct buffer all = client_read_all(fd, NULL);
        if (strstr(all.ptr, "HTTP/1.1 4") != all.ptr || strstr(all.ptr + 1, "HTTP/1.1") != NULL)
            fail_msg("%s: %s", heads[i / 2], all.ptr);
        buffer_fini(&all);
    }
}

/* What may be answered here but not passed on. */
static void test_odd_requests_are_not_for_streamed_routes(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "POST http://y/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
        "P\xffST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
    };
    static const int statuses[] = {400, 405};
    for (size_t i = 0; i < 2; i++) {
        char status[16];
        int fd = client_open();
        client_send(fd, requests[i]);
        shutdown(fd, SHUT_WR);
        struct buffer all = client_read_all(fd, NULL);
        snprintf(status, sizeof(status), "HTTP/1.1 %d ", statuses[i]);
        assert_has(&all, status);
        buffer_fini(&all);
    }
}

static void test_too_much(void **state)
{
    (void)state;
    static char room[MIB];
    static const char *const paths[] = {"/count", "/json", "/bulk"};
    for (int i = 0; i < 3; i++) {
        char head[128];
        int fd = client_open();
        snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", paths[i]);
        client_send(fd, head);
        for (int sent = 0; sent <= LOOPBACK_UPLOAD_MAX / MIB + 1; sent++) {
            if (send(fd, "100000\r\n", 8, 0) <= 0 || send(fd, room, MIB, 0) <= 0 || send(fd, "\r\n", 2, 0) <= 0)
                break; /* it has had enough */
        }
        struct buffer all = client_read_all(fd, NULL);
        assert_has(&all, "HTTP/1.1 413 ");
        if (i == 0)
            assert_has(&all, "MAX_UPLOAD_BYTES");
        buffer_fini(&all);
    }
}

/* However many wait with a long body for their answers, they are bounded together. */
static void test_what_is_held_is_bounded(void **state)
{
    (void)state;
    struct buffer body = make_body(12 * MIB); /* in a buffer of 16 MiB */
    int fds[HOLDERS];
    for (int i = 0; i < HOLDERS; i++) {
        struct buffer request = BUFFER_INIT;
        fds[i] = client_open();
        append_request(&request, "/hold", buffer_str(&body), i % 2 == 0 ? 0 : 100000);
        client_send_bytes(fds[i], buffer_str(&request));
        buffer_fini(&request);
        assert_becomes(&holds, i + 1);
    }
    for (int i = 0; i < 2; i++) {
        struct buffer request = BUFFER_INIT, small = make_body(70000);
        int fd = client_open();
        append_request(&request, "/hold", buffer_str(&small), i == 0 ? 0 : 1000);
        client_send_bytes(fd, buffer_str(&request));
        struct buffer all = client_read_all(fd, NULL);
        assert_has(&all, "HTTP/1.1 503 ");
        assert_has(&all, "Retry-After");
        buffer_fini(&all);
        buffer_fini(&request);
        buffer_fini(&small);
    }
    let_go = true;
    for (int i = 0; i < HOLDERS; i++) {
        struct buffer all = BUFFER_INIT;
        client_read_until(fds[i], &all, expected("json", buffer_str(&body)));
        close(fds[i]);
        buffer_fini(&all);
    }
    /* and there is room again */
    struct buffer request = BUFFER_INIT, all = BUFFER_INIT;
    int fd = client_open();
    append_request(&request, "/hold", buffer_str(&body), 0);
    client_send_bytes(fd, buffer_str(&request));
    client_read_until(fd, &all, expected("json", buffer_str(&body)));
    close(fd);
    buffer_fini(&all);
    buffer_fini(&request);
    buffer_fini(&body);
}

/* --- who leaves --- */

static void test_one_that_leaves_in_the_middle(void **state)
{
    (void)state;
    static const char *const paths[] = {"/upload", "/json", "/echo"};
    static const struct linger hard = {1, 0};
    for (int i = 0; i < 12; i++) {
        char head[256];
        int fd = client_open();
        bool chunked = i % 2 == 0;
        snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", paths[i / 4],
                 chunked ? "Transfer-Encoding: chunked" : "Content-Length: 65537");
        if (i / 4 == 1 && !chunked)
            snprintf(head, sizeof(head), "POST /bulk HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n");
        client_send(fd, head);
        client_send(fd, "5\r\nhello\r\n");
        poll(NULL, 0, 5);
        if (i % 4 >= 2)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        close(fd);
    }
    assert_becomes(&left_ones, 8);
    assert_becomes(&gone, 4);
}

/* Also while nothing is read of its body. */
static void test_one_that_leaves_while_it_waits(void **state)
{
    (void)state;
    may_go_on = false;
    static char room[100000];
    struct buffer all = BUFFER_INIT;
    int fd = client_open();
    client_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n");
    client_send_bytes(fd, (struct str){room, sizeof(room)});
    client_read_until(fd, &all, "HTTP/1.1 200 ");
    while (send(fd, room, sizeof(room), MSG_DONTWAIT) > 0 || poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 50) > 0)
        continue; /* until it reads no more, since its own answer is not read */
    close(fd);
    buffer_fini(&all);
    assert_becomes(&gone, 1);
}

/* The last test: the server ends, and a body that goes on is no reason to wait for ever. */
static void test_the_end(void **state)
{
    (void)state;
    int whole = client_open(), half = client_open();
    client_send(whole, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n");
    client_send(half, "POST /json HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 70\r\n\r\n");
    poll(NULL, 0, 20);
    server_thread_stop(loopback.thread);
    poll(NULL, 0, 20);
    struct buffer body = make_body(70000), all;
    client_send_bytes(whole, buffer_str(&body));
    all = client_read_all(whole, NULL);
    assert_has(&all, expected("streamed", buffer_str(&body)));
    assert_has(&all, "Connection: close");
    buffer_fini(&all);
    all = client_read_all(half, NULL);
    assert_has(&all, "HTTP/1.1 408 ");
    buffer_fini(&all);
    buffer_fini(&body);
    pthread_join(loopback.id, NULL);
}

int main(void)
{
    loopback_start(routes, tick);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_bodies_of_all_sizes, set_up),
        cmocka_unit_test_setup(test_pipelined_requests_in_pieces, set_up),
        cmocka_unit_test_setup(test_a_long_body_takes_no_memory, set_up),
        cmocka_unit_test_setup(test_back_pressure_reaches_the_client, set_up),
        cmocka_unit_test_setup(test_expectations, set_up),
        cmocka_unit_test_setup(test_nobody_is_asked_for_what_is_refused, set_up),
        cmocka_unit_test_setup(test_an_early_answer_is_read, set_up),
        cmocka_unit_test_setup(test_both_ways_at_once, set_up),
        cmocka_unit_test_setup(test_what_is_broken_is_refused, set_up),
        cmocka_unit_test_setup(test_nothing_is_smuggled, set_up),
        cmocka_unit_test_setup(test_odd_requests_are_not_for_streamed_routes, set_up),
        cmocka_unit_test_setup(test_too_much, set_up),
        cmocka_unit_test_setup(test_what_is_held_is_bounded, set_up),
        cmocka_unit_test_setup(test_one_that_leaves_in_the_middle, set_up),
        cmocka_unit_test_setup(test_one_that_leaves_while_it_waits, set_up),
        cmocka_unit_test_setup(test_the_end, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
