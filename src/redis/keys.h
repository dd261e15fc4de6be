/*
 * Every key name of the coordinator. lua/KEYS.md says what each key holds.
 */
#ifndef REDIS_KEYS_H
#define REDIS_KEYS_H

#include "base/str.h"

/* X(name, text after the prefix); a text that ends in ':' is itself the prefix of many keys. */
#define KEYS(X)                                                                                                                    \
    X(prefix, "") /* the prefix of all keys, for scripts that make the names of keys themselves */                                 \
    X(wake, "wake:")                                                                                                               \
    X(task, "task:")                                                                                                               \
    X(worker, "worker:")                                                                                                           \
    X(registration, "registration:")                                                                                               \
    X(workers, "workers")                                                                                                          \
    X(online, "online")                                                                                                            \
    X(offline, "offline")                                                                                                          \
    X(listening, "listening")                                                                                                      \
    X(lately, "lately")                                                                                                            \
    X(service, "service:")                                                                                                         \
    X(model, "model:")                                                                                                             \
    X(region, "region:")                                                                                                           \
    X(services, "services")                                                                                                        \
    X(requests, "requests")                                                                                                        \
    X(stats, "stats")                                                                                                              \
    X(ledger, "ledger")                                                                                                            \
    X(identity, "identity:")                                                                                                       \
    X(fingerprint, "fingerprint:")                                                                                                 \
    X(events, "events")                                                                                                            \
    X(history, "history")                                                                                                          \
    X(credentials, "credentials")                                                                                                  \
    X(joined, "joined:")                                                                                                           \
    X(credential, "credential:")                                                                                                   \
    X(limit, "limit:")                                                                                                             \
    X(audit, "audit")                                                                                                              \
    X(format, "format")                                                                                                            \
    X(alive, "alive")                                                                                                              \
    X(life, "life")                                                                                                                \
    X(instances, "instances")

/*
 * The format of the data in Redis, and the oldest format whose coordinators may serve beside this version.
 * lua/KEYS.md says when to raise them.
 */
#ifndef KEYS_FORMAT
#define KEYS_FORMAT 1
#define KEYS_FORMAT_BESIDE 0
#endif

enum key {
#define X(name, text) KEY_##name,
    KEYS(X)
#undef X
        KEY_COUNT
};

#define KEY_PREFIX_MAX 64
#define KEY_MAX 256 /* bytes of the longest key: a prefix, a name, an id of 128 bytes, a suffix */

/*
 * Whether a prefix (NUL-terminated) is safe for a fleet's keys: it may only have characters without a meaning in
 * patterns and shells, and a part in braces. It has no colon, since the keys of "a:worker:b" would lie among those of
 * "a".
 */
bool key_prefix_is_valid(const char *prefix);

/* Sets the prefix of all keys ("{rma}" makes "{rma}:workers"). Call it once, before any thread starts. */
void keys_init(struct str prefix);

/* Returns the full name of a key, or the prefix of many keys. */
struct str key_name(enum key key);

/* Writes the hash key of worker `id` into `room` and returns it; `id` must be a valid id. */
struct str key_worker(char room[KEY_MAX], struct str id);

/* Writes the key of task `id`. */
struct str key_task(char room[KEY_MAX], struct str id);

/* Writes the name of the channel that tells a thread which polls to wake. */
struct str key_wake(char room[KEY_MAX], struct str thread);

/* Writes the key of a worker's registration. */
struct str key_registration(char room[KEY_MAX], struct str id);

/* Writes the key that lives as long as the worker is online. */
struct str key_worker_online(char room[KEY_MAX], struct str id);

#endif
