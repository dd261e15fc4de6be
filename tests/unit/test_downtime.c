/*
 * A downtime in words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/downtime.h"

static void test_it_says_how_many_and_for_how_long(void **state)
{
    (void)state;
    static const struct {
        int64_t ms, workers;
        const char *words;
    } cases[] = {
        {0, 0, "moved 0 workers' deadlines by 0 s"},
        {1999, 1, "moved 1 workers' deadlines by 2 s"},
        {59499, 2, "moved 2 workers' deadlines by 59 s"},
        {60000, 2, "moved 2 workers' deadlines by 1 min"},
        {372000, 7, "moved 7 workers' deadlines by 6 min 12 s"},
        {3600000, 7, "moved 7 workers' deadlines by 1 h"},
        {3661000, 7, "moved 7 workers' deadlines by 1 h 1 min"},
        {3601000, 7, "moved 7 workers' deadlines by 1 h"},
        {90000000, 2000, "moved 2000 workers' deadlines by 1 d 1 h"},
        {86400000LL * 400, 3, "moved 3 workers' deadlines by 400 d"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer out = BUFFER_INIT;
        downtime_write(&out, &(struct downtime){.ms = cases[i].ms, .workers = cases[i].workers});
        buffer_append(&out, (struct str){"", 1});
        assert_string_equal(out.ptr, cases[i].words);
        buffer_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_it_says_how_many_and_for_how_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
