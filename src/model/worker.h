/*
 * A worker as the registry keeps it, and as it is shown.
 */
#ifndef MODEL_WORKER_H
#define MODEL_WORKER_H

#include "base/buffer.h"

#include <stdint.h>

/* What a worker's hash holds: its state, as last reported. Numbers are decimal text, times milliseconds since 1970. */
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
    X(unwell)          /* names with commas between, of the services that it says are not well */                                  \
    X(reported_status) /* a word that is no status: it counts as degraded */                                                       \
    X(suspect_since)   /* others completed five tasks at which it failed */

/* What its registration holds, which outlives the hash. */
#define WORKER_REGISTRATION_FIELDS(X)                                                                                              \
    X(tier)                                                                                                                        \
    X(worker_type)                                                                                                                 \
    X(registered_at)                                                                                                               \
    X(tasks_completed)                                                                                                             \
    X(assigned_services) /* names with commas between */                                                                           \
    X(services)          /* JSON as it came */                                                                                     \
    X(capabilities)      /* JSON as it came */                                                                                     \
    X(ip_address)                                                                                                                  \
    X(port) /* that was told with the address */                                                                                   \
    X(tunnel_url)                                                                                                                  \
    X(vpn_ip)                                                                                                                      \
    X(instance_id)                                                                                                                 \
    X(region)                                                                                                                      \
    X(hardware) /* see hardware_store */                                                                                           \
    X(conflict) /* "<since> <last seen> <how often>": two machines use its id */                                                   \
    X(drained)  /* "1" while an operator keeps new work away */                                                                    \
    X(drain_reason)                                                                                                                \
    X(drained_at)   /* since when */                                                                                               \
    X(drained_from) /* by whom: an address, or a command on some machine */                                                        \
    X(join)         /* id of the join token that it registered with */                                                             \
    X(lapsed)       /* "1" when it registered without any since */                                                                 \
    X(containers)   /* JSON as it came */                                                                                          \
    X(provides)     /* names with commas between: assigned, and advertised in services */                                          \
    X(boot_id)                                                                                                                     \
    X(location)        /* of an edge node */                                                                                       \
    X(dht_port)        /* of an edge node */                                                                                       \
    X(labels)          /* "name=value," of each; a value percent-encoded, see labels.h */                                          \
    X(tls_fingerprint) /* of the certificate of its URLs: SHA-256 as hex digits */                                                 \
    X(requests_served) /* requests to it that have ended, ever */                                                                  \
    X(stamp)           /* another one whenever what leads to the worker may have changed */

/* Both, in the order in which they are read. */
#define WORKER_FIELDS(X)                                                                                                           \
    WORKER_STATE_FIELDS(X)                                                                                                         \
    WORKER_REGISTRATION_FIELDS(X)

enum worker_field {
#define X(name) WORKER_##name,
    WORKER_FIELDS(X)
#undef X
        WORKER_FIELD_COUNT
};

#define WORKER_STATE_COUNT WORKER_tier   /* the state's fields stand before the registration's */
#define WORKER_ROW_COUNT WORKER_provides /* what a row of a listing shows stands before the rest */

/* The fields' names in Redis, by enum worker_field. */
extern const struct str worker_field_names[WORKER_FIELD_COUNT];

struct worker {
    struct str id;
    struct str online;                     /* the status it counts as, of the online key; absent: it is offline */
    struct str fields[WORKER_FIELD_COUNT]; /* absent where Redis has none */
    int64_t requests;                      /* that coordinators have sent it and that are under way */
};

/*
 * What the worker counts as now: "offline" without the online key, else what it last reported, or "draining" by an operator's
 * wish.
 */
struct str worker_status(const struct worker *worker);

/* With which join token it registered last, its id; absent: with none. */
struct str worker_join_token(const struct worker *worker);

/* Whether it is live and well: healthy, or draining (which is well, but takes no new work). */
bool worker_is_healthy(const struct worker *worker);

/*
 * Appends the worker as a JSON object, a row of GET /api/admin/workers; `now` in ms since 1970. With `coordinator_url` present,
 * assigned_containers are written as objects (GET /api/worker/{id}), with the variables that may be secrets if `secrets`;
 * absent, by name.
 */
void worker_write(struct buffer *out, const struct worker *worker, int64_t now, struct str coordinator_url, bool secrets);

/* Append the worker as discovery shows it, reached at `url` (absent: nobody knows where); its load. */
void worker_write_discovered(struct buffer *out, const struct worker *worker, struct str url);
void worker_write_load(struct buffer *out, const struct worker *worker);

#endif
