/*
 * Where Redis is: redis://[user:password@]host[:port][/db], or unix:///path[?db=N].
 */
#ifndef REDIS_ADDRESS_H
#define REDIS_ADDRESS_H

#include "base/err.h"

#define ADDRESS_HOST_MAX 255
#define ADDRESS_PATH_MAX 107 /* what fits a sockaddr_un */
#define ADDRESS_SECRET_MAX 512

struct address {
    char host[ADDRESS_HOST_MAX + 1]; /* a name or a numeric address; empty for a unix socket */
    int port;
    char path[ADDRESS_PATH_MAX + 1]; /* of the unix socket */
    char user[ADDRESS_SECRET_MAX + 1];
    char password[ADDRESS_SECRET_MAX + 1];
    int db;
};

/* Parses a REDIS_URL. On ERR_INVALID, *why says what is wrong with it (static text, without its secrets). */
MUST_CHECK enum err address_parse(struct str url, struct address *out, const char **why);

#define ADDRESS_PLACE_MAX (ADDRESS_HOST_MAX + sizeof("[]:65535/1000000")) /* more than a path and its database take */

/*
 * Writes where it is into `room`, for the log, and returns that: "127.0.0.1:6379", "[fdaa::3]:6379/2", "/run/redis.sock",
 * "/run/redis.sock?db=2". Never a secret.
 */
const char *address_place(const struct address *address, char room[ADDRESS_PLACE_MAX]);

#endif
