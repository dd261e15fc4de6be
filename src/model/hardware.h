/*
 * Reads a worker's hardware from its capabilities. The tier, and all places that show hardware, use this reading.
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
 * Reads `capabilities`. A size may be a number or a text; a text that is not a size counts as unknown. Any other value goes to
 * *faults, and so does a gpu_type that is not a text.
 */
void hardware_read(struct hardware *hardware, const struct cJSON *capabilities, struct faults *faults);

/*
 * Appends the hardware in the stored form: "g 25757220864:24564 15600000000:15974 -" is a GPU, the sizes of its memory, RAM and
 * storage (bytes, and MB as people expect to see them); "-" is none, or not known.
 */
void hardware_store(struct buffer *out, const struct hardware *hardware);

/*
 * Appends the member `key` {"gpu": true, "ram": {"bytes": 15600000000, "text": "15.6 GB"}, …} for what was stored; {} if that
 * can't be read.
 */
void hardware_write(struct buffer *out, const char *key, struct str stored);

/* Appends {"bytes": …, "text": …} for a size that is known. */
void hardware_write_size(struct buffer *out, const char *key, struct size size);

#endif
