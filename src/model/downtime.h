/*
 * Time in which Redis was not running, and that was taken off the workers' deadlines (see lua/lib/downtime.lua).
 */
#ifndef MODEL_DOWNTIME_H
#define MODEL_DOWNTIME_H

#include "base/buffer.h"

struct downtime {
    int64_t at;      /* when it was taken off, ms since 1970; 0: never */
    int64_t ms;      /* how long it was */
    int64_t workers; /* live ones, whose deadlines were moved */
};

/* Appends a sentence without a full stop: "moved 7 workers' deadlines by 6 min 12 s". */
void downtime_write(struct buffer *out, const struct downtime *downtime);

#endif
