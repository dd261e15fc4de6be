/*
 * The services that workers are assigned to: those built in (catalogue.json), or those of a file (catalogue_file.h).
 */
#ifndef MODEL_CATALOGUE_H
#define MODEL_CATALOGUE_H

#include "base/buffer.h"
#include "model/tier.h"

#define CATALOGUE_ALIASES_MAX 8

struct catalogue_service {
    struct str name;
    enum tier tier;
    struct str container;
    struct str image;
    int port;
    int priority;                              /* 1 is the most important */
    struct buffer env;                         /* members of its container's "env" beside those always there, a comma before each */
    struct str aliases[CATALOGUE_ALIASES_MAX]; /* what else agents and clients call it */
    size_t alias_count;
};

/*
 * The catalogue, ordered by tier, then priority, then name: the order in which ties are broken. It is empty until
 * catalogue_use, and does not change while threads run.
 */
extern const struct catalogue_service *catalogue;
extern size_t catalogue_count;

/* Makes these services the catalogue. They must be ordered and live as long as the program. Call it before any thread starts. */
void catalogue_use(const struct catalogue_service *services, size_t count);

/* Negative, 0 or positive, by the catalogue's order: for qsort. */
int catalogue_compare(const void *a, const void *b);

/* The service of that name; NULL when there is none. */
const struct catalogue_service *catalogue_find(struct str name);

/* The first service whose container has that name; NULL when there is none. */
const struct catalogue_service *catalogue_find_container(struct str container);

/* Whether it is one of the service's aliases. */
bool catalogue_has_alias(const struct catalogue_service *service, struct str name);

/*
 * The service's own name for any of its names: its name, an alias, its container's name, or one of the first two with
 * "-service" or "-worker" behind it ("rag-service", "rma-rag-worker"). A name that the catalogue does not have is returned as
 * it is.
 */
struct str catalogue_name(struct str called);

/*
 * Appends the container of a service as JSON: {"name", "image", "port", "env": {"COORDINATOR_URL", "WORKER_ID", …}}.
 * The variables after those two are the service's own, which may be secrets; they are left out unless `secrets`.
 */
void catalogue_write_container(struct buffer *out, const struct catalogue_service *service, struct str coordinator_url,
                               struct str worker_id, bool secrets);

/* Appends an element {"name", "port", "priority"} of an array for the service's name, then one for each of its aliases. */
void catalogue_write_configs(struct buffer *out, const struct catalogue_service *service);

#endif
