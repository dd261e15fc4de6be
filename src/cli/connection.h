/*
 * A blocking connection to Redis, for commands that do one thing and end.
 */
#ifndef CLI_CONNECTION_H
#define CLI_CONNECTION_H

#include "base/buffer.h"
#include "cli/transfer.h"

struct redisContext;
struct redisReply;
struct embedded;

struct connection {
    struct redisContext *redis;
    struct embedded *embedded; /* the server in DATA_DIR, if this command started it */
    char place[ADDRESS_PLACE_MAX];
    char *why; /* where to say what is wrong, in TRANSFER_WHY_MAX bytes */
};

/*
 * Connects to the Redis of REDIS_URL, or to the embedded one of DATA_DIR: that of the coordinator that runs there, or else one
 * started for the time being. `why` is used until it is closed. Release it with connection_close in any case.
 */
MUST_CHECK enum err connection_open(struct connection *connection, const struct transfer *transfer, char why[TRANSFER_WHY_MAX]);

/* Ends it, and the server if it was started for it. */
void connection_close(struct connection *connection);

/* Queues a command, whose bytes are taken out of `command`. */
void connection_send(struct connection *connection, struct buffer *command);

/* Sends the queued commands without waiting for a reply. An error shows at the next receive. */
void connection_flush(struct connection *connection);

/*
 * The reply to the oldest command that has none yet; release it with freeReplyObject. NULL, with connection->why set, when the
 * connection is lost or Redis refuses the command.
 */
struct redisReply *connection_receive(struct connection *connection);

/* Sends one command and waits for its reply. */
struct redisReply *connection_ask(struct connection *connection, struct buffer *command);

#endif
