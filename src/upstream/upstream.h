/*
 * What one loop needs to pass requests on: connections that are kept for the next request, look-ups, deadlines.
 */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include "upstream/network.h"

struct st_h2o_evloop_t;
struct upstream;

#define UPSTREAM_PORTS_MAX 32

/* Where requests may go; shared by all loops and constant once they run. */
struct upstream_rules {
    struct network_list allowed;       /* UPSTREAM_ALLOW: networks beside the public ones */
    int own_ports[UPSTREAM_PORTS_MAX]; /* this program's: forbidden at every address of this machine, whatever is allowed */
    size_t own_port_count;
    int never_ports[UPSTREAM_PORTS_MAX]; /* Redis's and its Sentinels': forbidden at every address, since theirs change */
    size_t never_port_count;
    struct str own_host; /* the host of PUBLIC_URL: requests to it would come back; absent: not known */
};

/* Makes it. `rules` must outlive it. Call it in the loop's thread. */
struct upstream *upstream_new(struct st_h2o_evloop_t *loop, const struct upstream_rules *rules);

/* Closes all idle connections and frees it. No exchange may be left. */
void upstream_free(struct upstream *upstream);

/* What is due: deadlines, connections that were idle for too long. Call it in each turn; returns the ms until the next call. */
int32_t upstream_tick(void *upstream);

/* For the metrics. */
struct upstream_counts {
    uint64_t connects; /* connections begun since the start */
    uint64_t reuses;   /* requests sent on a connection that was kept */
    size_t busy, idle; /* connections now */
};

struct upstream_counts upstream_count(const struct upstream *upstream);

#endif
