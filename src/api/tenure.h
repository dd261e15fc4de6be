/*
 * Requests that stay open for long: event streams, waits, WebSockets. The credential that admitted one may be revoked or expire
 * meanwhile, its user may be removed, sign out, or lose the role. Then the request ends, too.
 */
#ifndef API_TENURE_H
#define API_TENURE_H

#include "api/principal.h"
#include "base/err.h"

struct api;

/* Called when the credential has ended. `err` says why, for the answer if the request has none yet. */
typedef void tenure_over(void *data, enum err err);

/* One watched request. Set it to zeros first, and don't move it until tenure_end. */
struct tenure {
    struct tenure *previous, *next; /* in api->tenures; NULL: nothing is watched */
    struct api *api;
    struct principal principal;
    unsigned access;  /* of the route */
    unsigned checked; /* the round in which it was checked last */
    tenure_over *over;
    void *data;
};

/* The open requests of a thread, as a ring. The request that was checked longest ago comes first. */
struct tenures {
    struct tenure ring;
    unsigned round;
    unsigned generation; /* of the directory in this round */
    int64_t began_at;    /* clock_ms */
};

void tenures_init(struct tenures *tenures);

/* Watches a request that has been admitted. `over` is called at most once, from a tick, and not after tenure_end. */
void tenure_begin(struct tenure *tenure, const struct request *request, tenure_over *over, void *data);

/* Stops watching. May be called again, and on zeros. */
void tenure_end(struct tenure *tenure);

/* To be called in each turn of the loop; `data` is the struct api. Returns the ms until the next call. */
int32_t tenure_tick(void *data);

#endif
