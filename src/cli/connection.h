/*
 * A blocking connection to Redis, for commands that do one thing and then end.
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
    char *why;        /* where to say what is wrong, in TRANSFER_WHY_MAX bytes */
    enum err refusal; /* what the last reply stands for, if it was an error; else ERR_NONE */
};

/*
 * Checks that there is a Redis to read from: REDIS_URL is set, or a coordinator has served from DATA_DIR. For commands that only
 * read: without either, connection_open would start a new Redis, which has nothing. ERR_INVALID: `why` says what to set.
 */
MUST_CHECK enum err connection_find_data(const struct config *config, char why[TRANSFER_WHY_MAX]);

/*
 * Connects to the Redis of REDIS_URL, or to the private one of DATA_DIR. If no coordinator runs there, it starts that server
 * for as long as the connection lasts. `why` must live until connection_close, which is needed in any case.
 */
MUST_CHECK enum err connection_open(struct connection *connection, const struct transfer *transfer, char why[TRANSFER_WHY_MAX]);

/* Closes the connection, and ends the server if it was started for the connection. */
void connection_close(struct connection *connection);

/* Queues a command, and takes its bytes out of `command`. */
void connection_send(struct connection *connection, struct buffer *command);

/* Sends the queued commands without waiting for a reply. The next receive reports an error. */
void connection_flush(struct connection *connection);

/*
 * Returns the reply to the oldest command without one; release it with freeReplyObject. NULL, with connection->why set, if the
 * connection is lost or Redis refuses the command.
 */
struct redisReply *connection_receive(struct connection *connection);

/* Sends one command and waits for its reply. */
struct redisReply *connection_ask(struct connection *connection, struct buffer *command);

#define CONNECTION_CURSOR_MAX 24

/*
 * Reads a page of the keys that begin with `prefix`, by SCAN, or of the members of `key` that do, by HSCAN or ZSCAN: `command` says
 * which. `cursor` is "0" at first, and becomes that of the next page, "0" after the last. Returns the reply, whose element[1] is
 * the page, an array; release it with freeReplyObject. NULL: as connection_receive.
 */
struct redisReply *connection_scan(struct connection *connection, const char *command, struct str key, struct str prefix,
                                   char cursor[CONNECTION_CURSOR_MAX]);

#endif
