#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buffer.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void expect(struct buffer *out, const char *text)
{
    if (!str_eq(buffer_str(out), str_from(text)))
        fail_msg("\"%.*s\" instead of \"%s\"", STR_PRINTF(buffer_str(out)), text);
    buffer_fini(out);
}

static void test_append(void **state)
{
    (void)state;
    struct buffer out = BUFFER_INIT;
    buffer_append(&out, STR(""));
    buffer_append(&out, (struct str){NULL, 0});
    assert_int_equal(out.len, 0);
    for (int i = 0; i < 10000; i++)
        buffer_append(&out, STR("0123456789"));
    assert_int_equal(out.len, 100000);
    for (size_t i = 0; i < out.len; i++)
        assert_int_equal(out.ptr[i], '0' + (char)(i % 10));
    buffer_fini(&out);
    assert_null(out.ptr);
    assert_int_equal(out.len, 0);
    buffer_printf(&out, "%d-%s", 42, "x");
    expect(&out, "42-x");
}

static void test_printf_takes_a_kilobyte(void **state)
{
    (void)state;
    struct buffer out = BUFFER_INIT;
    buffer_printf(&out, "%1024d", 7);
    assert_int_equal(out.len, 1024);
    assert_int_equal(out.ptr[1023], '7');
    buffer_fini(&out);
}

static void test_strings(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *json;
    } cases[] = {
        {{NULL, 0}, "null"},
        {{"", 0}, "\"\""},
        {{"plain", 5}, "\"plain\""},
        {{"\"", 1}, "\"\\\"\""},
        {{"a\"b\\c", 5}, "\"a\\\"b\\\\c\""},
        {{"\n\r\t", 3}, "\"\\n\\r\\t\""},
        {{"\0\x01\x1f", 3}, "\"\\u0000\\u0001\\u001f\""},
        {{"\x7f", 1}, "\"\x7f\""},
        {{"caf\xC3\xA9 \xF0\x9F\x98\x80", 10}, "\"caf\xC3\xA9 \xF0\x9F\x98\x80\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer out = BUFFER_INIT;
        buffer_json_string(&out, cases[i].text);
        expect(&out, cases[i].json);
    }
}

static void test_every_character_comes_back(void **state)
{
    (void)state;
    char text[127];
    for (int i = 0; i < 127; i++)
        text[i] = (char)(i + 1);
    struct buffer out = BUFFER_INIT;
    buffer_json_string(&out, (struct str){text, sizeof(text)});
    cJSON *parsed = cJSON_ParseWithLength(out.ptr, out.len);
    assert_true(cJSON_IsString(parsed));
    assert_memory_equal(parsed->valuestring, text, sizeof(text));
    cJSON_Delete(parsed);
    buffer_fini(&out);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        double number;
        const char *json;
    } cases[] = {
        {0, "0.0"},
        {-0.0, "0.0"},
        {1, "1.0"},
        {-1, "-1.0"},
        {0.24, "0.24"},
        {0.1 + 0.2, "0.3"},
        {-0.5, "-0.5"},
        {12.345, "12.345"},
        {0.000001, "0.000001"},
        {0.0000004, "0.0"},
        {-0.0000004, "0.0"},
        {0.9999996, "1.0"},
        {99.9999999, "100.0"},
        {999999999, "999999999.0"},
        {999999999.9999999, "1000000000.0"},
        {1e9, "1000000000.0"},
        {-1e9, "-1000000000.0"},
        {1234567890123.5, "1234567890123.5"},
        {1e20, "100000000000000000000.0"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer out = BUFFER_INIT;
        buffer_json_number(&out, cases[i].number);
        expect(&out, cases[i].json);
    }
    struct buffer out = BUFFER_INIT;
    buffer_json_number(&out, 1.7976931348623157e308);
    assert_int_equal(out.len, 311);
    buffer_fini(&out);
}

static void test_numbers_come_back(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 100000; i++) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        double number = (double)(int64_t)random / ldexp(1, (int)(random % 64));
        struct buffer out = BUFFER_INIT;
        buffer_json_number(&out, number);
        buffer_append(&out, (struct str){"", 1});
        assert_true(fabs(strtod(out.ptr, NULL) - number) <= 5.0001e-7 + fabs(number) * 1e-15);
        buffer_fini(&out);
    }
}

static void expect_time(int64_t milliseconds, const char *json)
{
    struct buffer out = BUFFER_INIT;
    buffer_json_time(&out, milliseconds);
    expect(&out, json);
}

static void test_times(void **state)
{
    (void)state;
    expect_time(0, "\"1970-01-01T00:00:00.000Z\"");
    expect_time(1772366400000, "\"2026-03-01T12:00:00.000Z\"");
    expect_time(1709251199999, "\"2024-02-29T23:59:59.999Z\"");
    expect_time(1709251200000, "\"2024-03-01T00:00:00.000Z\"");
    expect_time(253402300799999, "\"9999-12-31T23:59:59.999Z\"");
    expect_time(-1, "\"1970-01-01T00:00:00.000Z\"");
    expect_time(INT64_MIN, "\"1970-01-01T00:00:00.000Z\"");
    expect_time(253402300800000, "\"9999-12-31T23:59:59.999Z\"");
    expect_time(INT64_MAX, "\"9999-12-31T23:59:59.999Z\"");
}

static void test_every_day_is_the_c_library_s(void **state)
{
    (void)state;
    struct buffer out = BUFFER_INIT;
    for (int64_t day = 0; day < 253402300800 / 86400; day++) {
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        struct tm utc;
        char expected[32];
        gmtime_r(&seconds, &utc);
        strftime(expected, sizeof(expected), "\"%Y-%m-%dT%H:%M:%S.", &utc);
        out.len = 0;
        buffer_json_time(&out, (int64_t)seconds * 1000 + day % 1000);
        if (memcmp(out.ptr, expected, 21) != 0)
            fail_msg("%.*s instead of %s", STR_PRINTF(buffer_str(&out)), expected);
    }
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),  cmocka_unit_test(test_printf_takes_a_kilobyte),
        cmocka_unit_test(test_strings), cmocka_unit_test(test_every_character_comes_back),
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_numbers_come_back),
        cmocka_unit_test(test_times),   cmocka_unit_test(test_every_day_is_the_c_library_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
