#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/iso_time.h"

#include <stdlib.h>

/* A copy that ends where the text ends, so that the sanitizers see a byte read too far. */
static bool parse(const char *text, int64_t *milliseconds)
{
    size_t len = strlen(text);
    char *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy + 1, text, len);
    bool parsed = iso_time_parse((struct str){copy + 1, len}, milliseconds);
    free(copy);
    return parsed;
}

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t milliseconds;
    } times[] = {
        {"1970-01-01T00:00:00", 0},
        {"1970-01-01T00:00:00.001999", 1},
        {"2025-12-01T14:20:00.123456", 1764598800123},
        {"2025-12-01 14:20:00", 1764598800000},
        {"2025-12-01T14:20:00.5Z", 1764598800500},
        {"2025-12-01T14:20:00z", 1764598800000},
        {"2025-12-01T15:20:00+01:00", 1764598800000},
        {"2025-12-01T12:50:00-0130", 1764598800000},
        {"2025-12-01T15:20:00+01", 1764598800000},
        {"2024-02-29T00:00:00", 1709164800000},
        {"2000-02-29T00:00:00.123456789", 951782400123},
        {"9999-12-31T23:59:59.999", 253402300799999},
    };
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        int64_t milliseconds = -1;
        if (!parse(times[i].text, &milliseconds) || milliseconds != times[i].milliseconds)
            fail_msg("%s was read as %lld", times[i].text, (long long)milliseconds);
    }
}

static void test_what_is_no_time(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "2025",
        "2025-12-01",
        "2025-12-01T",
        "2025-12-01T14",
        "2025-12-01T14:20",
        "2025-12-01T14:20:",
        "2025-12-01T14:20:0",
        "2025-12-01T14:20:00.",
        "2025-12-01T14:20:00.1234567890",
        "2025-12-01T14:20:00+",
        "2025-12-01T14:20:00+1",
        "2025-12-01T14:20:00+01:",
        "2025-12-01T14:20:00+01:0",
        "2025-12-01T14:20:00+01:60",
        "2025-12-01T14:20:00+24:00",
        "2025-12-01T14:20:00Z ",
        "2025-12-01T14:20:00Zz",
        "2025-12-01T14:20:00 Z",
        " 2025-12-01T14:20:00",
        "2025-13-01T00:00:00",
        "2025-00-01T00:00:00",
        "2025-04-31T00:00:00",
        "2025-02-29T00:00:00",
        "2100-02-29T00:00:00",
        "2025-01-00T00:00:00",
        "2025-01-01T24:00:00",
        "2025-01-01T00:60:00",
        "2025-01-01T00:00:60",
        "1969-12-31T23:59:59",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "20251-2-01T14:20:00",
        "+025-12-01T14:20:00",
        "2025-12-01t14:20:00",
        "now",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t milliseconds = 7;
        if (parse(texts[i], &milliseconds))
            fail_msg("\"%s\" was read as %lld", texts[i], (long long)milliseconds);
        assert_int_equal(milliseconds, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_what_is_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
