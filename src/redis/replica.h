/*
 * How far a replica is behind its primary, measured and not guessed: both are asked five times a second where in the stream of
 * writes they are (INFO replication). When the replica has come to where the primary was at a moment, it has all that was
 * acknowledged before that moment.
 */
#ifndef REDIS_REPLICA_H
#define REDIS_REPLICA_H

#include <stdint.h>

struct link;
struct replica;

/* Both links belong to the thread, and live as long as the program. */
struct replica *replica_new(struct link *primary, struct link *link);

/*
 * A moment (clock_ms) such that every write that the primary had acknowledged by then can be read from the replica. 0: none is
 * known; the replica is away, or has another history than the primary.
 */
int64_t replica_complete_until(const struct replica *replica);

/*
 * To be called at the end of each turn of the loop, before the links' own ticks. Returns the ms after which it needs to be
 * called again.
 */
int32_t replica_tick(struct replica *replica);

#endif
