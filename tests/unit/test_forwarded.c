#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/forwarded.h"

/* The lines of X-Forwarded-For, how many proxies are trusted, and the client; NULL: none. */
static const struct {
    const char *lines[3];
    int proxies;
    const char *client;
} clients[] = {
    {{"192.0.2.1"}, 1, "192.0.2.1"},
    {{"192.0.2.9, 192.0.2.1"}, 1, "192.0.2.1"},
    {{"192.0.2.1, 10.0.0.1"}, 2, "192.0.2.1"},
    {{"192.0.2.9", "192.0.2.1,10.0.0.1"}, 2, "192.0.2.1"},
    {{"192.0.2.9,192.0.2.1", "10.0.0.1", ""}, 2, "192.0.2.1"},
    {{"192.0.2.1"}, 5, "192.0.2.1"},
    {{" , 192.0.2.1 ,, "}, 1, "192.0.2.1"},
    {{"unknown, 10.0.0.1"}, 2, "10.0.0.1"},
    {{"unknown"}, 1, NULL},
    {{"192.0.2.1"}, 0, NULL},
    {{","}, 1, NULL},
    {{""}, 1, NULL},
    {{NULL}, 1, NULL},
};

static void test_clients(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
        struct str lines[3];
        size_t count = 0;
        for (; count < 3 && clients[i].lines[count] != NULL; count++)
            lines[count] = str_from(clients[i].lines[count]);
        assert_true(str_eq(forwarded_client(lines, count, clients[i].proxies), str_from(clients[i].client)));
    }
}

static void test_addresses(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"192.0.2.1", "192.0.2.1"},
        {"192.0.2.1:80", "192.0.2.1"},
        {"2001:db8::1", "2001:db8::1"},
        {"[2001:db8::1]", "2001:db8::1"},
        {"[::1]:80", "::1"},
        {"::", "::"},
        {"192.0.2.1:", "192.0.2.1"},
        {"[::1", NULL},
        {"[]", NULL},
        {"[::1]80", NULL},
        {"", NULL},
        {":", NULL},
        {"192.0.2", NULL},
        {"host", NULL},
        {"192.0.2.1, ::1", NULL},
        {"[", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_true(str_eq(forwarded_address(str_from(cases[i][0])), str_from(cases[i][1])));
    assert_null(forwarded_address(STR("::1\0x")).ptr);
    assert_null(forwarded_address((struct str){NULL, 0}).ptr);
}

static void test_first(void **state)
{
    (void)state;
    const struct str lines[] = {STR(" ,"), STR(" a , b"), STR("c")};
    assert_true(str_eq(forwarded_first(lines, 3), STR("a")));
    assert_null(forwarded_first(lines, 1).ptr);
    assert_null(forwarded_first(lines, 0).ptr);
}

static void test_ports(void **state)
{
    (void)state;
    assert_int_equal(forwarded_port(STR("1")), 1);
    assert_int_equal(forwarded_port(STR("65535")), 65535);
    assert_int_equal(forwarded_port(STR("65536")), 0);
    assert_int_equal(forwarded_port(STR("0")), 0);
    assert_int_equal(forwarded_port(STR("000080")), 0);
    assert_int_equal(forwarded_port(STR("8x")), 0);
    assert_int_equal(forwarded_port(STR("")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clients),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
