/*
 * Decides whether an agent's text about its graphics card names one that can compute.
 */
#ifndef MODEL_GPU_H
#define MODEL_GPU_H

#include "base/str.h"

/*
 * Whether `gpu_type` can name a GPU. Placeholders ("N/A", "no gpu", "cpu"), error texts ("Failed to initialize NVML"), software
 * renderers ("llvmpipe"), displays of virtual machines and management chips ("ASPEED") can't. Of several cards, which stand in
 * lines or have semicolons or commas between them, one is enough.
 */
bool gpu_is_one(struct str gpu_type);

#endif
