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
    struct size size = SIZE_UNKNOWN;
    if (!size_parse(str_from(text), &size))
        fail_msg("\"%s\" was taken for no size", text);
    if (fabs(size.bytes - expected) > expected * 1e-12)
        fail_msg("\"%s\" was read as %f bytes instead of %f", text, size.bytes, expected);
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
    expect("3Ki", 3 * KI);
    expect("512Mi", 512 * KI * KI);
    expect("2Gi", 2 * KI * KI * KI);
    expect("3Ti", 3 * KI * KI * KI * KI);
    expect("3PiB", 3 * KI * KI * KI * KI * KI);
    expect("3 bytes", 3);
    expect("3", 3e9);
    expect("0", 0);
    expect("0 MiB", 0);
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
    expect("MemTotal:       16318344 kB", 16318344e3);
    expect("GPU 0: 24 GB, GPU 1: 16 GB", 40e9);
    expect("memory.total [MiB]\n24564 MiB\n", 24564 * KI * KI);
    expect("[N/A], 24564 MiB", 24564 * KI * KI);
    expect("24564 MiB, [N/A]", 24564 * KI * KI);
    expect("24564 MiB | 24564 MiB", 2 * 24564 * KI * KI);
    expect("16.0 GB (15.9 GB usable)", 16e9);
}

/* A bare number is bytes when it is above 10^8, MiB when it is above 1000, else GB. */
static void test_numbers_without_a_unit(void **state)
{
    (void)state;
    expect("1000", 1000e9);
    expect("1001", 1001 * KI * KI);
    expect("2048", 2048 * KI * KI);
    expect("24564", 24564 * KI * KI);
    expect("100000000", 1e8 * KI * KI);
    expect("100000001", 100000001);
    expect("16777216000", 16777216000.0);
    assert_true(size_of_number(8).bytes == 8e9);
    assert_true(size_of_number(2048).bytes == 2048 * KI * KI);
    assert_true(size_of_number(17179869184.0).bytes == 17179869184.0);
}

static void test_commas_and_points(void **state)
{
    (void)state;
    expect("3,6 GB", 3.6e9);
    expect("1,5GB", 1.5e9);
    expect("15,62 GB", 15.62e9);
    expect("0,500 GB", 0.5e9);
    expect("3,6543 GB", 3.6543e9);
    expect("24,564 MiB", 24564 * KI * KI);
    expect("1,234,567 KiB", 1234567 * KI);
    expect("1.234.567 KiB", 1234567 * KI);
    expect("1,234.5 MB", 1234.5e6);
    expect("1.234,5 MB", 1234.5e6);
    expect("3.600 GB", 3.6e9);
    expect("24,564", 24564 * KI * KI);
}

static void test_several_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double all, largest;
    } cases[] = {
        {"2048 MiB\n2048 MiB", 4096, 2048},
        {"24564MiB, 24564MiB", 49128, 24564},
        {"24564MiB,8188MiB", 32752, 24564},
        {"24564;8188", 32752, 24564},
        {"24564,24564", 49128, 24564},
        {"2048 MiB\r\n4096 MiB\r\n", 6144, 4096},
        {"2 x 24564 MiB", 49128, 24564},
        {"2x24564MiB", 49128, 24564},
        {"24564 MiB x 2", 49128, 24564},
        {"2 \xc3\x97 24564 MiB", 49128, 24564},
        {"4*2048", 8192, 2048},
        {"2048\n4096", 6144, 4096},
        {"24,564 MiB, 24,564 MiB", 49128, 24564},
        {"2048 MiB + 1024 MiB", 3072, 2048},
        {"2x2048 MiB, 1024 MiB", 5120, 2048},
        {"1024 MiB, 2X2048 MiB;", 5120, 2048},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct size size = SIZE_UNKNOWN;
        assert_true(size_parse(str_from(cases[i].text), &size));
        if (size.bytes != cases[i].all * KI * KI || size.largest != cases[i].largest * KI * KI)
            fail_msg("\"%s\" was read as %f, the largest %f", cases[i].text, size.bytes, size.largest);
    }
}

