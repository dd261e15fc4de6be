#include "model/event.h"

#include "model/tier.h"

#include <inttypes.h>
#include <stdio.h>

static bool read_number(struct str text, uint64_t *out)
{
    uint64_t number = 0;
    if (text.len == 0 || text.len > 19) /* of 19 digits, all fit */
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *out = number;
    return true;
}

bool event_id_parse(struct str text, struct event_id *out)
{
    struct event_id id;
    struct str rest = text;
    struct str milliseconds = str_cut(&rest, '-');
    if (!read_number(milliseconds, &id.milliseconds) || !read_number(rest, &id.sequence))
        return false;
    *out = id;
    return true;
}

struct str event_id_text(struct event_id id, char room[EVENT_ID_MAX])
{
    int len = snprintf(room, EVENT_ID_MAX, "%" PRIu64 "-%" PRIu64, id.milliseconds, id.sequence);
    return (struct str){room, (size_t)len};
}

bool event_id_is_after(struct event_id a, struct event_id b)
{
    return a.milliseconds != b.milliseconds ? a.milliseconds > b.milliseconds : a.sequence > b.sequence;
}

void event_write(struct buffer *out, const struct event *event)
{
    buffer_append(out, STR("{\"worker_id\":"));
    buffer_json_string(out, event->worker_id);
    buffer_append(out, STR(",\"status\":"));
    buffer_json_string(out, event->status);
    if (event->tier.len == 1 && event->tier.ptr[0] >= '1' && event->tier.ptr[0] <= '0' + TIER_COUNT)
        buffer_printf(out, ",\"tier\":%c,\"worker_type\":\"%s\"", event->tier.ptr[0],
                      tier_worker_type((enum tier)(event->tier.ptr[0] - '0')));
    else
        buffer_append(out, STR(",\"tier\":null,\"worker_type\":null"));
    buffer_append(out, STR(",\"services\":["));
    struct str separator = STR("");
    for (struct str rest = event->services; rest.len > 0; separator = STR(",")) {
        buffer_append(out, separator);
        buffer_json_string(out, str_cut(&rest, ','));
    }
    buffer_append(out, STR("],\"reason\":"));
    buffer_json_string(out, event->reason);
    if (event->drained_from.len > 0 || event->drain_reason.len > 0) {
        buffer_append(out, STR(",\"drain_reason\":"));
        buffer_json_string(out, event->drain_reason);
        buffer_append(out, STR(",\"drained_from\":"));
        buffer_json_string(out, event->drained_from);
    }
    buffer_append(out, STR(",\"time\":"));
    buffer_json_time(out, (int64_t)event->id.milliseconds);
    buffer_append(out, STR("}"));
}
