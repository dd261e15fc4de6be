/*
 * The services that workers are assigned to.
 */
#ifndef MODEL_CATALOGUE_H
#define MODEL_CATALOGUE_H

#include "base/buffer.h"
#include "model/tier.h"

struct catalogue_service {
    struct str name;
    enum tier tier;
    struct str container;
    struct str image;
    int port;
    int priority; /* 1 is the most important */
};

/* The built-in catalogue, ordered by tier, then priority, then name: the order in which ties are broken. */
extern const struct catalogue_service catalogue[];
extern const size_t catalogue_count;

/* The service of that name; NULL when there is none. */
const struct catalogue_service *catalogue_find(struct str name);

/*
 * Appends the container of a service as JSON: {"name", "image", "port", "env": {"COORDINATOR_URL", "WORKER_ID"}}.
 */
void catalogue_write_container(struct buffer *out, const struct catalogue_service *service, struct str coordinator_url,
                               struct str worker_id);

#endif
