#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/accept.h"

static const struct {
    const char *header, *name;
    int weight;
} cases[] = {
    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html", 1000},
    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/xml", 900},
    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json", -1},
    {"gzip, deflate, br", "gzip", 1000},
    {"deflate ,\tGZIP ; q=0.25", "gzip", 250},
    {"gzip;q=0", "gzip", 0},
    {"gzip;q=0.000", "gzip", 0},
    {"gzip;q=0.001", "gzip", 1},
    {"gzip;q=1", "gzip", 1000},
    {"gzip;q=1.000", "gzip", 1000},
    {"gzip;Q=0.5", "gzip", 500},
    {"text/html;level=1;q=0.3", "text/html", 300},
    {"gzip;q=0.", "gzip", 0},
    {"gzip;q=", "gzip", 1000},
    {"gzip;q", "gzip", 1000},
    {"gzip;q=2", "gzip", 1000},
    {"gzip;q=1.9", "gzip", 1000},
    {"gzip;q=0.5x", "gzip", 1000},
    {"gzip;q=0.12345", "gzip", 1000},
    {"gzip;q=00.5", "gzip", 1000},
    {"gzip;q=-1", "gzip", 1000},
    {"xgzip, gzipx, x-gzip", "gzip", -1},
    {"*", "gzip", -1},
    {",,;q=0.1,", "gzip", -1},
    {"", "gzip", -1},
};

static void test_weights(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("%s in \"%s\"\n", cases[i].name, cases[i].header);
        assert_int_equal(accept_weight(str_from(cases[i].header), str_from(cases[i].name)), cases[i].weight);
    }
}

static void test_no_header(void **state)
{
    (void)state;
    assert_int_equal(accept_weight((struct str){NULL, 0}, STR("gzip")), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_no_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
