/*
 * A worker's hardware as the coordinator reads it from what the agent tells: one reading, for the tier and for everybody who shows it.
 */
#ifndef MODEL_HARDWARE_H
#define MODEL_HARDWARE_H

#include "base/faults.h"
#include "model/size.h"

struct cJSON;

struct hardware {
    bool gpu; /* gpu_type can be a GPU */
    struct size gpu_memory, ram, storage;
};

/*
 * Reads `capabilities`. A size may be a text (one that is no size is an unknown one) or a number; anything else goes to *faults, and so does
 * a gpu_type that is no text.
 */
void hardware_read(struct hardware *hardware, const struct cJSON *capabilities, struct faults *faults);

/* Appends {"gpu": true, "ram": {"bytes": 15600000000, "text": "15.6 GB"}, …}; sizes that are not known are left out. */
void hardware_write(struct buffer *out, const struct hardware *hardware);

/* Appends {"bytes": …, "text": …} for a size that is known. */
void hardware_write_size(struct buffer *out, const char *key, struct size size);

#endif
