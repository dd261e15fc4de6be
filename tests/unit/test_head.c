#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/head.h"

#include <stdio.h>
#include <stdlib.h>

#define WHOLE_MAX 100

/* Heads, and a word of the reason that each is refused for; NULL: it is fine. "|" stands for CR LF. */
static const struct {
    const char *head, *why;
} heads[] = {
    {"GET / HTTP/1.1|host: x||", NULL},
    {"||GET / HTTP/1.1|Host: x||", NULL},
    {"GET / HTTP/1.1\nhost: x\n\n", NULL},
    {"POST / HTTP/1.1|host: x|content-length: 5||", NULL},
    {"POST / HTTP/1.1|host: x|transfer-encoding: chunked||", NULL},
    {"GET / HTTP/1.1||", "missing"},
    {"GET / HTTP/1.1|hostile: x||", "missing"},
    {"GET / HTTP/1.1|host: x|HOST: x||", "Host header is repeated"},
    {"GET / HTTP/1.1|host: x y||", "more than a host"},
    {"GET / HTTP/1.1|host: \xff||", "more than a host"},
    {"GET / HTTP/1.1|host: <script>||", "more than a host"},
    {"GET / HTTP/1.1|host: user@x||", "more than a host"},
    {"GET / HTTP/1.1|host: x/y||", "more than a host"},
    {"GET / HTTP/1.1|host:\t[::1]:80 \t||", NULL},
    {"GET / HTTP/1.1|host: a%20~!$&'()*+,;=b||", NULL},
    {"GET / HTTP/1.1|host:||", NULL},
    {"GET / HTTP/1.0||", NULL},
    {"GET / HTTP/1.0|host: a|host: b||", "Host header is repeated"},
    {"GET / HTTP/1.2|host: x||", "version"},
    {"GET / HTTP/1.9|host: x||", "version"},
    {"GET /#a HTTP/1.1|host: x||", "fragment"},
    {"GET / HTTP/1.1|host: x|x-folded: a| b||", "folded"},
    {"GET / HTTP/1.1|host: x|x-folded: a|\tb||", "folded"},
    {"GET / HTTP/1.1| folded: a|host: x||", "folded"},
    /* lengths */
    {"POST / HTTP/1.1|host: x|content-length: 0||", NULL},
    {"POST / HTTP/1.1|host: x|content-length:  5  ||", NULL},
    {"POST / HTTP/1.1|host: x|content-length:\t5||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: 5\t||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: 999999999999999999||", NULL},
    {"POST / HTTP/1.1|host: x|content-length: 1000000000000000000||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: 18446744073709551621||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length:||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: +5||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: -5||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: 5,5||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: 5, 5||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: 5 5||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: 05||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: 00||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: 0x5||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: 5x||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: 5.0||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: 1e3||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: \"5\"||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: 5;a=b||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: \xef\xbc\x95||", "plain number"},
    {"POST / HTTP/1.1|host: x|content-length: 5|content-length: 5||", "Content-Length header is repeated"},
    {"POST / HTTP/1.1|host: x|content-length: 5|Content-Length: 6||", "Content-Length header is repeated"},
    {"POST / HTTP/1.1|host: x|content_length: 5||", "Content_Length"},
    {"POST / HTTP/1.1|host: x|Transfer_Encoding: chunked||", "Transfer_Encoding"},
    /* encodings */
    {"POST / HTTP/1.1|host: x|Transfer-Encoding:CHUNKED||", NULL},
    {"POST / HTTP/1.1|host: x|Transfer-Encoding:\tchunked||", "not chunked"},
    {"POST / HTTP/1.1|host: x|Transfer-Encoding: chunked\t||", "not chunked"},
    {"POST / HTTP/1.0|transfer-encoding: chunked||", "HTTP/1.0 knows no Transfer-Encoding"},
    {"POST / HTTP/1.1|host: x|content-length: 5|transfer-encoding: chunked||", "exclude"},
    {"POST / HTTP/1.1|host: x|transfer-encoding: chunked|content-length: 0||", "exclude"},
    {"POST / HTTP/1.1|host: x|transfer-encoding: x|content-length: 5||", "exclude"},
    {"POST / HTTP/1.1|host: x|transfer-encoding: chunked|transfer-encoding: chunked||", "Transfer-Encoding header is repeated"},
    {"POST / HTTP/1.1|host: x|transfer-encoding: identity|transfer-encoding: chunked||", "Transfer-Encoding header is repeated"},
    {"POST / HTTP/1.1|host: x|transfer-encoding: identity||", "not chunked"},
    {"POST / HTTP/1.1|host: x|transfer-encoding: gzip||", "not chunked"},
    {"POST / HTTP/1.1|host: x|transfer-encoding: gzip, chunked||", "not chunked"},
    {"POST / HTTP/1.1|host: x|transfer-encoding: chunked, chunked||", "not chunked"},
    {"POST / HTTP/1.1|host: x|transfer-encoding: chunked,||", "not chunked"},
    {"POST / HTTP/1.1|host: x|transfer-encoding: chunked;a=b||", "not chunked"},
    {"POST / HTTP/1.1|host: x|transfer-encoding: \"chunked\"||", "not chunked"},
    {"POST / HTTP/1.1|host: x|transfer-encoding: xchunked||", "not chunked"},
    {"POST / HTTP/1.1|host: x|transfer-encoding: chunke\xc4\x91||", "not chunked"},
    {"POST / HTTP/1.1|host: x|transfer-encoding:||", "not chunked"},
    /* line ends */
    {"POST / HTTP/1.1\nhost: x\ncontent-length: 5\n\n", "carriage return"},
    {"GET / HTTP/1.1\nhost: x||", "carriage return"},
    {"GET / HTTP/1.1|host: x\nx: y||", "carriage return"},
    {"GET / HTTP/1.1|host: x|\n", "carriage return"},
    /* what every connection needs */
    {"GET / HTTP/1.1|host: x|connection: close, X-Anything||", NULL},
    {"GET / HTTP/1.1|host: x|connection: keep-alive, Upgrade||", NULL},
    {"GET / HTTP/1.1|host: x|connection: close, Host||", "Connection header names"},
    {"GET / HTTP/1.1|host: x|connection: content-length||", "Connection header names"},
    {"GET / HTTP/1.1|host: x|connection: a,\tTransfer-Encoding ,b||", "Connection header names"},
    /* expectations */
    {"POST / HTTP/1.1|host: x|content-length: 5|expect: 100-Continue||", NULL},
    {"GET / HTTP/1.1|host: x|expect: more||", NULL},
    {"POST / HTTP/1.0|content-length: 5|expect: more||", NULL},
};

