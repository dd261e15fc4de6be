#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/chunks.h"

#include <stdio.h>
#include <stdlib.h>

/* What comes, the body in it, the state that it ends in, and how many bytes are left behind its end. "|" stands for CR LF. */
static const struct {
    const char *text, *body;
    enum chunks_state state;
    size_t behind;
} cases[] = {
    {"5|hello|0||", "hello", CHUNKS_END, 0},
    {"5|hello|6| world|0||", "hello world", CHUNKS_END, 0},
    {"0||", "", CHUNKS_END, 0},
    {"0||GET / HTTP/1.1||", "", CHUNKS_END, 18},
    {"a|0123456789|0||x", "0123456789", CHUNKS_END, 1},
    {"A|0123456789|00||", "0123456789", CHUNKS_END, 0},
    {"000000000000005|hello|0||", "hello", CHUNKS_END, 0},
    {"5|a||b\n|0||", "a\r\n\r\n", CHUNKS_BROKEN, 0},
    {"6|a||b\r|0||", "a\r\n\r\nb", CHUNKS_BROKEN, 0},
    {"5|hello", "hello", CHUNKS_DATA_CR, 0},
    {"5|hel", "hel", CHUNKS_DATA, 0},
    {"5|hello|0|", "hello", CHUNKS_TRAILER, 0},
    /* extensions and trailers are dropped */
    {"5;a=b|hello|0;c||", "hello", CHUNKS_END, 0},
    {"5;a=\"b\tc\";|hello|0||", "hello", CHUNKS_END, 0},
    {"0|X-Sum: 1|Y:||", "", CHUNKS_END, 0},
    {"0|Content-Length: 5||hello", "", CHUNKS_END, 5},
    /* what others might read */
    {"|5|hello|0||", "", CHUNKS_BROKEN, 0},
    {"5\nhello|0||", "", CHUNKS_BROKEN, 0},
    {"5\rhello|0||", "", CHUNKS_BROKEN, 0},
    {"5|hello\n0||", "hello", CHUNKS_BROKEN, 0},
    {"5|hello0||", "hello", CHUNKS_BROKEN, 0},
    {"5|helloo|0||", "hello", CHUNKS_BROKEN, 0},
    {"5 |hello|0||", "", CHUNKS_BROKEN, 0},
    {" 5|hello|0||", "", CHUNKS_BROKEN, 0},
    {"+5|hello|0||", "", CHUNKS_BROKEN, 0},
    {"-5|hello|0||", "", CHUNKS_BROKEN, 0},
    {"0x5|hello|0||", "", CHUNKS_BROKEN, 0},
    {"5x|hello|0||", "", CHUNKS_BROKEN, 0},
    {"5,5|hello|0||", "", CHUNKS_BROKEN, 0},
    {"5\t;a|hello|0||", "", CHUNKS_BROKEN, 0},
    {";a|hello|0||", "", CHUNKS_BROKEN, 0},
    {"5;a\nb|hello|0||", "", CHUNKS_BROKEN, 0},
    {"5;a\rb|hello|0||", "", CHUNKS_BROKEN, 0},
    {"5;a\x01|hello|0||", "", CHUNKS_BROKEN, 0},
    {"5;a\x7f|hello|0||", "", CHUNKS_BROKEN, 0},
    {"0000000000000005|hello|0||", "", CHUNKS_BROKEN, 0},
    {"ffffffffffffffff|hello|0||", "", CHUNKS_BROKEN, 0},
    {"10000000000000005|hello|0||", "", CHUNKS_BROKEN, 0},
    {"fffffffffffffff|hello", "hello", CHUNKS_DATA, 0},
    {"0\n\n", "", CHUNKS_BROKEN, 0},
    {"0|\n", "", CHUNKS_BROKEN, 0},
    {"0| folded||", "", CHUNKS_BROKEN, 0},
    {"0|no colon||", "", CHUNKS_BROKEN, 0},
    {"0|name||", "", CHUNKS_BROKEN, 0},
    {"0|na me: x||", "", CHUNKS_BROKEN, 0},
    {"0|: x||", "", CHUNKS_BROKEN, 0},
    {"0|a: b\nc: d||", "", CHUNKS_BROKEN, 0},
    {"0|a: b\x01||", "", CHUNKS_BROKEN, 0},
    {"0|GET / HTTP/1.1||", "", CHUNKS_BROKEN, 0},
};

static struct buffer copy(const char *text)
{
    struct buffer bytes = BUFFER_INIT;
    for (; *text != '\0'; text++)
        buffer_append(&bytes, *text == '|' ? STR("\r\n") : (struct str){text, 1});
    return bytes;
}

/* Takes bytes `piece` at a time, each piece in memory of its own. Returns the body. */
static struct buffer take(struct chunks *chunks, struct str bytes, size_t piece, size_t *behind)
{
    struct buffer body = BUFFER_INIT;
    while (bytes.len > 0 && chunks->state != CHUNKS_END && chunks->state != CHUNKS_BROKEN) {
        size_t len = piece < bytes.len ? piece : bytes.len, taken;
        char *room = malloc(len);
        memcpy(room, bytes.ptr, len);
        size_t size = chunks_decode(chunks, room, len, &taken);
        assert_true(size <= taken && taken <= len);
        assert_true(taken == len || chunks->state == CHUNKS_END || chunks->state == CHUNKS_BROKEN);
        buffer_append(&body, (struct str){room, size});
        free(room);
        bytes = (struct str){bytes.ptr + taken, bytes.len - taken};
    }
    *behind = bytes.len;
    return body;
}

static void test_chunks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer bytes = copy(cases[i].text);
        for (size_t piece = 1; piece <= bytes.len; piece++) {
            struct chunks chunks = {.state = CHUNKS_SIZE};
            size_t behind;
            struct buffer body = take(&chunks, buffer_str(&bytes), piece, &behind);
            print_message("%zu by %zu\n", i, piece);
            assert_int_equal(chunks.state, cases[i].state);
            assert_true(str_eq(buffer_str(&body), str_from(cases[i].body)));
            if (chunks.state == CHUNKS_END)
                assert_int_equal(behind, cases[i].behind);
            buffer_fini(&body);
        }
        buffer_fini(&bytes);
    }
}

/* However many chunks have them, extensions and trailers are bounded together. */
static void test_what_is_dropped_is_bounded(void **state)
{
    (void)state;
    static const char *const pieces[] = {"1;abc|x|", "a: b|"};
    for (size_t i = 0; i < 2; i++) {
        struct buffer bytes = copy(i == 0 ? "" : "0|"), piece = copy(pieces[i]);
        for (int times = 0; times < 1500; times++)
            buffer_append(&bytes, buffer_str(&piece));
        struct chunks chunks = {.state = CHUNKS_SIZE};
        size_t behind;
        struct buffer body = take(&chunks, buffer_str(&bytes), 4096, &behind);
        assert_int_equal(chunks.state, CHUNKS_BROKEN);
        assert_true(behind > 0);
        buffer_fini(&body);
        buffer_fini(&bytes);
        buffer_fini(&piece);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chunks), cmocka_unit_test(test_what_is_dropped_is_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
