#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/request.h"

/* Each head, and a word of the reason that it is refused for; NULL: it is fine. */
static const struct {
    const char *head, *why;
} heads[] = {
    {"GET / HTTP/1.1\r\nhost: x\r\n\r\n", NULL},
    {"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", NULL},
    {"GET / HTTP/1.1\nhost: x\n\n", NULL},
    {"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\ncontent-length: 6\r\n", NULL},
    {"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", NULL},
    {"GET / HTTP/1.1\r\n\r\n", "missing"},
    {"GET / HTTP/1.1\r\nhostile: x\r\n\r\n", "missing"},
    {"GET / HTTP/1.1\r\nhost: x\r\nHOST: x\r\n\r\n", "Host header is repeated"},
    {"GET / HTTP/1.1\r\nhost: x y\r\n\r\n", "more than a host"},
    {"GET / HTTP/1.1\r\nhost: \xff\r\n\r\n", "more than a host"},
    {"GET / HTTP/1.1\r\nhost: <script>\r\n\r\n", "more than a host"},
    {"GET / HTTP/1.1\r\nhost: user@x\r\n\r\n", "more than a host"},
    {"GET / HTTP/1.1\r\nhost: x/y\r\n\r\n", "more than a host"},
    {"GET / HTTP/1.1\r\nhost:\t[::1]:80 \t\r\n\r\n", NULL},
    {"GET / HTTP/1.1\r\nhost: a%20~!$&'()*+,;=b\r\n\r\n", NULL},
    {"GET / HTTP/1.1\r\nhost:\r\n\r\n", NULL},
    {"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n", "Content-Length header is repeated"},
    {"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", "exclude"},
    {"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
     "Transfer-Encoding header is"},
    {"GET / HTTP/1.1\r\nhost: x\r\nx-folded: a\r\n b\r\n\r\n", "folded"},
};

static void test_heads(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        const char *why = NULL;
        enum err err = request_check_head(str_from(heads[i].head), true, &why);
        print_message("%zu: %s\n", i, why != NULL ? why : "fine");
        assert_int_equal(err, heads[i].why == NULL ? ERR_NONE : ERR_BAD_REQUEST);
        if (heads[i].why != NULL)
            assert_non_null(strstr(why, heads[i].why));
    }
}

static void test_http_1_0_needs_no_host(void **state)
{
    (void)state;
    const char *why = NULL;
    assert_int_equal(request_check_head(STR("GET / HTTP/1.0\r\n\r\n"), false, &why), ERR_NONE);
    assert_int_equal(request_check_head(STR("GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n"), false, &why), ERR_BAD_REQUEST);
}

static void test_http_1_0_knows_no_transfer_encoding(void **state)
{
    (void)state;
    const char *why = NULL;
    struct str head = STR("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_int_equal(request_check_head(head, false, &why), ERR_BAD_REQUEST);
    assert_non_null(strstr(why, "Transfer-Encoding"));
}

/* Heads of requests, and what is left of them. */
static void test_expect_is_not_for_http_1_0(void **state)
{
    (void)state;
    static const struct {
        const char *head, *left;
    } cases[] = {
        {"POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", "POST / HTTP/1.0\r\n-xpect: 100-continue\r\n\r\n"},
        {"\r\n\nPOST / HTTP/1.0\na: b\nEXPECT:x\n\n", "\r\n\nPOST / HTTP/1.0\na: b\n-XPECT:x\n\n"},
        {"POST / HTTP/1.0\r\nexpect: 1\r\nexpect: 2", "POST / HTTP/1.0\r\n-xpect: 1\r\n-xpect: 2"},
        {"POST / HTTP/1.0\r\nexpected: 1\r\n\r\nexpect: x", NULL},
        {"POST / HTTP/1.0\r\na: expect:\r\nexpect", NULL},
        {"POST / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n", NULL},
        {"POST /HTTP/1.0 HTTP/1.1\r\nExpect: HTTP/1.0\r\nExpect: 1\r\n\r\n", NULL},
        {"expect:", NULL},
        {"HTTP/1.0", NULL},
        {"\n\n", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char room[128];
        size_t len = strlen(cases[i].head);
        memcpy(room, cases[i].head, len);
        request_hide_expect(room, len);
        room[len] = '\0';
        assert_string_equal(room, cases[i].left != NULL ? cases[i].left : cases[i].head);
    }
}

static struct str query(const char *text, const char *name, char *room, size_t size)
{
    struct request request = {.query = str_from(text)};
    return request_query(&request, name, room, size);
}

static void test_query(void **state)
{
    (void)state;
    char room[8];
    assert_true(str_eq(query("a=1&b=2", "b", room, sizeof(room)), STR("2")));
    assert_true(str_eq(query("a=%41+b", "a", room, sizeof(room)), STR("A b")));
    assert_null(query("a=&b=2", "a", room, sizeof(room)).ptr);
    assert_true(str_eq(query("a=&a=2", "a", room, sizeof(room)), STR("2")));
    assert_null(query("a=1&b=2", "c", room, sizeof(room)).ptr);
    assert_null(query("ab=1", "a", room, sizeof(room)).ptr);
    assert_null(query("a", "a", room, sizeof(room)).ptr);
    assert_true(str_eq(query("%61b=1&%61=2", "a", room, sizeof(room)), STR("2")));
    assert_true(str_eq(query("a%62=1", "ab", room, sizeof(room)), STR("1")));
    assert_true(str_eq(query("a+b=1", "a b", room, sizeof(room)), STR("1")));
    assert_null(query("%6=1&%=2&%zz=3", "%6", room, sizeof(room)).ptr);
    assert_null(query("a%00=1", "a", room, sizeof(room)).ptr);
    assert_true(str_eq(query("a=1&a=2", "a", room, sizeof(room)), STR("1")));
    assert_true(str_eq(query("a=%4", "a", room, sizeof(room)), STR("%4")));
    assert_true(str_eq(query("a=%zz&b=1", "a", room, sizeof(room)), STR("%zz")));
    assert_true(str_eq(query("a=123456789", "a", room, sizeof(room)), STR("123456789")));
    assert_null(query(NULL, "a", room, sizeof(room)).ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_http_1_0_needs_no_host),
        cmocka_unit_test(test_http_1_0_knows_no_transfer_encoding),
        cmocka_unit_test(test_expect_is_not_for_http_1_0),
        cmocka_unit_test(test_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
