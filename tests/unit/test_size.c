#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/size.h"

#include <math.h>
#include <stdlib.h>

static const double KI = 1024.0;

static void expect(const char *text, double expected)
{
    double bytes = -1;
    if (!size_parse(str_from(text), &bytes))
        fail_msg("\"%s\" was taken for no size", text);
    if (fabs(bytes - expected) > expected * 1e-12)
        fail_msg("\"%s\" was read as %f bytes instead of %f", text, bytes, expected);
}

static void test_sizes_that_agents_send(void **state)
{
    (void)state;
    expect("15.6GB", 15.6e9);
    expect("24564 MiB", 24564 * KI * KI);
    expect("16384MB", 16384e6);
    expect("1TB", 1e12);
    expect("8G", 8e9);
    expect("466.0GB", 466e9);
    expect("62.7GB", 62.7e9);
}

static void test_units(void **state)
{
    (void)state;
    expect("3B", 3);
    expect("3K", 3e3);
    expect("3KB", 3e3);
    expect("3KiB", 3 * KI);
    expect("3M", 3e6);
    expect("3MB", 3e6);
    expect("3MiB", 3 * KI * KI);
    expect("3G", 3e9);
    expect("3GB", 3e9);
    expect("3GiB", 3 * KI * KI * KI);
    expect("3T", 3e12);
    expect("3TB", 3e12);
    expect("3TiB", 3 * KI * KI * KI * KI);
    expect("3", 3e9);
    expect("0", 0);
    expect("0.5", 0.5e9);
}

static void test_case_and_white_space(void **state)
{
    (void)state;
    expect("8gb", 8e9);
    expect("8gIb", 8 * KI * KI * KI);
    expect("  8   GB \n", 8e9);
    expect("\t8", 8e9);
    expect("007 GB", 7e9);
}

static void test_what_is_no_size(void **state)
{
    (void)state;
    const char *bad[] = {
        "",      " ",     "Unknown", "Unknown (AMD)", "-1GB",  "+1GB",  "GB",   "1.GB",  ".5GB",
        "1,5GB", "1 2GB", "8 XB",    "8GB RAM",       "8GBB",  "8 G B", "1e3",  "1e3GB", "0x8",
        "inf",   "nan",   "1..2",    "infinity GB",   "1.2.3", "8bi",   "8 iB",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        double bytes = 42;
        if (size_parse(str_from(bad[i]), &bytes))
            fail_msg("\"%s\" was taken for a size", bad[i]);
        assert_true(bytes == 42);
    }
    double bytes = 42;
    assert_false(size_parse((struct str){NULL, 0}, &bytes));
    assert_false(size_parse((struct str){"8G\0B", 4}, &bytes));
    assert_true(bytes == 42);
}

static void test_only_len_bytes_are_read(void **state)
{
    (void)state;
    double bytes;
    assert_true(size_parse((struct str){"16GB", 1}, &bytes));
    assert_true(bytes == 1e9);
}

static void test_a_number_beyond_a_double_is_no_size(void **state)
{
    (void)state;
    char digits[5000];
    memset(digits, '9', sizeof(digits));
    double bytes = 42;
    assert_false(size_parse((struct str){digits, sizeof(digits)}, &bytes));
    assert_false(size_parse((struct str){digits, 308}, &bytes)); /* finite, but not as gigabytes */
    digits[1] = '.';
    assert_false(size_parse((struct str){digits, sizeof(digits)}, &bytes));
    assert_true(bytes == 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_that_agents_send),  cmocka_unit_test(test_units),
        cmocka_unit_test(test_case_and_white_space),    cmocka_unit_test(test_what_is_no_size),
        cmocka_unit_test(test_only_len_bytes_are_read), cmocka_unit_test(test_a_number_beyond_a_double_is_no_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
