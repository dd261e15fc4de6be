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

/* The host or the path, for the log: never a secret. */
const char *address_place(const struct address *address);

#endif
