#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/id.h"

static void test_every_byte(void **state)
{
    (void)state;
    const char *allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
    for (int byte = 0; byte < 256; byte++) {
        char text[3] = {'a', (char)byte, 'z'};
        bool expected = byte != 0 && strchr(allowed, byte) != NULL;
        assert_int_equal(id_is_valid((struct str){text, 3}), expected);
        assert_int_equal(id_is_valid((struct str){text + 1, 1}), expected);
    }
}

static void test_length(void **state)
{
    (void)state;
    char text[ID_MAX + 1];
    memset(text, 'x', sizeof(text));
    assert_false(id_is_valid((struct str){NULL, 0}));
    assert_false(id_is_valid(STR("")));
    assert_true(id_is_valid((struct str){text, 1}));
    assert_true(id_is_valid((struct str){text, ID_MAX}));
    assert_false(id_is_valid((struct str){text, ID_MAX + 1}));
}

static void test_ids_that_would_harm_a_key(void **state)
{
    (void)state;
    const char *bad[] = {"a b", "{rma}", "a}b", "a\nb", "a\r\nb", "a/b", "*", "a\"b", "caf\xC3\xA9", "a\tb", " a", "a "};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(id_is_valid(str_from(bad[i])));
    assert_true(id_is_valid(STR("worker-edge-local-worker-1733665200")));
    assert_true(id_is_valid(STR("node.lhr:8000_a")));
    assert_false(id_is_valid(STR("worker:online")));
    assert_false(id_is_valid(STR(":online")));
    assert_true(id_is_valid(STR("online")));
    assert_true(id_is_valid(STR("worker:online:a")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_ids_that_would_harm_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
