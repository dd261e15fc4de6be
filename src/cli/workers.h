/*
 * What workers and workers --watch share.
 */
#ifndef CLI_WORKERS_H
#define CLI_WORKERS_H

#include "cli/client.h"
#include "cli/text.h"

/*
 * Asks for up to `limit` of the workers that the options select, after `cursor` (NULL: from the beginning). CLI_DONE: *workers
 * is an array. Release *answer in any case.
 */
int workers_ask(struct client *client, const struct options *options, size_t limit, const char *cursor, struct answer *answer,
                const cJSON **workers);

/* workers_table makes a table for workers; workers_add adds a row for each worker of an array. */
void workers_table(struct table *table, const struct terminal *terminal);
void workers_add(struct table *table, const cJSON *workers);

/* Shows the workers again and again until a signal ends it. Call watch_block_signals before. */
int watch(struct client *client, const struct options *options);

/* Blocks the signals that watch waits for, in every thread. Call it before any thread is made. */
void watch_block_signals(void);

#endif
