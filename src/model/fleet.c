#include "model/fleet.h"

#include <inttypes.h>

/* The counters' names, by enum fleet_event. */
static const struct str event_names[FLEET_EVENT_COUNT] = {
#define X(kind, reason) [FLEET_EVENT_##kind##_##reason] = {"event:" #kind ":" #reason, sizeof("event:" #kind ":" #reason) - 1},
    FLEET_EVENTS(X)
#undef X
};

void fleet_set_counter(struct fleet *fleet, struct str field, int64_t value)
{
    if (str_eq(field, STR("tasks_completed")))
        fleet->tasks_completed = value;
    for (int event = 0; event < FLEET_EVENT_COUNT; event++)
        if (str_eq(field, event_names[event]))
            fleet->events[event] = value;
    struct str what = field;
    struct str tier_text = str_cut(&what, ':');
    if (tier_text.len != 1 || tier_text.ptr[0] < '1' || tier_text.ptr[0] > '0' + TIER_COUNT)
        return;
    int tier = tier_text.ptr[0] - '0';
    if (str_eq(what, STR("load")))
        fleet->load[tier] = (double)value / 1e6;
    for (int status = 0; status < WORKER_STATUS_COUNT; status++)
        if (str_eq(what, worker_status_words[status]))
            fleet->workers[tier][status] = value;
}

int64_t fleet_by_status(const struct fleet *fleet, enum worker_status status)
{
    int64_t sum = 0;
    for (int tier = 1; tier <= TIER_COUNT; tier++)
        sum += fleet->workers[tier][status];
    return sum;
}

static int64_t of_tier(const struct fleet *fleet, int tier)
{
    int64_t sum = 0;
    for (int status = 0; status < WORKER_STATUS_COUNT; status++)
        sum += fleet->workers[tier][status];
    return sum;
}

int64_t fleet_live_of_tier(const struct fleet *fleet, enum tier tier)
{
    return of_tier(fleet, (int)tier) - fleet->workers[tier][WORKER_OFFLINE];
}

int64_t fleet_total(const struct fleet *fleet)
{
    int64_t sum = 0;
    for (int tier = 1; tier <= TIER_COUNT; tier++)
        sum += of_tier(fleet, tier);
    return sum;
}

int64_t fleet_healthy(const struct fleet *fleet)
{
    return fleet_by_status(fleet, WORKER_HEALTHY) + fleet_by_status(fleet, WORKER_DRAINING);
}

static void write_average(struct buffer *out, double load, int64_t workers)
{
    buffer_json_number(out, workers > 0 && load > 0 ? load / (double)workers : 0.0);
}

static void write_average_load(struct buffer *out, const struct fleet *fleet)
{
    double load = 0;
    int64_t live = 0;
    for (int tier = 1; tier <= TIER_COUNT; tier++) {
        load += fleet->load[tier];
        live += fleet_live_of_tier(fleet, (enum tier)tier);
    }
    write_average(out, load, live);
}

/* {"gpu_workers": 0, …} */
static void write_by_group(struct buffer *out, const struct fleet *fleet)
{
    for (int tier = 1; tier <= TIER_COUNT; tier++)
        buffer_printf(out, "%s\"%s\":%" PRId64, tier > 1 ? "," : "{", tier_group((enum tier)tier), of_tier(fleet, tier));
    buffer_append(out, STR("}"));
}

/* {"1": 0, …} */
static void write_by_tier(struct buffer *out, const struct fleet *fleet)
{
    for (int tier = 1; tier <= TIER_COUNT; tier++)
        buffer_printf(out, "%s\"%d\":%" PRId64, tier > 1 ? "," : "{", tier, of_tier(fleet, tier));
    buffer_append(out, STR("}"));
}

/* Whether what a fleet needs at the least is there: a live service worker, a live GPU worker, and not more offline than healthy. */
static bool is_well(const struct fleet *fleet)
{
    return fleet_live_of_tier(fleet, TIER_SERVICE) > 0 && fleet_live_of_tier(fleet, TIER_GPU) > 0 &&
           fleet_by_status(fleet, WORKER_OFFLINE) <= fleet_healthy(fleet);
}

