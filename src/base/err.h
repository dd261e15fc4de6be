/*
 * Every way a request can fail, stated once: name, HTTP status, the word a script's error reply begins with,
 * whether trying again can help, and the sentence a client reads when nobody has a better one.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/str.h"

#include <stdbool.h>

#define ERR_TABLE(X)                                                                                                               \
    X(ERR_BAD_REQUEST, 400, "", false, "The request could not be understood.")                                                     \
    X(ERR_NOT_FOUND, 404, "NOTFOUND", false, "Not found")                                                                          \
    X(ERR_METHOD, 405, "", false, "This path does not take that method; the Allow header lists those it takes.")                   \
    X(ERR_TOO_LARGE, 413, "", false, "The request body is larger than this path takes: 64 KiB, for bulk requests 1 MiB.")          \
    X(ERR_MEDIA_TYPE, 415, "", false, "Send the body as application/json.")                                                        \
    X(ERR_INVALID, 422, "", false, "The request has invalid fields; errors lists each of them.")                                   \
    X(ERR_INTERNAL, 500, "", false,                                                                                                \
      "The coordinator made an error; its log has a line about it and, before it, what Redis said if it was that.")                \
    X(ERR_NOT_BUILT, 501, "", false, "This coordinator does not offer that yet.")                                                  \
    X(ERR_UNAVAILABLE, 503, "", true, "The registry (Redis) is out of reach; try again shortly.")                                  \
    X(ERR_OVERLOADED, 503, "", true, "The coordinator has too many requests waiting for Redis; try again shortly.")                \
    X(ERR_CROWDED, 503, "", true, "Too many long answers are under way; ask for fewer workers with limit and cursor.")             \
    X(ERR_NO_WORKER, 503, "", true, "No live worker can do this at present.")                                                      \
    X(ERR_LOADING, 503, "LOADING", true, "Redis is loading its data; try again shortly.")                                          \
    X(ERR_BUSY, 503, "BUSY", true, "Redis is busy with a long script; try again shortly.")                                         \
    X(ERR_NO_SCRIPT, 503, "NOSCRIPT", true, "Redis keeps losing the coordinator's scripts; who calls SCRIPT FLUSH?")               \
    X(ERR_READONLY, 503, "READONLY", true, "Redis has been made a replica; the coordinator looks for the primary, try again.")     \
    X(ERR_MASTER_DOWN, 503, "MASTERDOWN", true, "Redis is a replica without its primary; try again shortly.")                      \
    X(ERR_NO_REPLICAS, 503, "NOREPLICAS", true, "Redis has too few replicas in step to take writes; try again shortly.")           \
    X(ERR_UNCONFIRMED, 503, "", true, "Too few replicas have confirmed the change, so a failover may undo it; send it again.")     \
    X(ERR_CLUSTER_DOWN, 503, "CLUSTERDOWN", true, "The Redis cluster does not serve the registry at present; try again shortly.")  \
    X(ERR_MOVED, 503, "MOVED", true, "The registry has moved to another node of the Redis cluster; try again.")                    \
    X(ERR_ASK, 503, "ASK", true, "The registry is moving to another node of the Redis cluster; try again shortly.")                \
    X(ERR_TRY_AGAIN, 503, "TRYAGAIN", true, "The registry is moving to another node of the Redis cluster; try again shortly.")     \
    X(ERR_FULL, 503, "OOM", true, "Redis has reached its memory limit; raise maxmemory.")                                          \
    X(ERR_DISK, 503, "MISCONF", true, "Redis can't write to its disk; free space on its volume.")                                  \
    X(ERR_DEADLINE, 504, "", true, "Redis did not answer in time; whether the request took effect is unknown.")

enum err {
    ERR_NONE = 0,
#define X(name, status, word, retryable, detail) name,
    ERR_TABLE(X)
#undef X
        ERR_COUNT
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* The HTTP status of an error; 200 for ERR_NONE. */
int err_status(enum err err);

/* Whether the same request may succeed later: such answers carry Retry-After. */
bool err_is_retryable(enum err err);

/* The default sentence for an error. */
const char *err_detail(enum err err);

/* The standard reason phrase of an HTTP status, "Error" for one not in use here. */
const char *err_reason(int status);

/* The error that an error reply of Redis means, by its first word; ERR_INTERNAL when the word is unknown. */
enum err err_from_reply(struct str reply);

#endif
