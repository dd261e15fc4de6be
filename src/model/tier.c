#include "model/tier.h"

#define GPU_MEMORY_NEEDED (8e9 / 100 * 92)
#define RAM_NEEDED (4e9 / 100 * 92)
#define CORES_NEEDED 2

static const struct {
    const char *worker_type;
    const char *group;
} tiers[TIER_COUNT] = {
    [TIER_GPU - 1] = {"gpu", "gpu_workers"},
    [TIER_SERVICE - 1] = {"cpu", "service_workers"},
    [TIER_DATA - 1] = {"storage", "data_workers"},
    [TIER_EDGE - 1] = {"edge", "edge_workers"},
};

static bool has_useful_gpu(const struct tier_evidence *evidence)
{
    const struct hardware *hardware = &evidence->hardware;
    bool has_memory = !size_is_known(hardware->gpu_memory) || hardware->gpu_memory.largest >= GPU_MEMORY_NEEDED;
    return hardware->gpu && !evidence->gpu_ruled_out && has_memory;
}

enum tier tier_decide(const struct tier_evidence *evidence)
{
    for (int tier = TIER_GPU; tier <= TIER_EDGE; tier++)
        if (str_eq(evidence->worker_type, str_from(tier_worker_type((enum tier)tier))))
            return (enum tier)tier;
    if (evidence->has_gpu)
        return TIER_GPU;
    if (evidence->has_storage)
        return TIER_DATA;
    if (evidence->has_edge)
        return TIER_EDGE;
    if (has_useful_gpu(evidence))
        return TIER_GPU;
    bool enough_cores = evidence->cpu_cores < 0 || evidence->cpu_cores >= CORES_NEEDED;
    bool enough_ram = !size_is_known(evidence->hardware.ram) || evidence->hardware.ram.bytes >= RAM_NEEDED;
    return enough_cores && enough_ram ? TIER_SERVICE : TIER_DATA;
}

const char *tier_worker_type(enum tier tier)
{
    return tiers[tier - 1].worker_type;
}

const char *tier_group(enum tier tier)
{
    return tiers[tier - 1].group;
}
