/*
 * A worker in the registry, and its JSON for clients.
 */
#ifndef MODEL_WORKER_H
#define MODEL_WORKER_H

#include "base/buffer.h"

#include <stdint.h>

/* The fields of a worker's hash: its state, as last reported. Numbers are decimal text, times milliseconds since 1970. */
#define WORKER_STATE_FIELDS(X)                                                                                                     \
    X(status)                                                                                                                      \
    X(current_load)                                                                                                                \
    X(last_heartbeat)                                                                                                              \
    X(available_memory)                                                                                                            \
    X(active_requests)                                                                                                             \
    X(gpu_utilization)                                                                                                             \
    X(loaded_models) /* JSON as it came */                                                                                         \
    X(specialization)                                                                                                              \
    X(services_status) /* JSON as it came */                                                                                       \
    X(unwell)          /* names with commas between: services that it reports as unhealthy */                                      \
    X(reported_status) /* the word that it sent, which is not a status: it counts as degraded */                                   \
    X(suspect_since)   /* others have completed five tasks at which it failed */

/* The fields of its registration, which outlives the hash. */
#define WORKER_REGISTRATION_FIELDS(X)                                                                                              \
    X(tier)                                                                                                                        \
    X(worker_type)                                                                                                                 \
    X(registered_at)                                                                                                               \
    X(tasks_completed)                                                                                                             \
    X(assigned_services) /* names with commas between */                                                                           \
    X(services)          /* JSON as it came */                                                                                     \
    X(capabilities)      /* JSON as it came */                                                                                     \
    X(ip_address)                                                                                                                  \
    X(port) /* the port that was told with the address */                                                                          \
    X(tunnel_url)                                                                                                                  \
    X(vpn_ip)                                                                                                                      \
    X(instance_id)                                                                                                                 \
    X(region)                                                                                                                      \
    X(hardware) /* see hardware_store */                                                                                           \
    X(conflict) /* "<since> <last seen> <how often>": two machines use its id */                                                   \
    X(drained)  /* "1" while an operator keeps new work away */                                                                    \
    X(drain_reason)                                                                                                                \
    X(drained_at)   /* since when */                                                                                               \
    X(drained_from) /* who drained it: an address, or a command on some machine */                                                 \
    X(join)         /* id of the join token with which it registered */                                                            \
    X(lapsed)       /* "1" if it has registered without a token since */                                                           \
    X(containers)   /* JSON as it came */                                                                                          \
    X(provides)     /* names with commas between: services assigned or advertised */                                               \
    X(boot_id)                                                                                                                     \
    X(location)        /* of an edge node */                                                                                       \
    X(dht_port)        /* of an edge node */                                                                                       \
    X(labels)          /* "name=value," for each label; values are percent-encoded, see labels.h */                                \
    X(tls_fingerprint) /* of the certificate of its URLs: SHA-256 as hex digits */                                                 \
    X(requests_served) /* requests to it that have ended, since the beginning */                                                   \
    X(stamp)           /* changes whenever the worker's addresses may have changed */

/* The fields of both, in the order in which they are read. */
#define WORKER_FIELDS(X)                                                                                                           \
    WORKER_STATE_FIELDS(X)                                                                                                         \
    WORKER_REGISTRATION_FIELDS(X)

enum worker_field {
#define X(name) WORKER_##name,
    WORKER_FIELDS(X)
#undef X
        WORKER_FIELD_COUNT
};

#define WORKER_STATE_COUNT WORKER_tier   /* the state's fields come before the registration's */
#define WORKER_ROW_COUNT WORKER_provides /* the fields of a row in a listing come before the rest */

/* The fields' names in Redis, by enum worker_field. */
extern const struct str worker_field_names[WORKER_FIELD_COUNT];

struct worker {
    struct str id;
    struct str online;                     /* the status as which it counts, from the online key; absent: it is offline */
    struct str fields[WORKER_FIELD_COUNT]; /* absent where Redis has none */
    int64_t requests;                      /* requests from coordinators that are under way */
};

/*
 * The worker's status now: "offline" without the online key; else what it last reported, or "draining" if an operator drains
 * it.
 */
struct str worker_status(const struct worker *worker);

/* The id of the join token with which it registered last; absent: without one. */
struct str worker_join_token(const struct worker *worker);

/* Whether it is live and well: healthy, or draining (which is well but takes no new work). */
bool worker_is_healthy(const struct worker *worker);

/*
 * Appends the worker as a JSON object, a row of GET /api/admin/workers; `now` in ms since 1970. If `coordinator_url` is
 * present, assigned_containers are objects (GET /api/worker/{id}), which have the variables that may be secrets only if
 * `secrets`; else they are names.
 */
void worker_write(struct buffer *out, const struct worker *worker, int64_t now, struct str coordinator_url, bool secrets);

/* Append the worker in discovery's form, with its `url` (absent: not known); append its load. */
void worker_write_discovered(struct buffer *out, const struct worker *worker, struct str url);
void worker_write_load(struct buffer *out, const struct worker *worker);

#endif
