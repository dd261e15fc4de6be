/*
 * Measures how far a replica is behind its primary. It asks both five times a second for their position in the stream of writes
 * (INFO replication). When the replica has reached the position that the primary had at a moment, the replica has all writes
 * that were acknowledged before that moment.
 */
#ifndef REDIS_REPLICA_H
#define REDIS_REPLICA_H

#include <stdbool.h>
#include <stdint.h>

struct link;
struct replica;

/* Both links belong to the thread, and live as long as the program. */
struct replica *replica_new(struct link *primary, struct link *link);

/*
 * The moment (clock_ms) up to which the replica has every write that the primary has acknowledged. 0: it is not
 * known, because the replica is away or its history differs from the primary's.
 */
int64_t replica_complete_until(const struct replica *replica);

/* Whether its primary is out of reach from here. */
bool replica_is_alone(const struct replica *replica);

/*
 * To be called at the end of each turn of the loop, before the links' own ticks. Returns the ms after which it needs to be
 * called again.
 */
int32_t replica_tick(struct replica *replica);

#endif
