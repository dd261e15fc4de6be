/*
 * Looks up names of strangers, in threads of its own: a slow name server holds up neither a loop nor Redis's look-ups. All loops
 * share the threads and what they found. One look-up for each name is under way at any time.
 */
#ifndef UPSTREAM_LOOKUP_H
#define UPSTREAM_LOOKUP_H

#include "upstream/network.h"

struct st_h2o_evloop_t;
struct lookup;
struct lookups;

#define LOOKUP_THREADS 8
#define LOOKUP_ADDRESSES_MAX 16 /* of a name; one with more is not used */
#define LOOKUP_WAITING_MAX 256  /* names that wait for a thread; above it look-ups fail */
#define LOOKUP_KEPT_MS 30000    /* how long a result is used again; as long once more while it is looked up anew */
#define LOOKUP_FAILED_MS 5000   /* how long a failure is */
#define LOOKUP_CACHE_MAX 4096   /* names */

struct lookup_result {
    const char *why; /* NULL, or why there is none (static text) */
    size_t count;
    struct network_address addresses[LOOKUP_ADDRESSES_MAX]; /* each once, in the order in which to try them */
};

/* Makes what one loop needs. Call it in the loop's thread. */
struct lookups *lookups_new(struct st_h2o_evloop_t *loop);
void lookups_free(struct lookups *lookups); /* no look-up of the loop may be under way */

/*
 * `text` is a name. Whether its addresses are known; fills *result, which may be a failure. Those of a name that is asked for again
 * and again are looked up anew meanwhile, so that nobody waits.
 */
bool lookup_find(const char *text, struct lookup_result *result);

/*
 * Begins a look-up. `done` is called once, from the loop, in a later turn. There is no deadline: the caller cancels. NULL: too
 * many names wait already, and `done` is not called.
 */
struct lookup *lookup_begin(struct lookups *lookups, const char *text, void (*done)(void *data, const struct lookup_result *result),
                            void *data);

/* Ends a look-up whose `done` was not called: it will not be. */
void lookup_cancel(struct lookup *lookup);

/*
 * For unit tests: replaces what resolves a name in a thread, which fills *result, and LOOKUP_KEPT_MS. NULL: the system's resolver
 * again. What was kept is forgotten.
 */
void lookup_use_resolver(void (*resolver)(const char *name, struct lookup_result *result), int kept_ms);

#endif
