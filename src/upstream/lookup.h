/*
 * Looks up names from strangers in threads of its own, so that a slow name server holds up neither a loop nor the look-ups for
 * Redis. All loops share the threads and the results. At most one look-up of a name is under way at any time.
 */
#ifndef UPSTREAM_LOOKUP_H
#define UPSTREAM_LOOKUP_H

#include "upstream/network.h"

struct st_h2o_evloop_t;
struct lookup;
struct lookups;

#define LOOKUP_THREADS 8
#define LOOKUP_ADDRESSES_MAX 16 /* addresses of a name; a name with more is not used */
#define LOOKUP_WAITING_MAX 256  /* names that wait for a thread; above this number look-ups fail */
#define LOOKUP_KEPT_MS 30000    /* how long a result is used; it is used as long once more while the name is looked up again */
#define LOOKUP_FAILED_MS 5000   /* how long a failure is used */
#define LOOKUP_OUTAGE_MS 600000 /* how long a result may be used while no name server answers */
#define LOOKUP_CACHE_MAX 4096   /* names */

struct lookup_result {
    const char *why; /* NULL, or why there is none (static text) */
    bool is_passing; /* there is none because nobody could be asked: the name server did not answer */
    size_t count;
    struct network_address addresses[LOOKUP_ADDRESSES_MAX]; /* each address once, in the order in which to try them */
};

/* Makes what one loop needs. Call it in the loop's thread. */
struct lookups *lookups_new(struct st_h2o_evloop_t *loop);
void lookups_free(struct lookups *lookups); /* no look-up of the loop may be under way */

/*
 * Whether a result for the name `text` is known; it may be a failure. Fills in *result. If the result is old, the name is looked
 * up again in the background, and the caller gets the old result without waiting.
 */
bool lookup_find(const char *text, struct lookup_result *result);

/* Whether an older result is known that may be used if a look-up takes too long. Fills in *result. */
bool lookup_recall(const char *text, struct lookup_result *result);

/*
 * Begins a look-up. `done` is called once, from the loop, in a later turn. There is no deadline: the caller cancels. NULL: too
 * many names wait already, and `done` is not called.
 */
struct lookup *lookup_begin(struct lookups *lookups, const char *text, void (*done)(void *data, const struct lookup_result *result),
                            void *data);

/* Cancels and frees a look-up whose `done` has not been called. `done` is then never called. */
void lookup_cancel(struct lookup *lookup);

/*
 * For unit tests: replaces the function that resolves a name in a thread and fills *result, and LOOKUP_KEPT_MS. NULL: the
 * system's resolver again. All kept results are forgotten.
 */
void lookup_use_resolver(void (*resolver)(const char *name, struct lookup_result *result), int kept_ms);

#endif
