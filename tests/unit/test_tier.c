#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/gpu.h"
#include "model/tier.h"

#define TEXT(literal)                                                                                                              \
    {                                                                                                                              \
        literal, sizeof(literal) - 1                                                                                               \
    }

static const struct {
    const char *what;
    struct tier_evidence evidence;
    enum tier tier;
    const char *ram, *gpu_memory; /* NULL: unknown */
    const char *gpu_type;
} cases[] = {
    {.what = "nothing known", .evidence = {.cpu_cores = -1}, .tier = TIER_SERVICE},
    {.what = "enough of both", .evidence = {.cpu_cores = 2}, .tier = TIER_SERVICE, .ram = "4GB"},
    {.what = "one core", .evidence = {.cpu_cores = 1}, .tier = TIER_DATA, .ram = "64GB"},
    {.what = "no core", .evidence = {.cpu_cores = 0}, .tier = TIER_DATA},
    {.what = "just under two cores", .evidence = {.cpu_cores = 1.9}, .tier = TIER_DATA, .ram = "64GB"},
    {.what = "RAM of which the firmware keeps a part", .evidence = {.cpu_cores = 8}, .tier = TIER_SERVICE, .ram = "3.68GB"},
    {.what = "little RAM", .evidence = {.cpu_cores = 8}, .tier = TIER_DATA, .ram = "3.67GB"},
    {.what = "two modules of RAM", .evidence = {.cpu_cores = 8}, .tier = TIER_SERVICE, .ram = "2 GB, 2 GB"},
    {.what = "RAM in another unit", .evidence = {.cpu_cores = 8}, .tier = TIER_SERVICE, .ram = "4000 MB"},
    {.what = "RAM in another unit, too little", .evidence = {.cpu_cores = 8}, .tier = TIER_DATA, .ram = "3500 MiB"},
    {.what = "unknown RAM", .evidence = {.cpu_cores = 8}, .tier = TIER_SERVICE, .ram = "Unknown"},
    {.what = "unknown cores, little RAM", .evidence = {.cpu_cores = -1}, .tier = TIER_DATA, .ram = "2GB"},

    {.what = "a big GPU", .evidence = {.cpu_cores = 1}, .tier = TIER_GPU, .gpu_memory = "24564 MiB", .gpu_type = "RTX"},
    {.what = "an 8 GB GPU as the driver counts it",
     .evidence = {.cpu_cores = -1},
     .tier = TIER_GPU,
     .gpu_memory = "8188 MiB",
     .gpu_type = "RTX"},
    {.what = "8 GB of GPU memory", .evidence = {.cpu_cores = -1}, .tier = TIER_GPU, .gpu_memory = "8GB", .gpu_type = "RTX"},
    {.what = "an 8 GB GPU as an agent counts it",
     .evidence = {.cpu_cores = -1},
     .tier = TIER_GPU,
     .gpu_memory = "7.36GB",
     .gpu_type = "RTX"},
    {.what = "under 8 GB",
     .evidence = {.cpu_cores = 8},
     .tier = TIER_SERVICE,
     .ram = "16GB",
     .gpu_memory = "7.35GB",
     .gpu_type = "GT"},
    {.what = "under 8 GB, weak host", .evidence = {.cpu_cores = 1}, .tier = TIER_DATA, .gpu_memory = "7.35GB", .gpu_type = "GT"},
    {.what = "two GPUs under 8 GB",
     .evidence = {.cpu_cores = 8},
     .tier = TIER_SERVICE,
     .gpu_memory = "6144 MiB\n6144 MiB",
     .gpu_type = "GT"},
    {.what = "a small and a big GPU",
     .evidence = {.cpu_cores = 8},
     .tier = TIER_GPU,
     .gpu_memory = "2048 MiB; 24564 MiB",
     .gpu_type = "GT; RTX"},
    {.what = "unknown GPU memory",
     .evidence = {.cpu_cores = 12},
     .tier = TIER_GPU,
     .gpu_memory = "Unknown (AMD)",
     .gpu_type = "AMD GPU"},
    {.what = "no GPU memory told", .evidence = {.cpu_cores = 12}, .tier = TIER_GPU, .gpu_type = "AMD GPU"},
    {.what = "GPU memory without a GPU", .evidence = {.cpu_cores = 12}, .tier = TIER_SERVICE, .gpu_memory = "24GB"},
    {.what = "GPU type \"\"", .evidence = {.cpu_cores = 12}, .tier = TIER_SERVICE, .gpu_memory = "24GB", .gpu_type = ""},
    {.what = "GPU type \"none\"", .evidence = {.cpu_cores = 12}, .tier = TIER_SERVICE, .gpu_memory = "24GB", .gpu_type = "none"},
    {.what = "GPU type \"None\"", .evidence = {.cpu_cores = 12}, .tier = TIER_SERVICE, .gpu_type = "None"},
    {.what = "what is no GPU",
     .evidence = {.cpu_cores = 12},
     .tier = TIER_SERVICE,
     .gpu_memory = "24GB",
     .gpu_type = "ASPEED Graphics Family"},
    {.what = "GPU ruled out", .evidence = {.cpu_cores = 12, .gpu_ruled_out = true}, .tier = TIER_SERVICE, .gpu_type = "RTX"},

    {.what = "has_gpu", .evidence = {.cpu_cores = 1, .has_gpu = true}, .tier = TIER_GPU},
    {.what = "has_gpu with little memory", .evidence = {.cpu_cores = 1, .has_gpu = true}, .tier = TIER_GPU, .gpu_memory = "2GB"},
    {.what = "has_storage", .evidence = {.cpu_cores = 64, .has_storage = true}, .tier = TIER_DATA, .gpu_type = "RTX"},
    {.what = "has_edge", .evidence = {.cpu_cores = 64, .has_edge = true}, .tier = TIER_EDGE},
    {.what = "has_gpu before the others", .evidence = {.has_gpu = true, .has_storage = true, .has_edge = true}, .tier = TIER_GPU},
    {.what = "has_storage before has_edge", .evidence = {.has_storage = true, .has_edge = true}, .tier = TIER_DATA},

    {.what = "worker_type gpu", .evidence = {.worker_type = TEXT("gpu"), .cpu_cores = 1, .gpu_ruled_out = true}, .tier = TIER_GPU},
    {.what = "worker_type cpu", .evidence = {.worker_type = TEXT("cpu"), .cpu_cores = 1}, .tier = TIER_SERVICE, .ram = "1GB"},
    {.what = "worker_type cpu with a GPU",
     .evidence = {.worker_type = TEXT("cpu"), .has_gpu = true},
     .tier = TIER_SERVICE,
     .gpu_type = "RTX"},
    {.what = "worker_type storage",
     .evidence = {.worker_type = TEXT("storage"), .cpu_cores = 64, .has_edge = true},
     .tier = TIER_DATA},
    {.what = "worker_type edge",
     .evidence = {.worker_type = TEXT("edge"), .cpu_cores = 64, .has_storage = true},
     .tier = TIER_EDGE},
};

static void test_decide(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tier_evidence evidence = cases[i].evidence;
        struct size ram = SIZE_UNKNOWN, gpu_memory = SIZE_UNKNOWN;
        if (cases[i].ram != NULL && !size_parse(str_from(cases[i].ram), &ram))
            assert_string_equal(cases[i].ram, "Unknown");
        if (cases[i].gpu_memory != NULL && !size_parse(str_from(cases[i].gpu_memory), &gpu_memory))
            assert_string_equal(cases[i].gpu_memory, "Unknown (AMD)");
        evidence.hardware = (struct hardware){gpu_is_one(str_from(cases[i].gpu_type)), gpu_memory, ram, SIZE_UNKNOWN};
        enum tier tier = tier_decide(&evidence);
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
