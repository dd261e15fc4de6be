/*
 * Keeps the state of a worker, which is its hash, for a listing until the reply with its registration has come, too.
 */
#ifndef STORE_ROW_H
#define STORE_ROW_H

#include "model/worker.h"
#include "store/internal.h"

struct row_state {
    struct buffer text;                    /* has the values of the fields; the owner calls buffer_fini in the end */
    struct str fields[WORKER_STATE_COUNT]; /* absent where the hash has none */
};

/* Appends the command that asks for the state of worker `id`, or for its registration: for its fields up to `end`. */
void row_ask_state(struct buffer *command, struct str id);
void row_ask_registration(struct buffer *command, struct str id, size_t end);

/* Copies a state from the reply to row_ask_state. */
void row_keep(struct row_state *state, const struct redisReply *reply);

/* Makes the state of a worker whose hash has expired. load: in millionths; heard: its last heartbeat, ms since 1970. */
void row_recall(struct row_state *state, struct str status, int64_t load, int64_t heard);

#endif
