/*
 * Follows the stream of events about workers, whichever instance caused them. A follower begins with the first event after its
 * start and asks for new ones every 200 ms. It tells its caller when events were trimmed from the stream before it read them.
 */
#ifndef STORE_FOLLOW_H
#define STORE_FOLLOW_H

#include "store/store.h"

#define FOLLOW_READ_MAX 500 /* events read at once */

struct follower;

struct follow_callbacks {
    store_event_callback *event; /* a new event, in order; valid during the call alone */
    void (*lost)(void *data);    /* events were lost before the next one: load what you show of the fleet again */
    void (*read)(void *data);    /* all events of a reply have been told */
};

/* Makes a follower, which is stopped at first. It lives as long as the program. */
struct follower *follower_new(struct store *store, const struct follow_callbacks *callbacks, void *data);

/* Starts to follow, with the next event; or stops, and forgets its place. */
void follower_start(struct follower *follower);
void follower_stop(struct follower *follower);

/* Sets *out to the id of the last event that was told, or of the newest one at the start. Returns false while it is not known. */
bool follower_newest(const struct follower *follower, struct event_id *out);

/* Call it at the end of each turn of the loop. Returns the ms until its next call if nothing happens before. */
int32_t follower_tick(struct follower *follower);

#endif
