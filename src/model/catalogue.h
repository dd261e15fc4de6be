/*
 * The services that workers are assigned to: those built in (catalogue.json), or those of a file (catalogue_file.h).
 */
#ifndef MODEL_CATALOGUE_H
#define MODEL_CATALOGUE_H

#include "base/buffer.h"
#include "model/tier.h"

#define CATALOGUE_ALIASES_MAX 8
#define CATALOGUE_ROUTES_MAX 8      /* of one service */
#define CATALOGUE_ALL_ROUTES_MAX 32 /* of all together */
#define CATALOGUE_TIMEOUT_S 60      /* the default for the timeouts of the head and of silence */

/* Requests for `from` and paths below it are passed on to the service, with `to` in place of `from`. Neither ends in a slash. */
struct catalogue_route {
    struct str from; /* "/api/rag" */
    struct str to;   /* "/v2", or "" */
};

/* How requests are passed on to a service. */
struct catalogue_passing {
    bool closed;             /* requests are not passed on: strangers must not reach a data store */
    bool random;             /* to any healthy worker, without counting the requests in flight */
    bool idempotent;         /* a request may be sent twice, whatever its method */
    bool pass_authorization; /* the service gets an Authorization header that is not meant for the coordinator */
    bool loads_models;       /* its workers load a model when one is asked for */
    bool set_cookie;         /* the service may set cookies, gets them, and its pages may act as pages of this origin */
    int head_timeout_s;      /* from the request's end to the answer's head */
    int silence_timeout_s;   /* between two pieces of the answer */
    struct catalogue_route routes[CATALOGUE_ROUTES_MAX]; /* beside the routes that every service has */
    size_t route_count;
};

struct catalogue_service {
    struct str name;
    enum tier tier;
    struct str container;
    struct str image;
    int port;
    int priority;      /* 1 is the most important */
    struct buffer env; /* members of its container's "env" beside those that are always there, a comma before each */
    struct str aliases[CATALOGUE_ALIASES_MAX]; /* other names that agents and clients use for it */
    size_t alias_count;
    struct catalogue_passing passing;
};

/*
 * The catalogue, ordered by tier, then priority, then name: the order in which ties are broken. It is empty until
 * catalogue_use, and does not change while threads run.
 */
extern const struct catalogue_service *catalogue;
extern size_t catalogue_count;

/*
 * Makes these services the catalogue. They must be in its order, and live as long as the program. Call it before any thread
 * starts.
 */
void catalogue_use(const struct catalogue_service *services, size_t count);

/* Negative, 0 or positive, by the catalogue's order: for qsort. */
int catalogue_compare(const void *a, const void *b);

/* The service of that name; NULL if there is none. */
const struct catalogue_service *catalogue_find(struct str name);

/*
 * The place of the service of that name in the catalogue, for tables of `most` places. The last place is for all other
 * services: those that the catalogue does not have, or has at a later place.
 */
size_t catalogue_place(struct str name, size_t most);

/* The first service whose container has that name; NULL if there is none. */
const struct catalogue_service *catalogue_find_container(struct str container);

/* Whether `name` is one of the service's aliases. */
bool catalogue_has_alias(const struct catalogue_service *service, struct str name);

/*
 * The service's own name for any of its names: its name, an alias, its container's name, or one of the first two with
 * "-service" or "-worker" behind it ("rag-service", "rma-rag-worker"). A name that the catalogue does not have is returned as
 * it is.
 */
struct str catalogue_name(struct str called);

/*
 * Whether the name is that of a well-known kind of data store, such as "redis" or "redis-cache". Workers report services that
 * no catalogue has, and data stores among them must not be open to everybody.
 */
bool catalogue_is_data_store(struct str name);

/* How requests are passed on to the service of that name, which need not be in the catalogue. */
const struct catalogue_passing *catalogue_passing(struct str name);

/*
 * Appends the container of a service as JSON: {"name", "image", "port", "env": {"COORDINATOR_URL", "WORKER_ID", …}}.
 * The variables after those two are the service's own, which may be secrets; they are left out unless `secrets`.
 */
void catalogue_write_container(struct buffer *out, const struct catalogue_service *service, struct str coordinator_url,
                               struct str worker_id, bool secrets);

/* Appends an element {"name", "port", "priority"} of an array for the service's name, then one for each of its aliases. */
void catalogue_write_configs(struct buffer *out, const struct catalogue_service *service);

#endif
