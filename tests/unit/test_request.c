#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/request.h"

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
        cmocka_unit_test(test_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