void fleet_write_stats(struct buffer *out, const struct fleet *fleet)
{
    buffer_printf(out,
                  "{\"total_workers\":%" PRId64 ",\"healthy_workers\":%" PRId64 ",\"degraded_workers\":%" PRId64
                  ",\"offline_workers\":%" PRId64 ",\"workers_by_tier\":",
                  fleet_total(fleet), fleet_healthy(fleet), fleet_by_status(fleet, WORKER_DEGRADED),
                  fleet_by_status(fleet, WORKER_OFFLINE));
    write_by_group(out, fleet);
    buffer_append(out, STR(",\"by_tier\":"));
    write_by_tier(out, fleet);
    buffer_append(out, STR(",\"average_load\":"));
    write_average_load(out, fleet);
    buffer_append(out, STR(",\"average_load_by_tier\":{"));
    for (int tier = 1; tier <= TIER_COUNT; tier++) {
        buffer_printf(out, "%s\"%s\":", tier > 1 ? "," : "", tier_group((enum tier)tier));
        write_average(out, fleet->load[tier], fleet_live_of_tier(fleet, (enum tier)tier));
    }
    buffer_printf(out, "},\"total_tasks_completed\":%" PRId64 ",\"status\":\"healthy\"}", fleet->tasks_completed);
}

void fleet_write_health(struct buffer *out, const struct fleet *fleet)
{
    buffer_printf(out,
                  "{\"overall_status\":\"%s\",\"workers_by_status\":{\"healthy\":%" PRId64 ",\"degraded\":%" PRId64
                  ",\"offline\":%" PRId64 "},\"has_minimum_workers\":{\"gpu_workers\":%s,\"service_workers\":%s}}",
                  is_well(fleet) ? "healthy" : "degraded", fleet_healthy(fleet), fleet_by_status(fleet, WORKER_DEGRADED),
                  fleet_by_status(fleet, WORKER_OFFLINE), fleet_live_of_tier(fleet, TIER_GPU) > 0 ? "true" : "false",
                  fleet_live_of_tier(fleet, TIER_SERVICE) > 0 ? "true" : "false");
}

void fleet_write_summary(struct buffer *out, const struct fleet *fleet)
{
    int64_t total = fleet_total(fleet), healthy = fleet_healthy(fleet), offline = fleet_by_status(fleet, WORKER_OFFLINE);
    buffer_printf(out, "\"total_workers\":%" PRId64 ",\"healthy_workers\":%" PRId64 ",\"workers_by_tier\":", total, healthy);
    write_by_group(out, fleet);
    buffer_append(out, STR(",\"average_load\":"));
    write_average_load(out, fleet);
    buffer_printf(out,
                  ",\"workers\":{\"total\":%" PRId64 ",\"healthy\":%" PRId64 ",\"active\":%" PRId64 ",\"stale\":%" PRId64
                  ",\"by_tier\":",
                  total, healthy, total - offline, offline);
    write_by_tier(out, fleet);
    buffer_append(out, STR("}"));
}

void fleet_write_point(struct buffer *out, const struct fleet *fleet, int64_t time)
{
    int64_t total = fleet_total(fleet), offline = fleet_by_status(fleet, WORKER_OFFLINE);
    buffer_append(out, STR("{\"time\":"));
    buffer_json_time(out, time);
    buffer_printf(out, ",\"total_workers\":%" PRId64 ",\"live_workers\":%" PRId64, total, total - offline);
    for (int status = 0; status < WORKER_STATUS_COUNT; status++)
        buffer_printf(out, ",\"%s_workers\":%" PRId64, worker_status_words[status].ptr,
                      fleet_by_status(fleet, (enum worker_status)status));
    buffer_append(out, STR(",\"average_load\":"));
    write_average_load(out, fleet);
    buffer_append(out, STR(",\"by_tier\":{"));
    for (int tier = 1; tier <= TIER_COUNT; tier++) {
        int64_t live = fleet_live_of_tier(fleet, (enum tier)tier);
        buffer_printf(out, "%s\"%d\":{\"live_workers\":%" PRId64 ",\"average_load\":", tier > 1 ? "," : "", tier, live);
        write_average(out, fleet->load[tier], live);
        buffer_append(out, STR("}"));
    }
    buffer_append(out, STR("}}"));
}
