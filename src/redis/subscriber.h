/*
 * Listens to one channel of the Redis that a link leads to, over a connection of its own: on one that listens, Redis takes no
 * other commands. It connects when it is first wanted, and comes back by itself, wherever the link goes.
 */
#ifndef REDIS_SUBSCRIBER_H
#define REDIS_SUBSCRIBER_H

#include "base/str.h"

#include <stdint.h>

struct link;
struct subscriber;

/*
 * Receives a message, valid during the call alone; an absent one says that it listens, now or again: what was said before may
 * be lost.
 */
typedef void subscriber_callback(void *data, struct str message);

/* Belongs to the link's thread, and lives as long as the program. `channel` is copied. */
struct subscriber *subscriber_new(const struct link *link, struct str channel, subscriber_callback *callback, void *data);

/* Begins to listen, if it does not yet; returns whether it listens at present. */
bool subscriber_listen(struct subscriber *subscriber);

/*
 * To be called at the end of each turn of the loop, before the link's own. Returns the ms after which it needs to be called
 * again.
 */
int32_t subscriber_tick(struct subscriber *subscriber);

#endif
