#include "model/downtime.h"

#include <inttypes.h>

/* Appends a duration in its two greatest units, the second one unless it is 0: "6 min 12 s", "1 d 1 h", "45 min". */
static void write_duration(struct buffer *out, int64_t seconds)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    const size_t count = sizeof(units) / sizeof(units[0]);
    size_t first = 0;
    while (first + 1 < count && seconds < units[first].seconds)
        first++;
    for (size_t i = first; i < count && i < first + 2; seconds %= units[i++].seconds)
        if (i == first || seconds >= units[i].seconds)
            buffer_printf(out, "%s%" PRId64 " %s", i > first ? " " : "", seconds / units[i].seconds, units[i].name);
}

void downtime_write(struct buffer *out, const struct downtime *downtime)
{
    buffer_printf(out, "moved %" PRId64 " workers' deadlines by ", downtime->workers);
    write_duration(out, (downtime->ms + 500) / 1000);
}
