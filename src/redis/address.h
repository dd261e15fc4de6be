/*
 * The address of a Redis: redis://[user:password@]host[:port][/db], unix://[user:password@]/path, or, with Sentinels,
 * redis+sentinel://[user:password@]host[:port],host[:port]…/primary[?sentinel_user=U&sentinel_password=P]. Each may
 * have ?db=N, user= and password=. All parts are percent-encoded.
 */
#ifndef REDIS_ADDRESS_H
#define REDIS_ADDRESS_H

#include "base/err.h"

#define ADDRESS_HOST_MAX 255
#define ADDRESS_PATH_MAX 107 /* what fits a sockaddr_un */
#define ADDRESS_SECRET_MAX 512
#define ADDRESS_PRIMARY_MAX 128
#define ADDRESS_SENTINELS_MAX 9

struct endpoint {
    char host[ADDRESS_HOST_MAX + 1]; /* a name or a numeric address */
    int port;
};

struct address {
    struct endpoint tcp;             /* the host is empty for a unix socket and with Sentinels */
    char path[ADDRESS_PATH_MAX + 1]; /* of the unix socket */
    char user[ADDRESS_SECRET_MAX + 1];
    char password[ADDRESS_SECRET_MAX + 1];
    int db;
    bool replica;                          /* it is only read from, and need be no primary */
    char primary[ADDRESS_PRIMARY_MAX + 1]; /* the Sentinels' name for the primary; empty: there are no Sentinels */
    struct endpoint sentinels[ADDRESS_SENTINELS_MAX];
    size_t sentinel_count;
    char sentinel_user[ADDRESS_SECRET_MAX + 1];
    char sentinel_password[ADDRESS_SECRET_MAX + 1];
};

/* Parses a REDIS_URL. On ERR_INVALID, *why says what is wrong (static text, without secrets). */
MUST_CHECK enum err address_parse(struct str url, struct address *out, const char **why);

/* Whether the address has a user, a password, or both. */
bool address_has_secret(const struct address *address);

#define ADDRESS_PLACE_MAX (ADDRESS_HOST_MAX + sizeof("[]:65535/1000000")) /* enough for a path and its database */

/*
 * Writes the place of the Redis into `room`, for the log, and returns it: "127.0.0.1:6379", "[fdaa::3]:6379/2",
 * "/run/redis.sock", "/run/redis.sock?db=2", "sentinel:primary/2". Never a secret.
 */
const char *address_place(const struct address *address, char room[ADDRESS_PLACE_MAX]);

/* Writes the place of a server in the same way: "127.0.0.1:6379", "[fdaa::3]:6379". */
const char *endpoint_place(const struct endpoint *endpoint, char room[ADDRESS_PLACE_MAX]);

/* Whether two places have the same text for the host, and the same port. */
bool endpoint_eq(const struct endpoint *a, const struct endpoint *b);

/*
 * Reads "host:port" as Redis writes it, an IPv6 address without brackets. An empty host leaves out->host as it is.
 * Returns false, and leaves *out as it is, when the text has another form.
 */
bool endpoint_read(struct str text, struct endpoint *out);

#endif
