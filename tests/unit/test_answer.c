/*
 * Answers of workers: the good ones are read, and those that two readers could read differently are refused, however they are
 * cut into pieces.
 */
#include "upstream/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct seen {
    int heads;
    struct buffer body;
    size_t pieces;
};

static void on_head(void *data)
{
    ((struct seen *)data)->heads++;
}

static void on_body(void *data, struct str bytes)
{
    struct seen *seen = data;
    seen->pieces++;
    buffer_append(&seen->body, bytes);
}

static const struct answer_events events = {on_head, on_body};

/* Reads `text` in pieces of `size` bytes, then its end. Returns the state, and in *used how many bytes belong to the answer. */
static enum answer_state read_all(struct answer *answer, struct str text, size_t size, size_t *used)
{
    enum answer_state state = ANSWER_MORE;
    char *room = malloc(text.len + 1);
    *used = 0;
    while (*used < text.len && state == ANSWER_MORE) {
        size_t left = text.len - *used, taken;
        struct str piece = {memcpy(room, text.ptr + *used, left < size ? left : size), left < size ? left : size};
        state = answer_read(answer, piece, &taken);
        *used += taken;
    }
    free(room);
    return state == ANSWER_MORE ? answer_end(answer) : state;
}

struct sample {
    const char *text;
    enum answer_state state;
    const char *body;
    bool is_head, upgrade;
};

#define BAD(text)                                                                                                                  \
    {                                                                                                                              \
        text, ANSWER_BAD, NULL, false, false                                                                                       \
    }
#define OK "HTTP/1.1 200 OK\r\n"

