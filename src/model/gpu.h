/*
 * Decides whether an agent's text about its graphics card names a card that can compute.
 */
#ifndef MODEL_GPU_H
#define MODEL_GPU_H

#include "base/str.h"

/*
 * Whether `gpu_type` can name a GPU. These are not GPUs: placeholders ("N/A", "no gpu", "cpu"), error texts ("Failed to
 * initialize NVML"), software renderers ("llvmpipe"), displays of virtual machines, and management chips ("ASPEED"). The text
 * may name several cards, in lines or with semicolons or commas between them: one GPU among them is enough.
 */
bool gpu_is_one(struct str gpu_type);

#endif
