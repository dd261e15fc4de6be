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

/* Makes a measurement. Both links belong to the thread, and live as long as the program. */
struct replica *replica_new(struct link *primary, struct link *link);

/*
 * Returns the moment (clock_ms) up to which the replica has every write that the primary has acknowledged. 0: it is not
 * known, because the replica is away or its history differs from the primary's.
 */
int64_t replica_complete_until(const struct replica *replica);

/* Whether this thread can't reach the primary. */
bool replica_is_alone(const struct replica *replica);

/*
 * Call it at the end of each turn of the loop, before the ticks of the two links. Returns the ms after which to call it again.
 */
int32_t replica_tick(struct replica *replica);

#endif
