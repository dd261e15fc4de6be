#include "model/event.h"

#include "base/json_writer.h"
#include "model/tier.h"

#include <inttypes.h>
#include <stdio.h>

static bool read_number(struct str text, uint64_t *out)
{
    uint64_t number = 0;
    if (text.len == 0 || text.len > 19) /* any number of 19 digits fits */
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

bool event_is_of_tasks(const struct event *event)
{
    return event->kind.len > 0 && memchr(event->kind.ptr, '.', event->kind.len) != NULL;
}

static void write_of_tasks(struct buffer *out, const struct event *event)
{
    const struct str absent = {NULL, 0};
    json_begin_object(out, NULL);
    json_add_text(out, "task_id", event->task_id.len > 0 ? event->task_id : absent);
    json_add_text(out, "queue", event->queue);
    json_add_text(out, "type", event->type.len > 0 ? event->type : absent);
    json_add_text(out, "worker_id", event->worker_id.len > 0 ? event->worker_id : absent);
    json_add_text(out, "reason", event->reason);
    json_add_time(out, "time", (int64_t)event->id.milliseconds);
    json_end_object(out);
}

void event_write(struct buffer *out, const struct event *event)
{
    if (event_is_of_tasks(event)) {
        write_of_tasks(out, event);
        return;
    }
    bool has_tier = event->tier.len == 1 && event->tier.ptr[0] >= '1' && event->tier.ptr[0] <= '0' + TIER_COUNT;
    int tier = has_tier ? event->tier.ptr[0] - '0' : 0;
    json_begin_object(out, NULL);
    json_add_text(out, "worker_id", event->worker_id);
    json_add_text(out, "status", event->status);
    if (has_tier)
        json_add_integer(out, "tier", tier);
    else
        json_add_null(out, "tier");
    json_add_text(out, "worker_type", str_from(has_tier ? tier_worker_type((enum tier)tier) : NULL));
    json_begin_array(out, "services");
    for (struct str rest = event->services; rest.len > 0;)
        json_add_text(out, NULL, str_cut(&rest, ','));
    json_end_array(out);
    json_add_text(out, "reason", event->reason);
    if (event->drained_from.len > 0 || event->drain_reason.len > 0) {
        json_add_text(out, "drain_reason", event->drain_reason);
        json_add_text(out, "drained_from", event->drained_from);
    }
    json_add_time(out, "time", (int64_t)event->id.milliseconds);
    json_end_object(out);
}