/* A copy in memory of its own, so that AddressSanitizer sees what is read behind it. */
static char *copy(const char *text, size_t *size)
{
    char *bytes = malloc(2 * strlen(text) + 1);
    *size = 0;
    for (; *text != '\0'; text++) {
        if (*text == '|')
            bytes[(*size)++] = '\r';
        bytes[(*size)++] = *text == '|' ? '\n' : *text;
    }
    return realloc(bytes, *size > 0 ? *size : 1);
}

static struct head read_head(const char *text)
{
    struct head head;
    size_t size;
    char *bytes = copy(text, &size);
    assert_int_equal(head_find_end((struct str){bytes, size}, 0), size);
    head_read(bytes, size, WHOLE_MAX, &head);
    assert_int_equal(head.size, size);
    free(bytes);
    return head;
}

static void test_heads(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct head head = read_head(heads[i].head);
        print_message("%zu: %s\n", i, head.why != NULL ? head.why : "fine");
        assert_int_equal(head.err, heads[i].why == NULL ? ERR_NONE : ERR_BAD_REQUEST);
        if (heads[i].why != NULL)
            assert_non_null(strstr(head.why, heads[i].why));
        assert_true(heads[i].why == NULL || head.hidden);
    }
}

/* What is answered here and not passed on. */
static void test_oddities(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool odd;
    } cases[] = {
        {"GET / HTTP/1.1|host: x||", false},
        {"M-SEARCH / HTTP/1.1|host: x||", false},
        {"G\xff /a HTTP/1.1|host: x||", true},
        {"G(T /a HTTP/1.1|host: x||", true},
        {"GET / HTTP/1.1\nhost: x\n\n", true},
        {"GET http://x/a HTTP/1.1|host: x||", false},
        {"GET HTTP://X:80/a HTTP/1.1|host: x:80||", false},
        {"GET https://x?a=/b HTTP/1.1|host: x||", false},
        {"GET http://y/a HTTP/1.1|host: x||", true},
        {"GET http://x:80/a HTTP/1.1|host: x||", true},
        {"GET http://user@x/a HTTP/1.1|host: x||", true},
        {"GET http://x/a HTTP/1.0||", true},
        {"GET http:/x/a HTTP/1.1|host: x||", true},
        {"GET ftp://x/a HTTP/1.1|host: x||", true},
        {"GET x HTTP/1.1|host: x||", true},
        {"OPTIONS * HTTP/1.1|host: x||", true},
        {"CONNECT x:80 HTTP/1.1|host: x:80||", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct head head = read_head(cases[i].head);
        print_message("%zu: %s\n", i, head.odd != NULL ? head.odd : "fine");
        assert_int_equal(head.err, ERR_NONE);
        assert_int_equal(head.odd != NULL, cases[i].odd);
    }
}