static void test_as_people_read_them(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"24564 MiB", "24 GB"},
        {"15.6GB", "15.6 GB"},
        {"62.7GB", "62.7 GB"},
        {"466.0GB", "466 GB"},
        {"1TB", "1 TB"},
        {"16384MB", "16 GB"},
        {"512Mi", "512 MB"},
        {"2048", "2 GB"},
        {"8", "8 GB"},
        {"0", "0 MB"},
        {"3,6 GB", "3.6 GB"},
        {"16777216000", "15.6 GB"},
        {"24564MiB, 24564MiB", "48 GB"},
        {"2GB", "2 GB"},
        {"1500GB", "1.46 TB"},
        {"2 x 24 GB", "48 GB"},
        {"1023.9 GB", "1 TB"},
        {"99.96GB", "100 GB"},
        {"9.996GB", "10 GB"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct size size = SIZE_UNKNOWN;
        struct buffer out = BUFFER_INIT;
        assert_true(size_parse(str_from(cases[i][0]), &size));
        size_write(&out, size);
        if (!str_eq(buffer_str(&out), str_from(cases[i][1])))
            fail_msg("\"%s\" is shown as %.*s", cases[i][0], STR_PRINTF(buffer_str(&out)));
        buffer_fini(&out);
    }
}

static void test_what_is_no_size(void **state)
{
    (void)state;
    const char *bad[] = {
        "",           " ",
        "Unknown",    "Unknown (AMD)",
        "-1GB",       "+1GB",
        "GB",         "1.GB",
        ".5GB",       "1 2GB",
        "8 XB",       "8GB RAM",
        "8GBB",       "8 G B",
        "1e3",        "1e3GB",
        "0x8",        "inf",
        "nan",        "1..2",
        "N/A",        "infinity GB",
        "1.2.3",      "8bi",
        "8 iB",       "8GB -1GB",
        "x 2",        "N/A\nN/A",
        "a:",         "a:b:",
        ":",          "8GB (",
        "RAM: much",  "Error: 404 not found",
        "Error: 404", "2 x",
        "2 x x 2",    "2x3x4GB",
        "2.5 x 8GB",  "[N/A]",
        "8GB/16GB",   "0x 8GB",
        "8 GBGBGBGB",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct size size = {42, 42, 42};
        if (size_parse(str_from(bad[i]), &size))
            fail_msg("\"%s\" was taken for a size", bad[i]);
        assert_true(size.bytes == 42);
    }
    struct size size = {42, 42, 42};
    assert_false(size_parse((struct str){NULL, 0}, &size));
    assert_false(size_parse((struct str){"8G\0B", 4}, &size));
    assert_true(size.bytes == 42);
}

static void test_only_len_bytes_are_read(void **state)
{
    (void)state;
    struct size size;
    assert_true(size_parse((struct str){"16GB", 1}, &size));
    assert_true(size.bytes == 1e9);
}

static void test_a_number_beyond_a_double_is_no_size(void **state)
{
    (void)state;
    char digits[5000];
    memset(digits, '9', sizeof(digits));
    struct size size = {42, 42, 42};
    assert_false(size_parse((struct str){digits, sizeof(digits)}, &size));
    digits[307] = 'T'; /* finite, but not as terabytes */
    assert_false(size_parse((struct str){digits, 308}, &size));
    digits[307] = '9';
    digits[1] = '.';
    assert_false(size_parse((struct str){digits, sizeof(digits)}, &size));
    assert_true(size.bytes == 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_that_agents_send),  cmocka_unit_test(test_units),
        cmocka_unit_test(test_case_and_white_space),    cmocka_unit_test(test_numbers_without_a_unit),
        cmocka_unit_test(test_commas_and_points),       cmocka_unit_test(test_several_sizes),
        cmocka_unit_test(test_as_people_read_them),     cmocka_unit_test(test_what_is_no_size),
        cmocka_unit_test(test_only_len_bytes_are_read), cmocka_unit_test(test_a_number_beyond_a_double_is_no_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
