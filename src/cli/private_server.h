/*
 * A server for this process alone. A command without a coordinator's URL starts it and asks it; it uses the fleet's Redis. So all
 * commands send HTTP requests, with or without a coordinator.
 */
#ifndef CLI_PRIVATE_SERVER_H
#define CLI_PRIVATE_SERVER_H

#include "base/err.h"
#include "redis/address.h"

#include <stddef.h>

#define PRIVATE_SERVER_URL_MAX 64

/*
 * Starts the server on a free port of 127.0.0.1, with the Redis of REDIS_URL or else of DATA_DIR; `flags` win over the
 * environment (see config_read). Writes its URL, and where Redis is. ERR_BAD_REQUEST: the flags are wrong. ERR_INVALID: it
 * can't start; `why` says why. Call it at most once in the life of the program.
 */
MUST_CHECK enum err private_server_start(char **flags, char url[PRIVATE_SERVER_URL_MAX], char place[ADDRESS_PLACE_MAX],
                                         char why[256]);

/* The token that a request to it must carry, since other users of this machine can reach it, too. */
const char *private_server_token(void);

void private_server_stop(void);

#endif
