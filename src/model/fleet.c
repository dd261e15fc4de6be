#include "model/fleet.h"

#include "base/json_writer.h"

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
    if (str_eq(field, STR("requests")))
        fleet->requests = value;
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

/* Returns how many workers are live and well: healthy, or draining. */
static int64_t count_healthy(const struct fleet *fleet)
{
    return fleet_by_status(fleet, WORKER_HEALTHY) + fleet_by_status(fleet, WORKER_DRAINING);
}

static void write_average(struct buffer *out, const char *key, double load, int64_t workers)
{
    json_add_number(out, key, workers > 0 && load > 0 ? load / (double)workers : 0.0);
}

static void write_average_load(struct buffer *out, const struct fleet *fleet)
{
    double load = 0;
    int64_t live = 0;
    for (int tier = 1; tier <= TIER_COUNT; tier++) {
        load += fleet->load[tier];
        live += fleet_live_of_tier(fleet, (enum tier)tier);
    }
    write_average(out, "average_load", load, live);
}

/* "1" for tier 1. */
static struct str tier_name(int tier)
{
    static const char digits[] = "0123456789";
    return (struct str){digits + tier, 1};
}

/* {"gpu_workers": 0, …} */
static void write_by_group(struct buffer *out, const char *key, const struct fleet *fleet)
{
    json_begin_object(out, key);
    for (int tier = 1; tier <= TIER_COUNT; tier++)
        json_add_integer(out, tier_group((enum tier)tier), of_tier(fleet, tier));
    json_end_object(out);
}

/* {"1": 0, …} */
static void write_by_tier(struct buffer *out, const struct fleet *fleet)
{
    json_begin_object(out, "by_tier");
    for (int tier = 1; tier <= TIER_COUNT; tier++) {
        json_add_key(out, tier_name(tier));
        json_add_integer(out, NULL, of_tier(fleet, tier));
    }
    json_end_object(out);
}

/* Whether the fleet has the least that it needs: a live service worker, a live GPU worker, no more offline than healthy ones. */
static bool is_well(const struct fleet *fleet)
{
    return fleet_live_of_tier(fleet, TIER_SERVICE) > 0 && fleet_live_of_tier(fleet, TIER_GPU) > 0 &&
           fleet_by_status(fleet, WORKER_OFFLINE) <= count_healthy(fleet);
}

void fleet_write_stats(struct buffer *out, const struct fleet *fleet)
{
    json_begin_object(out, NULL);
    json_add_integer(out, "total_workers", fleet_total(fleet));
    json_add_integer(out, "healthy_workers", count_healthy(fleet));
    json_add_integer(out, "degraded_workers", fleet_by_status(fleet, WORKER_DEGRADED));
    json_add_integer(out, "offline_workers", fleet_by_status(fleet, WORKER_OFFLINE));
    write_by_group(out, "workers_by_tier", fleet);
    write_by_tier(out, fleet);
    write_average_load(out, fleet);
    json_begin_object(out, "average_load_by_tier");
    for (int tier = 1; tier <= TIER_COUNT; tier++)
        write_average(out, tier_group((enum tier)tier), fleet->load[tier], fleet_live_of_tier(fleet, (enum tier)tier));
    json_end_object(out);
    json_add_integer(out, "total_tasks_completed", fleet->tasks_completed);
    json_add_integer(out, "requests_in_flight", fleet->requests > 0 ? fleet->requests : 0);
    json_add_text(out, "status", STR("healthy"));
    json_end_object(out);
}

void fleet_write_health(struct buffer *out, const struct fleet *fleet)
{
    json_begin_object(out, NULL);
    json_add_text(out, "overall_status", is_well(fleet) ? STR("healthy") : STR("degraded"));
    json_begin_object(out, "workers_by_status");
    json_add_integer(out, "healthy", count_healthy(fleet));
    json_add_integer(out, "degraded", fleet_by_status(fleet, WORKER_DEGRADED));
    json_add_integer(out, "offline", fleet_by_status(fleet, WORKER_OFFLINE));
    json_end_object(out);
    json_begin_object(out, "has_minimum_workers");
    json_add_bool(out, "gpu_workers", fleet_live_of_tier(fleet, TIER_GPU) > 0);
    json_add_bool(out, "service_workers", fleet_live_of_tier(fleet, TIER_SERVICE) > 0);
    json_end_object(out);
    json_end_object(out);
}

void fleet_write_summary(struct buffer *out, const struct fleet *fleet)
{
    int64_t total = fleet_total(fleet), healthy = count_healthy(fleet), offline = fleet_by_status(fleet, WORKER_OFFLINE);
    json_add_integer(out, "total_workers", total);
    json_add_integer(out, "healthy_workers", healthy);
    write_by_group(out, "workers_by_tier", fleet);
    write_average_load(out, fleet);
    json_begin_object(out, "workers");
    json_add_integer(out, "total", total);
    json_add_integer(out, "healthy", healthy);
    json_add_integer(out, "active", total - offline);
    json_add_integer(out, "stale", offline);
    write_by_tier(out, fleet);
    json_end_object(out);
}

void fleet_write_point(struct buffer *out, const struct fleet *fleet, int64_t time)
{
    static const char *const counts[WORKER_STATUS_COUNT] = {
        [WORKER_HEALTHY] = "healthy_workers",
        [WORKER_DEGRADED] = "degraded_workers",
        [WORKER_DRAINING] = "draining_workers",
        [WORKER_OFFLINE] = "offline_workers",
    };
    int64_t total = fleet_total(fleet), offline = fleet_by_status(fleet, WORKER_OFFLINE);
    json_begin_object(out, NULL);
    json_add_time(out, "time", time);
    json_add_integer(out, "total_workers", total);
    json_add_integer(out, "live_workers", total - offline);
    for (int status = 0; status < WORKER_STATUS_COUNT; status++)
        json_add_integer(out, counts[status], fleet_by_status(fleet, (enum worker_status)status));
    write_average_load(out, fleet);
    json_begin_object(out, "by_tier");
    for (int tier = 1; tier <= TIER_COUNT; tier++) {
        int64_t live = fleet_live_of_tier(fleet, (enum tier)tier);
        json_add_key(out, tier_name(tier));
        json_begin_object(out, NULL);
        json_add_integer(out, "live_workers", live);
        write_average(out, "average_load", fleet->load[tier], live);
        json_end_object(out);
    }
    json_end_object(out);
    json_end_object(out);
}
