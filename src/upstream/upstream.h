/*
 * What one loop needs to pass requests on: kept connections, look-ups and deadlines.
 */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include "upstream/rules.h"

#include <stdint.h>

struct st_h2o_evloop_t;
struct upstream;

/*
 * Makes it. `rules` must outlive it. Call it in the loop's thread. wake(data) is called when upstream_tick has something to do
 * at once: the loop must then call it, in this turn or in the next, without waiting for anything else.
 */
struct upstream *upstream_new(struct st_h2o_evloop_t *loop, const struct upstream_rules *rules, void (*wake)(void *data),
                              void *data);

/* Closes all idle connections and frees it. No exchange may be left. */
void upstream_free(struct upstream *upstream);

/*
 * Handles what is due: postponed events, deadlines, connections that were idle for too long. `data` is the upstream. Call it in
 * each turn; it returns the ms until the next call.
 */
int32_t upstream_tick(void *data);

/*
 * NULL, or why no request can go to the URL (static text: "has a user"), as far as that is known without a wait: a name that was
 * not looked up lately may still lead where no request may go.
 */
const char *upstream_check_url(const struct upstream *upstream, struct str url);

/* For the metrics. */
struct upstream_counts {
    uint64_t connects; /* connections begun since the start */
    uint64_t reuses;   /* requests sent on a connection that was kept */
    size_t busy, idle; /* connections now */
};

struct upstream_counts upstream_count(const struct upstream *upstream);

#endif
