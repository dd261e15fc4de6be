#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/tier.h"

#define TEXT(literal)                                                                                                              \
    {                                                                                                                              \
        literal, sizeof(literal) - 1                                                                                               \
    }

static const struct {
    const char *what;
    struct tier_evidence evidence;
    enum tier tier;
} cases[] = {
    {"nothing known", {.cpu_cores = -1}, TIER_SERVICE},
    {"enough of both", {.cpu_cores = 2, .ram = TEXT("4GB")}, TIER_SERVICE},
    {"one core", {.cpu_cores = 1, .ram = TEXT("64GB")}, TIER_DATA},
    {"no core", {.cpu_cores = 0}, TIER_DATA},
    {"just under two cores", {.cpu_cores = 1.9, .ram = TEXT("64GB")}, TIER_DATA},
    {"little RAM", {.cpu_cores = 8, .ram = TEXT("3.9GB")}, TIER_DATA},
    {"RAM in another unit", {.cpu_cores = 8, .ram = TEXT("4000 MB")}, TIER_SERVICE},
    {"RAM in another unit, too little", {.cpu_cores = 8, .ram = TEXT("3814 MiB")}, TIER_DATA},
    {"unknown RAM", {.cpu_cores = 8, .ram = TEXT("Unknown")}, TIER_SERVICE},
    {"unknown cores, little RAM", {.cpu_cores = -1, .ram = TEXT("2GB")}, TIER_DATA},

    {"a big GPU", {.cpu_cores = 1, .gpu_type = TEXT("RTX"), .gpu_memory = TEXT("24564 MiB")}, TIER_GPU},
    {"an 8 GB GPU as the driver counts it", {.cpu_cores = -1, .gpu_type = TEXT("RTX"), .gpu_memory = TEXT("8188 MiB")}, TIER_GPU},
    {"8 GB of GPU memory", {.cpu_cores = -1, .gpu_type = TEXT("RTX"), .gpu_memory = TEXT("8GB")}, TIER_GPU},
    {"under 8 GB", {.cpu_cores = 8, .ram = TEXT("16GB"), .gpu_type = TEXT("GT"), .gpu_memory = TEXT("7.9GB")}, TIER_SERVICE},
    {"under 8 GB, weak host", {.cpu_cores = 1, .gpu_type = TEXT("GT"), .gpu_memory = TEXT("7.9GB")}, TIER_DATA},
    {"unknown GPU memory", {.cpu_cores = 12, .gpu_type = TEXT("AMD GPU"), .gpu_memory = TEXT("Unknown (AMD)")}, TIER_GPU},
    {"no GPU memory told", {.cpu_cores = 12, .gpu_type = TEXT("AMD GPU")}, TIER_GPU},
    {"GPU memory without a GPU", {.cpu_cores = 12, .gpu_memory = TEXT("24GB")}, TIER_SERVICE},
    {"GPU type \"\"", {.cpu_cores = 12, .gpu_type = TEXT(""), .gpu_memory = TEXT("24GB")}, TIER_SERVICE},
    {"GPU type \"none\"", {.cpu_cores = 12, .gpu_type = TEXT("none"), .gpu_memory = TEXT("24GB")}, TIER_SERVICE},
    {"GPU type \"None\"", {.cpu_cores = 12, .gpu_type = TEXT("None")}, TIER_SERVICE},
    {"GPU ruled out", {.cpu_cores = 12, .gpu_ruled_out = true, .gpu_type = TEXT("RTX")}, TIER_SERVICE},

    {"has_gpu", {.cpu_cores = 1, .has_gpu = true}, TIER_GPU},
    {"has_gpu with little memory", {.cpu_cores = 1, .has_gpu = true, .gpu_memory = TEXT("2GB")}, TIER_GPU},
    {"has_storage", {.cpu_cores = 64, .has_storage = true, .gpu_type = TEXT("RTX")}, TIER_DATA},
    {"has_edge", {.cpu_cores = 64, .has_edge = true}, TIER_EDGE},
    {"has_gpu before the others", {.has_gpu = true, .has_storage = true, .has_edge = true}, TIER_GPU},
    {"has_storage before has_edge", {.has_storage = true, .has_edge = true}, TIER_DATA},

    {"worker_type gpu", {.worker_type = TEXT("gpu"), .cpu_cores = 1, .gpu_ruled_out = true}, TIER_GPU},
    {"worker_type cpu", {.worker_type = TEXT("cpu"), .cpu_cores = 1, .ram = TEXT("1GB")}, TIER_SERVICE},
    {"worker_type cpu with a GPU", {.worker_type = TEXT("cpu"), .gpu_type = TEXT("RTX"), .has_gpu = true}, TIER_SERVICE},
    {"worker_type storage", {.worker_type = TEXT("storage"), .cpu_cores = 64, .has_edge = true}, TIER_DATA},
    {"worker_type edge", {.worker_type = TEXT("edge"), .cpu_cores = 64, .has_storage = true}, TIER_EDGE},
};

static void test_decide(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum tier tier = tier_decide(&cases[i].evidence);
        if (tier != cases[i].tier)
            fail_msg("%s: tier %d instead of %d", cases[i].what, tier, cases[i].tier);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(tier_worker_type(TIER_GPU), "gpu");
    assert_string_equal(tier_worker_type(TIER_SERVICE), "cpu");
    assert_string_equal(tier_worker_type(TIER_DATA), "storage");
    assert_string_equal(tier_worker_type(TIER_EDGE), "edge");
    assert_string_equal(tier_group(TIER_GPU), "gpu_workers");
    assert_string_equal(tier_group(TIER_SERVICE), "service_workers");
    assert_string_equal(tier_group(TIER_DATA), "data_workers");
    assert_string_equal(tier_group(TIER_EDGE), "edge_workers");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decide),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
