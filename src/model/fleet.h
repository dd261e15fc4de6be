/*
 * The fleet in numbers.
 */
#ifndef MODEL_FLEET_H
#define MODEL_FLEET_H

#include "base/buffer.h"
#include "model/status.h"
#include "model/tier.h"

#include <stdint.h>

/* What happens to workers, and why: X(kind, reason). lua/KEYS.md says when. */
#define FLEET_EVENTS(X)                                                                                                            \
    X(registered, new)                                                                                                             \
    X(registered, again)                                                                                                           \
    X(registered, imported)                                                                                                        \
    X(online, heartbeat)                                                                                                           \
    X(online, revived)                                                                                                             \
    X(updated, heartbeat)                                                                                                          \
    X(updated, drained)                                                                                                            \
    X(updated, undrained)                                                                                                          \
    X(updated, moved)                                                                                                              \
    X(offline, timeout)                                                                                                            \
    X(offline, reported)                                                                                                           \
    X(removed, timeout)                                                                                                            \
    X(removed, unregistered)                                                                                                       \
    X(conflict, registered)                                                                                                        \
    X(conflict, heartbeat)                                                                                                         \
    X(suspect, tasks)

enum fleet_event {
#define X(kind, reason) FLEET_EVENT_##kind##_##reason,
    FLEET_EVENTS(X)
#undef X
        FLEET_EVENT_COUNT
};

struct fleet {
    int64_t workers[TIER_COUNT + 1][WORKER_STATUS_COUNT]; /* by tier (1 to 4) and status */
    double load[TIER_COUNT + 1];                          /* sum over workers that are not offline */
    int64_t requests;                                     /* requests to workers that are under way */
    int64_t tasks_completed;                              /* since the beginning, including those of workers that are gone */
    int64_t events[FLEET_EVENT_COUNT];                    /* how often each has happened since the beginning */
};

/*
 * Takes a counter of Redis's stats hash: "2:healthy" = "7", "2:load" = "980000" (millionths), "event:removed:timeout" = "3".
 * Ignores unknown counters.
 */
void fleet_set_counter(struct fleet *fleet, struct str field, int64_t value);

int64_t fleet_total(const struct fleet *fleet);
int64_t fleet_by_status(const struct fleet *fleet, enum worker_status status);

int64_t fleet_live_of_tier(const struct fleet *fleet, enum tier tier);

/* Append GET /api/admin/stats, GET /api/admin/health, and the members of GET /health from total_workers on. */
void fleet_write_stats(struct buffer *out, const struct fleet *fleet);
void fleet_write_health(struct buffer *out, const struct fleet *fleet);
void fleet_write_summary(struct buffer *out, const struct fleet *fleet);

/* Appends a point of GET /api/admin/history: how the fleet was at `time`, ms since 1970. */
void fleet_write_point(struct buffer *out, const struct fleet *fleet, int64_t time);

#endif
