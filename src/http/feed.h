/*
 * Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): everything appended to a feed is sent to
 * all its streams, from one copy in memory. A client that falls too far behind is dropped. It may come back and ask for the
 * events that it has missed.
 *
 *                  appended              its turn
 *          IDLE -------------> READY ----------------> SENDING ---- too far behind ----> DROPPED
 *            ^                   ^        sent, and there is more      |
 *            |                   +-------------------------------------+
 *            +------------------- sent, and there is no more ----------+
 *
 * A feed belongs to one thread.
 */
#ifndef HTTP_FEED_H
#define HTTP_FEED_H

#include "base/buffer.h"
#include "http/request.h"

#define FEED_BEHIND_MAX (256 * 1024) /* bytes that a client may be behind */

struct feed;

/* Makes a feed for the streams of a thread; it lives as long as the program. */
struct feed *feed_new(struct server_thread *thread);

/* Returns the number of open streams. */
size_t feed_count(const struct feed *feed);

/* Returns how many more streams are allowed: half of all connections are kept for other requests. */
size_t feed_room(const struct feed *feed);

/* Answers a request with a stream: `first`, whose bytes are taken, and then everything that is appended from now on. */
void feed_join(struct feed *feed, struct request *request, struct buffer *first);

/* Ends the stream of that request, if it is open. */
void feed_leave(struct feed *feed, const struct request *request);

/* Appends to the feed; the bytes of `text` are taken. */
void feed_append(struct feed *feed, struct buffer *text);

/* Ends all streams. Data that was not sent yet is not sent. */
void feed_end(struct feed *feed);

/* Sends to some of the streams. Call it at the end of each turn of the loop. Returns the ms until the next call. */
int32_t feed_tick(struct feed *feed);

#endif
