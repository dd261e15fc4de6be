/*
 * The core of a running coordinator: its checked settings and its serving threads. The serving program has one, and so does an
 * operator's command that reads a fleet directly from its Redis.
 */
#ifndef INSTANCE_INSTANCE_H
#define INSTANCE_INSTANCE_H

#include "api/api.h"
#include "auth/signing_key.h"
#include "base/buffer.h"
#include "base/config.h"
#include "model/catalogue_file.h"
#include "redis/address.h"
#include "upstream/upstream.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#ifndef VERSION
#define VERSION "0.1.0"
#endif

/* The commit from which the program was built; "unknown" if the build did not tell. */
extern const char instance_commit[];

struct serving_thread;

struct instance {
    struct signing_keys signing_keys; /* of JWT_KEY_FILE; none: it is not set */
    struct buffer shared_secret;      /* JWT_SECRET */
    struct config config;
    struct catalogue_file catalogue;
    struct address address;         /* of Redis; without REDIS_URL the caller sets it before instance_start */
    struct address replica_address; /* of the replica to read from, if has_replica */
    bool has_replica;
    struct buffer public_url, allowed_origins; /* as web.h makes them */
    struct upstream_rules upstream_rules;
    struct server_config server_config;
    struct store_config store_config;
    struct api_config api_config;
    struct server *server;
    struct serving_thread *threads;
    struct shared *shared;   /* answers that all threads share */
    struct writers *writers; /* when clients have last written, to any thread */
    int thread_count;
    pthread_barrier_t threads_made;
    int port;
    char id[160];
    _Atomic int64_t workers_found; /* the number at the start; or one of these: */
#define INSTANCE_WORKERS_UNKNOWN (-1)
#define INSTANCE_WORKERS_LATE (-2) /* nobody waits for the number any more: it is logged in a line of its own */
    sem_t counted;                 /* posted when the number has come */
};

/*
 * Reads the settings from the environment and from the flags in `args`, and makes the modules' configurations of them. The
 * errors and `why` are those of config_read. The caller may change the result before the next step.
 */
MUST_CHECK enum err instance_configure(struct instance *instance, char **args, char why[256]);

/* Reads the services of SERVICE_CATALOG. On ERR_INVALID all faults of that file have been printed on stderr. */
MUST_CHECK enum err instance_take_catalogue(struct instance *instance);

/* Binds the port. On ERR_INVALID `why` says why that failed. */
MUST_CHECK enum err instance_listen(struct instance *instance, char why[256]);

/*
 * Starts the threads, which take the signals that the caller has not blocked. Call it once in the life of the program. On
 * ERR_INVALID `why` says why not all of them could be started; those that were do nothing.
 */
MUST_CHECK enum err instance_start(struct instance *instance, char why[256]);

/*
 * Returns how many workers Redis had at the start. Waits at most 0.4 s for the answer. Negative: there is no answer yet; the log
 * will have the number. Call it once, after instance_start.
 */
int64_t instance_workers_found(struct instance *instance);

/* Lets the threads finish the requests in flight, within 3.5 s, and end. */
void instance_stop(struct instance *instance);

#endif
