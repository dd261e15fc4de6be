/*
 * The tier of a worker: 1 GPU, 2 service (CPU), 3 data (storage), 4 edge.
 */
#ifndef MODEL_TIER_H
#define MODEL_TIER_H

#include "model/hardware.h"

enum tier { TIER_GPU = 1, TIER_SERVICE = 2, TIER_DATA = 3, TIER_EDGE = 4 };
#define TIER_COUNT 4

/* The facts that decide a tier, from a registration's capabilities. */
struct tier_evidence {
    struct str worker_type;              /* "cpu", "gpu", "storage", "edge" or absent */
    bool has_gpu, has_storage, has_edge; /* has_edge: has_edge or has_public_ip */
    bool gpu_ruled_out;                  /* has_gpu was given as false */
    struct hardware hardware;
    double cpu_cores; /* negative: unknown */
};

/*
 * An explicit worker_type or has_* flag decides. Else a GPU with 8 GB or unknown memory makes tier 1; 4 GB of RAM and 2 cores
 * make tier 2 (unknown values count as enough); anything else makes tier 3. Of several cards the largest one decides. A size up
 * to 8 % below a limit reaches it, since agents divide bytes by 1024^3 and the firmware keeps a part.
 */
enum tier tier_decide(const struct tier_evidence *evidence);

/* "gpu", "cpu", "storage", "edge". */
const char *tier_worker_type(enum tier tier);

/* The name of the tier in statistics: "gpu_workers", "service_workers", "data_workers", "edge_workers". */
const char *tier_group(enum tier tier);

#endif