static const struct sample samples[] = {
    {OK "Content-Length: 2\r\n\r\nhi", ANSWER_DONE, "hi", false, false},
    {"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", ANSWER_DONE, "hi", false, false},
    {"HTTP/1.1 200 \xc3\xa9 \t!\r\nContent-Length: 2\r\n\r\nhi", ANSWER_DONE, "hi", false, false},
    {"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nhi", ANSWER_DONE, "hi", false, false},
    {OK "Content-Length: 0\r\n\r\n", ANSWER_DONE, "", false, false},
    {OK "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", ANSWER_BAD, NULL, false, false}, /* llhttp refuses any second one */
    {OK "\r\nuntil the end", ANSWER_DONE, "until the end", false, false},
    {"HTTP/1.0 200 OK\r\n\r\nold", ANSWER_DONE, "old", false, false},
    {OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1;a=b\r\n!\r\n0\r\n\r\n", ANSWER_DONE, "hi!", false, false},
    {OK "transfer-encoding:  CHUNKED \r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\n", ANSWER_DONE, "hi", false, false},
    {OK "Content-Length: 5\r\n\r\n", ANSWER_DONE, "", true, false},
    {OK "Transfer-Encoding: chunked\r\n\r\n", ANSWER_DONE, "", true, false},
    {"HTTP/1.1 204 No Content\r\n\r\n", ANSWER_DONE, "", false, false},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", ANSWER_DONE, "", false, false},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" OK "Content-Length: 2\r\n\r\nhi", ANSWER_DONE, "hi",
     false, false},
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", ANSWER_UPGRADE, "", false, true},
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\r\n", ANSWER_UPGRADE, "", false, true},
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", ANSWER_BAD, NULL, false, true},
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket, h2c\r\nConnection: Upgrade\r\n\r\n", ANSWER_BAD, NULL, false, true},
    {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n", ANSWER_BAD, NULL, false, true},
    {OK "X-Empty:\r\nContent-Length: 2\r\n\r\nhi", ANSWER_DONE, "hi", false, false},
    /* Content-Length */
    BAD(OK "Content-Length: abc\r\n\r\n"),
    BAD(OK "Content-Length: +2\r\n\r\nhi"),
    BAD(OK "Content-Length: -2\r\n\r\nhi"),
    BAD(OK "Content-Length: 2x\r\n\r\nhi"),
    BAD(OK "Content-Length: 0x2\r\n\r\nhi"),
    BAD(OK "Content-Length: 2, 2\r\n\r\nhi"),
    BAD(OK "Content-Length: 2 2\r\n\r\nhi"),
    BAD(OK "Content-Length:\r\n\r\n"),
    BAD(OK "Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!"),
    BAD(OK "Content-Length: 1234567890123456789\r\n\r\n"),
    BAD(OK "Content-Length: 12345678901234567890\r\n\r\n"),
    BAD(OK "Content-Length: 99999999999999999999999999\r\n\r\n"),
    BAD(OK "Content-Length: 3\r\n\r\nhi"),
    /* Transfer-Encoding */
    BAD(OK "Transfer-Encoding: gzip\r\n\r\nhi"),
    BAD(OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    BAD(OK "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    BAD(OK "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    BAD(OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BAD(OK "Transfer-Encoding: identity\r\n\r\nhi"),
    BAD(OK "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    BAD(OK "Transfer-Encoding:\r\n\r\nhi"),
    BAD(OK "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n"),
    BAD(OK "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BAD("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    /* chunks */
    BAD(OK "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"),
    BAD(OK "Transfer-Encoding: chunked\r\n\r\n5zz\r\nhello\r\n0\r\n\r\n"),
    BAD(OK "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"),
    BAD(OK "Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n"),
    BAD(OK "Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n"),
    BAD(OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n"),
    BAD(OK "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\nhello"),
    BAD(OK "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nhello"),
    BAD(OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhel"),
    BAD(OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    BAD(OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"),
    BAD(OK "Transfer-Encoding: chunked\r\n\r\n0000000000000005\r\nhello\r\n0\r\n\r\n"),
    BAD(OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0000000000000000\r\n\r\n"),
    /* trailers */
    BAD(OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\n"),
    BAD(OK "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n"),
    BAD(OK "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n z\r\n\r\n"),
    BAD(OK "Transfer-Encoding: chunked\r\n\r\n0\r\nX : y\r\n\r\n"),
    BAD(OK "Transfer-Encoding: chunked\r\n\r\n0\r\n: y\r\n\r\n"),
    BAD(OK "Transfer-Encoding: chunked\r\n\r\n0\r\nX: \x01\r\n\r\n"),
    /* the head */
    BAD(OK "X : y\r\n\r\n"),
    BAD(OK ": y\r\n\r\n"),
    BAD(OK "X: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
    BAD(OK "X: a\r\n\tb\r\nContent-Length: 0\r\n\r\n"),
    BAD(OK " X: a\r\nContent-Length: 0\r\n\r\n"),
    BAD(OK "X: a\rb\r\n\r\n"),
    BAD(OK "X: a\x01\r\n\r\n"),
    BAD(OK "X\x01: a\r\n\r\n"),
    BAD(OK "no colon\r\n\r\n"),
    BAD("HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    BAD(OK "Content-Length: 2\n\nhi"),
    BAD(OK "Content-Length: 2\r\n\nhi"),
    BAD(OK "Content-Length: 2\r\n\r\r\nhi"),
    BAD("HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n"),
    BAD("HTTP/1.1 200 O\1K\r\nContent-Length: 0\r\n\r\n"),
    BAD("HTTP/1.1 200 O\x7fK\r\nContent-Length: 0\r\n\r\n"),
    BAD("HTTP/1.1 200\rContent-Length: 0\r\n\r\n"),
    BAD("\r" OK "Content-Length: 0\r\n\r\n"),
    BAD(OK "X: a\r\r\nContent-Length: 0\r\n\r\n"),
    BAD("HTTP/2 200 OK\r\n\r\n"),
    BAD("HTTP/1.2 200 OK\r\n\r\n"),
    BAD("HTTP/0.9 200 OK\r\n\r\n"),
    BAD("HTTP/3.0 200 OK\r\n\r\n"),
    BAD("HTTP/1.1 099 Low\r\n\r\n"),
    BAD("HTTP/1.1 600 High\r\n\r\n"),
    BAD("HTTP/1.1 20 OK\r\n\r\n"),
    BAD("HTTP/1.1 2000 OK\r\n\r\n"),
    BAD("HTTP/1.1 abc OK\r\n\r\n"),
    BAD("hello\r\n\r\n"),
    BAD("<html>hello</html>"),
    BAD("ICY 200 OK\r\n\r\n"),
    BAD("GET / HTTP/1.1\r\n\r\n"),
    BAD(""),
    BAD("HTTP/1.1 200 OK\r\n"),
    BAD("HTTP/1.1 200 OK\r\nX: y"),
    BAD("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi"),
    BAD("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BAD("HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\nhi"),
    BAD("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
    BAD("HTTP/1.1 100 Continue\r\n\r\n"),
};

static void expect(const struct sample *sample, size_t size)
{
    struct seen seen = {0};
    struct answer *answer = answer_new(&events, &seen, sample->is_head, sample->upgrade);
    size_t used;
    enum answer_state state = read_all(answer, str_from(sample->text), size, &used);
    if (state != sample->state)
        fail_msg("\"%s\" in pieces of %zu: state %d, %s", sample->text, size, state, answer_fault(answer));
    if (state == ANSWER_BAD) {
        assert_non_null(answer_fault(answer));
        assert_false(answer_keeps_alive(answer));
    } else {
        assert_int_equal(seen.heads, 1);
        assert_true(str_eq(buffer_str(&seen.body), str_from(sample->body)));
        assert_int_equal(used, strlen(sample->text));
    }
    buffer_fini(&seen.body);
    answer_free(answer);
}

static void test_samples_in_pieces_of_any_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        for (size_t size = 1; size <= strlen(samples[i].text) + 1; size++)
            expect(&samples[i], size);
}

static void test_nul_bytes(void **state)
{
    (void)state;
    static const char name[] = OK "X\0Y: a\r\n\r\n", value[] = OK "X: a\0b\r\n\r\n";
    const struct str texts[] = {{name, sizeof(name) - 1}, {value, sizeof(value) - 1}};
    for (size_t i = 0; i < 2; i++) {
        struct seen seen = {0};
        size_t used;
        struct answer *answer = answer_new(&events, &seen, false, false);
        assert_int_equal(read_all(answer, texts[i], 100, &used), ANSWER_BAD);
        answer_free(answer);
    }
}

static void test_what_a_head_says(void **state)
{
    (void)state;
    struct seen seen = {0};
    size_t used, count;
    struct answer *answer = answer_new(&events, &seen, false, false);
    struct str text =
        STR("HTTP/1.1 404 Not Found\r\nContent-Type:  text/plain \r\nX-Empty:\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n"
            "Content-Length: 4\r\n\r\ngone");
    assert_int_equal(read_all(answer, text, 7, &used), ANSWER_DONE);
    assert_int_equal(answer_status(answer), 404);
    assert_int_equal(answer_length(answer), 4);
    assert_true(answer_keeps_alive(answer));
    const struct answer_header *headers = answer_headers(answer, &count);
    assert_int_equal(count, 5);
    assert_true(str_eq(headers[0].name, STR("Content-Type")) && str_eq(headers[0].value, STR("text/plain")));
    assert_true(str_eq(headers[1].name, STR("X-Empty")) && headers[1].value.len == 0);
    assert_true(str_eq(headers[3].value, STR("b=2")));
    assert_true(str_eq(answer_header(answer, "SET-COOKIE"), STR("a=1")));
    assert_null(answer_header(answer, "X-Other").ptr);
    buffer_fini(&seen.body);
    answer_free(answer);
}

static void test_bytes_behind_an_answer_are_not_its_own(void **state)
{
    (void)state;
    struct seen seen = {0};
    size_t used;
    struct answer *answer = answer_new(&events, &seen, false, false);
    struct str text = STR(OK "Content-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nforged");
    assert_int_equal(answer_read(answer, text, &used), ANSWER_DONE);
    assert_int_equal(used, strlen(OK "Content-Length: 2\r\n\r\nhi"));
    assert_true(str_eq(buffer_str(&seen.body), STR("hi")));
    buffer_fini(&seen.body);
    answer_free(answer);
}

static void test_when_a_connection_goes_on(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool keeps;
    } cases[] = {
        {OK "Content-Length: 0\r\n\r\n", true},
        {OK "Connection: close\r\nContent-Length: 0\r\n\r\n", false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", true},
        {OK "\r\nuntil the end", false},
        {OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct seen seen = {0};
        size_t used;
        struct answer *answer = answer_new(&events, &seen, false, false);
        assert_int_equal(read_all(answer, str_from(cases[i].text), 1000, &used), ANSWER_DONE);
        assert_int_equal(answer_keeps_alive(answer), cases[i].keeps);
        buffer_fini(&seen.body);
        answer_free(answer);
    }
}

/* What `begin` begins, then `piece` `times` times, in one go. */
static enum answer_state read_endless(const char *begin, const char *piece, size_t times)
{
    struct seen seen = {0};
    struct buffer text = BUFFER_INIT;
    size_t used;
    buffer_append(&text, str_from(begin));
    for (size_t i = 0; i < times; i++)
        buffer_append(&text, str_from(piece));
    struct answer *answer = answer_new(&events, &seen, false, false);
    enum answer_state state = answer_read(answer, buffer_str(&text), &used);
    buffer_fini(&text);
    buffer_fini(&seen.body);
    answer_free(answer);
    return state;
}

static void test_what_has_no_end(void **state)
{
    (void)state;
    assert_int_equal(read_endless(OK, "X: y\r\n", ANSWER_HEADERS_MAX), ANSWER_MORE);
    assert_int_equal(read_endless(OK, "X: y\r\n", ANSWER_HEADERS_MAX + 1), ANSWER_BAD);
    assert_int_equal(read_endless(OK "X: ", "y", ANSWER_HEAD_MAX), ANSWER_BAD);
    assert_int_equal(read_endless(OK, "x", ANSWER_HEAD_MAX), ANSWER_BAD);
    assert_int_equal(read_endless("HTTP/1.1 200 ", "x", ANSWER_HEAD_MAX), ANSWER_BAD);
    assert_int_equal(read_endless("", "HTTP/1.1 100 Continue\r\n\r\n", ANSWER_INTERIM_MAX), ANSWER_MORE);
    assert_int_equal(read_endless("", "HTTP/1.1 100 Continue\r\n\r\n", ANSWER_INTERIM_MAX + 1), ANSWER_BAD);
    assert_int_equal(read_endless(OK "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X: yyyyyyyyyyyy\r\n", 1000), ANSWER_BAD);
    assert_int_equal(read_endless(OK "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n", 1000), ANSWER_BAD);
    assert_int_equal(read_endless(OK "Transfer-Encoding: chunked\r\n\r\n5;", "x", 1 << 20), ANSWER_BAD);
    assert_int_equal(read_endless(OK "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", 100000), ANSWER_MORE);
    assert_int_equal(read_endless(OK "Transfer-Encoding: chunked\r\n\r\n", "1;a=b\r\nx\r\n", 100000), ANSWER_MORE);
    assert_int_equal(read_endless(OK "Transfer-Encoding: chunked\r\n\r\n", "0", 1000), ANSWER_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_in_pieces_of_any_size),
        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_what_a_head_says),
        cmocka_unit_test(test_bytes_behind_an_answer_are_not_its_own),
        cmocka_unit_test(test_when_a_connection_goes_on),
        cmocka_unit_test(test_what_has_no_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
