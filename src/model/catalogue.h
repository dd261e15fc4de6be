/*
 * The services that workers are assigned to: those built in, or those of a file (catalogue_file.h).
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
    struct buffer
        env; /* the members of its container's "env" beside those that are always there, a comma before each; may be empty */
};

/*
 * The catalogue, ordered by tier, then priority, then name: the order in which ties are broken. It is the built-in one until
 * catalogue_use, and does not change while threads run.
 */
extern const struct catalogue_service *catalogue;
extern size_t catalogue_count;

/* Puts other services, which are ordered and stay where they are, in place of the built-in ones. To be called before any thread starts. */
void catalogue_use(const struct catalogue_service *services, size_t count);

/* Negative, 0 or positive, by the catalogue's order: for qsort. */
int catalogue_compare(const void *a, const void *b);

/* The service of that name; NULL when there is none. */
const struct catalogue_service *catalogue_find(struct str name);

/* The first service whose container has that name; NULL when there is none. */
const struct catalogue_service *catalogue_find_container(struct str container);

/*
 * Appends the container of a service as JSON: {"name", "image", "port", "env": {"COORDINATOR_URL", "WORKER_ID", …}}.
 */
void catalogue_write_container(struct buffer *out, const struct catalogue_service *service, struct str coordinator_url,
                               struct str worker_id);

#endif