static void test_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        enum head_body body;
        size_t length;
        bool expects, hidden;
    } cases[] = {
        {"GET / HTTP/1.1|host: x||", HEAD_NO_BODY, 0, false, false},
        {"POST / HTTP/1.1|host: x|content-length: 0||", HEAD_NO_BODY, 0, false, false},
        {"POST / HTTP/1.1|host: x|content-length: 100||", HEAD_LENGTH, 100, false, false},
        {"POST / HTTP/1.1|host: x|content-length: 101||", HEAD_LENGTH, 101, false, true},
        {"POST / HTTP/1.1|host: x|transfer-encoding: chunked||", HEAD_CHUNKED, 0, false, true},
        {"POST / HTTP/1.1|host: x|content-length: 5|expect: 100-continue||", HEAD_LENGTH, 5, true, true},
        {"GET / HTTP/1.1|host: x|expect: 100-continue||", HEAD_NO_BODY, 0, false, true},
        {"POST / HTTP/1.0|content-length: 5|expect: 100-continue||", HEAD_LENGTH, 5, false, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct head head = read_head(cases[i].head);
        assert_int_equal(head.err, ERR_NONE);
        assert_int_equal(head.body, cases[i].body);
        assert_int_equal(head.length, cases[i].length);
        assert_int_equal(head.expects, cases[i].expects);
        assert_int_equal(head.hidden, cases[i].hidden);
    }
    assert_int_equal(read_head("POST / HTTP/1.1|host: x|content-length: 5|expect: more||").err, ERR_EXPECTATION);
    assert_int_equal(read_head("POST / HTTP/1.1|host: x|content-length: 5|expect:||").err, ERR_EXPECTATION);
}

/* However few headers it has. */
static void test_a_head_that_is_too_large(void **state)
{
    (void)state;
    static const size_t sizes[] = {64 * 1024, 64 * 1024 + 1};
    for (size_t i = 0; i < 2; i++) {
        struct head head;
        char *bytes = malloc(sizes[i]);
        memset(bytes, 'x', sizes[i]);
        memcpy(bytes, "GET / HTTP/1.0\r\nX: ", 19);
        memcpy(bytes + sizes[i] - 4, "\r\n\r\n", 4);
        head_read(bytes, head_find_end((struct str){bytes, sizes[i]}, 0), WHOLE_MAX, &head);
        assert_int_equal(head.err, i == 0 ? ERR_NONE : ERR_HEAD_TOO_LARGE);
        free(bytes);
    }
}

/* What libh2o is shown of a head whose body it must not know. */
static void test_hidden_headers(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"POST / HTTP/1.1|host: x|Content-Length: 101||", "POST / HTTP/1.1|host: x|-ontent-Length: 101||"},
        {"POST / HTTP/1.1|host: x|a: content-length:|TRANSFER-ENCODING:chunked||",
         "POST / HTTP/1.1|host: x|a: content-length:|-RANSFER-ENCODING:chunked||"},
        {"POST / HTTP/1.0|expect: 1|a: b|expect: 2|content-length: 5||",
         "POST / HTTP/1.0|-xpect: 1|a: b|-xpect: 2|-ontent-length: 5||"},
        {"POST / HTTP/1.1|host: x|content-length: 5|content-length: 5||",
         "POST / HTTP/1.1|host: x|-ontent-length: 5|-ontent-length: 5||"},
        {"POST /expect: HTTP/1.1|host: x|content-length: 5||", "POST /expect: HTTP/1.1|host: x|content-length: 5||"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct head head;
        size_t size, shown_size;
        char *bytes = copy(cases[i][0], &size), *shown = copy(cases[i][1], &shown_size);
        head_read(bytes, size, WHOLE_MAX, &head);
        assert_int_equal(size, shown_size);
        assert_memory_equal(bytes, shown, size);
        free(bytes);
        free(shown);
    }
    assert_true(head_is_hidden_name(STR("-ontent-length")) && head_is_hidden_name(STR("-xpect")));
    assert_true(head_is_hidden_name(STR("-ransfer-encoding")) && !head_is_hidden_name(STR("content-length")));
}

/* Its end is found wherever the pieces in which it comes are cut, and what is behind it does not count. */
static void test_the_end_of_a_head(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
    } cases[] = {
        {"GET / HTTP/1.1|host: x||", 27},
        {"GET / HTTP/1.1|host: x||POST / HTTP/1.1||", 27},
        {"||GET / HTTP/1.1||", 22},
        {"GET / HTTP/1.1\n\nbody", 16},
        {"GET / HTTP/1.1|\n", 17},
        {"GET / HTTP/1.1\n|", 17},
        {"GET / HTTP/1.1|host: x|", 0},
        {"GET / HTTP/1.1|\r", 0},
        {"||||", 0},
        {"", 0},
        {"GET / HTTP/1.1\r\rhost: x\r\r", 0},
        {"\n\n\nG\n\n", 6},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size, found = 0;
        char *bytes = copy(cases[i].text, &size);
        assert_int_equal(head_find_end((struct str){bytes, size}, 0), cases[i].size);
        for (size_t cut = 0; cut <= size && found == 0; cut++)
            found = head_find_end((struct str){bytes, cut}, cut > 3 ? cut - 3 : 0);
        assert_int_equal(found, cases[i].size);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),          cmocka_unit_test(test_oddities),
        cmocka_unit_test(test_bodies),         cmocka_unit_test(test_a_head_that_is_too_large),
        cmocka_unit_test(test_hidden_headers), cmocka_unit_test(test_the_end_of_a_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
