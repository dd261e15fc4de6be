/*
 * The time for which Redis was not running. The workers' deadlines were moved by it (see lua/lib/downtime.lua).
 */
#ifndef MODEL_DOWNTIME_H
#define MODEL_DOWNTIME_H

#include "base/buffer.h"

struct downtime {
    int64_t at;      /* when the deadlines were moved, ms since 1970; 0: never */
    int64_t ms;      /* how long it was */
    int64_t workers; /* live workers whose deadlines were moved */
};

/* Appends a sentence without a full stop: "moved 7 workers' deadlines by 6 min 12 s". */
void downtime_write(struct buffer *out, const struct downtime *downtime);

#endif
