/*
 * Listens to one channel of the Redis to which a link leads. It has a connection of its own, since Redis takes no other
 * commands on one that listens. It connects when it is first needed, reconnects by itself, and follows the link to another
 * Redis.
 */
#ifndef REDIS_SUBSCRIBER_H
#define REDIS_SUBSCRIBER_H

#include "base/str.h"

#include <stdint.h>

struct link;
struct subscriber;

/*
 * Receives a message, which is valid during the call alone. An absent message says that the subscriber begins to
 * listen, for the first time or again: messages sent before may be lost.
 */
typedef void subscriber_callback(void *data, struct str message);

/* Makes a subscriber for the link's thread. It lives as long as the program. `channel` is copied. */
struct subscriber *subscriber_new(const struct link *link, struct str channel, subscriber_callback *callback, void *data);

/* Begins to listen if it does not yet. Returns whether it listens now. */
bool subscriber_listen(struct subscriber *subscriber);

/*
 * Call it at the end of each turn of the loop, before the link's tick. Returns the ms after which to call it again.
 */
int32_t subscriber_tick(struct subscriber *subscriber);

#endif
