#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/percent.h"

static void test_every_byte_comes_back(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char text[3] = {'a', (char)byte, 'z'}, room[16];
        struct buffer out = BUFFER_INIT;
        struct str back;
        percent_encode(&out, (struct str){text, 3});
        assert_true(percent_decode(buffer_str(&out), true, room, sizeof(room), &back));
        assert_true(str_eq(back, (struct str){text, 3}));
        for (size_t i = 0; i < out.len; i++)
            assert_non_null(memchr("az%0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZbcdefghijklmnopqrstuvwxy-._~", out.ptr[i], 67));
        buffer_fini(&out);
    }
}

static void test_what_has_a_meaning_is_encoded(void **state)
{
    (void)state;
    struct buffer out = BUFFER_INIT;
    percent_encode(&out, STR("a b&c=d/e?f#g+h\xc3\xa9.-_~"));
    assert_true(str_eq(buffer_str(&out), STR("a%20b%26c%3Dd%2Fe%3Ff%23g%2Bh%C3%A9.-_~")));
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte_comes_back),
        cmocka_unit_test(test_what_has_a_meaning_is_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
