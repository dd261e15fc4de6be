/*
 * Every way a request can fail, stated once: name, HTTP status, the word with which an error reply of Redis begins, the code
 * that programs go by, and whether trying again can help. A code never changes its meaning, so that programs may rely on it.
 * The sentences for people are in api/explain.c.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/str.h"

#include <stdbool.h>

#define ERR_TABLE(X)                                                                                                               \
    X(ERR_BAD_REQUEST, 400, "", "bad-request", false)                                                                              \
    X(ERR_UNAUTHENTICATED, 401, "", "unauthenticated", false)                                                                      \
    X(ERR_TOKEN_EXPIRED, 401, "", "token-expired", false)                                                                          \
    X(ERR_TOKEN_INVALID, 401, "", "token-invalid", false)                                                                          \
    X(ERR_TOKEN_REVOKED, 401, "", "token-revoked", false)                                                                          \
    X(ERR_LOGIN, 401, "", "login-refused", false)                                                                                  \
    X(ERR_FORBIDDEN, 403, "", "forbidden", false)                                                                                  \
    X(ERR_OTHERS, 403, "OTHERS", "not-your-worker", false)                                                                         \
    X(ERR_CROSS_SITE, 403, "", "cross-site", false)                                                                                \
    X(ERR_PATH_NOT_FOUND, 404, "", "path-not-found", false)                                                                        \
    X(ERR_WORKER_NOT_FOUND, 404, "NOTFOUND", "worker-not-found", false)                                                            \
    X(ERR_METHOD, 405, "", "method-not-allowed", false)                                                                            \
    X(ERR_LATE, 408, "", "request-late", true)                                                                                     \
    X(ERR_TOO_LARGE, 413, "", "body-too-large", false)                                                                             \
    X(ERR_MEDIA_TYPE, 415, "", "not-json", false)                                                                                  \
    X(ERR_ENCODED, 415, "", "body-encoded", false)                                                                                 \
    X(ERR_EXPECTATION, 417, "", "expectation-unknown", false)                                                                      \
    X(ERR_HEAD_TOO_LARGE, 431, "", "head-too-large", false)                                                                        \
    X(ERR_INVALID, 422, "", "fields-invalid", false)                                                                               \
    X(ERR_LIMITED, 429, "", "too-many-requests", true)                                                                             \
    X(ERR_INTERNAL, 500, "", "internal", false)                                                                                    \
    X(ERR_STOPPING, 503, "", "shutting-down", true)                                                                                \
    X(ERR_OVERLOADED, 503, "", "overloaded", true)                                                                                 \
    X(ERR_CROWDED, 503, "", "long-answers-crowded", true)                                                                          \
    X(ERR_STREAMS, 503, "", "too-many-streams", true)                                                                              \
    X(ERR_NO_WORKER, 503, "", "no-worker", true)                                                                                   \
    X(ERR_UNAVAILABLE, 503, "", "registry-unavailable", true)                                                                      \
    X(ERR_LOADING, 503, "LOADING", "registry-loading", true)                                                                       \
    X(ERR_BUSY, 503, "BUSY", "registry-busy", true)                                                                                \
    X(ERR_NO_SCRIPT, 503, "NOSCRIPT", "registry-script-lost", true)                                                                \
    X(ERR_READONLY, 503, "READONLY", "registry-read-only", true)                                                                   \
    X(ERR_MASTER_DOWN, 503, "MASTERDOWN", "registry-primary-lost", true)                                                           \
    X(ERR_NO_REPLICAS, 503, "NOREPLICAS", "registry-replicas-lost", true)                                                          \
    X(ERR_UNCONFIRMED, 503, "", "registry-unconfirmed", true)                                                                      \
    X(ERR_CLUSTER_DOWN, 503, "CLUSTERDOWN", "registry-cluster-down", true)                                                         \
    X(ERR_MOVED, 503, "MOVED", "registry-moved", true)                                                                             \
    X(ERR_ASK, 503, "ASK", "registry-moving", true)                                                                                \
    X(ERR_TRY_AGAIN, 503, "TRYAGAIN", "registry-divided", true)                                                                    \
    X(ERR_FULL, 503, "OOM", "registry-full", true)                                                                                 \
    X(ERR_NOT_PERMITTED, 503, "NOPERM", "registry-forbids", true)                                                                  \
    X(ERR_NO_PASSWORD, 503, "NOAUTH", "registry-wants-password", true)                                                             \
    X(ERR_WRONG_PASSWORD, 503, "WRONGPASS", "registry-refuses-password", true)                                                     \
    X(ERR_TOO_OLD, 503, "", "registry-too-old", true)                                                                              \
    X(ERR_NEWER, 503, "NEWER", "registry-newer", true)                                                                             \
    X(ERR_OLDER, 503, "OLDER", "registry-older", true)                                                                             \
    X(ERR_DISK, 503, "MISCONF", "registry-disk-failed", true)                                                                      \
    X(ERR_EXISTS, 409, "EXISTS", "name-taken", false)                                                                              \
    X(ERR_NO_SUCH, 404, "NOSUCH", "not-found", false)                                                                              \
    X(ERR_TOO_MANY, 409, "TOOMANY", "too-many", false)                                                                             \
    X(ERR_LAST_ADMIN, 409, "LASTADMIN", "last-admin", false)                                                                       \
    X(ERR_TASK_NOT_FOUND, 404, "NOTASK", "task-not-found", false)                                                                  \
    X(ERR_QUEUE_NOT_FOUND, 404, "", "queue-not-found", false)                                                                      \
    X(ERR_TASK_ENDED, 409, "", "task-ended", false)                                                                                \
    X(ERR_TASK_ALIVE, 409, "", "task-not-dead", false)                                                                             \
    X(ERR_DEDUP_TAKEN, 409, "", "dedup-key-taken", false)                                                                          \
    X(ERR_LEASE_LOST, 409, "", "lease-lost", false)                                                                                \
    X(ERR_KEY_REUSED, 422, "", "idempotency-key-reused", false)                                                                    \
    X(ERR_QUEUES_FULL, 429, "", "too-many-queues", true)                                                                           \
    X(ERR_MODEL_NOT_FOUND, 404, "", "model-not-found", false)                                                                      \
    X(ERR_SERVICE_CLOSED, 403, "", "service-closed", false)                                                                        \
    X(ERR_CLIENT_LEFT, 499, "", "client-left", false)                                                                              \
    X(ERR_UNREACHABLE, 502, "", "worker-unreachable", true)                                                                        \
    X(ERR_WORKER_FAILED, 502, "", "worker-failed", true)                                                                           \
    X(ERR_WORKER_REFUSED, 502, "", "worker-refused", false)                                                                        \
    X(ERR_OUTCOME_UNKNOWN, 502, "", "outcome-unknown", false)                                                                      \
    X(ERR_WORKER_LATE, 504, "", "worker-late", true)                                                                               \
    X(ERR_WORKER_LATE_UNKNOWN, 504, "", "worker-late-outcome-unknown", false)                                                      \
    X(ERR_LOOP, 508, "", "request-loop", false)                                                                                    \
    X(ERR_DEADLINE, 504, "", "registry-late", true)

/* The statuses of answers with their reason phrases. The metrics count each of them, and count all other statuses together. */
#define STATUS_TABLE(X)                                                                                                            \
    X(101, "Switching Protocols")                                                                                                  \
    X(200, "OK")                                                                                                                   \
    X(201, "Created")                                                                                                              \
    X(202, "Accepted")                                                                                                             \
    X(204, "No Content")                                                                                                           \
    X(206, "Partial Content")                                                                                                      \
    X(302, "Found")                                                                                                                \
    X(304, "Not Modified")                                                                                                         \
    X(308, "Permanent Redirect")                                                                                                   \
    X(400, "Bad Request")                                                                                                          \
    X(401, "Unauthorized")                                                                                                         \
    X(403, "Forbidden")                                                                                                            \
    X(404, "Not Found")                                                                                                            \
    X(405, "Method Not Allowed")                                                                                                   \
    X(406, "Not Acceptable")                                                                                                       \
    X(408, "Request Timeout")                                                                                                      \
    X(409, "Conflict")                                                                                                             \
    X(411, "Length Required")                                                                                                      \
    X(413, "Payload Too Large")                                                                                                    \
    X(414, "URI Too Long")                                                                                                         \
    X(415, "Unsupported Media Type")                                                                                               \
    X(417, "Expectation Failed")                                                                                                   \
    X(422, "Unprocessable Content")                                                                                                \
    X(429, "Too Many Requests")                                                                                                    \
    X(431, "Request Header Fields Too Large")                                                                                      \
    X(499, "Client Closed Request")                                                                                                \
    X(500, "Internal Server Error")                                                                                                \
    X(501, "Not Implemented")                                                                                                      \
    X(502, "Bad Gateway")                                                                                                          \
    X(503, "Service Unavailable")                                                                                                  \
    X(504, "Gateway Timeout")                                                                                                      \
    X(508, "Loop Detected")

enum err {
    ERR_NONE = 0,
#define X(name, status, word, code, retryable) name,
    ERR_TABLE(X)
#undef X
        ERR_COUNT
};

enum {
#define X(status, reason) STATUS_PLACE_##status,
    STATUS_TABLE(X)
#undef X
        STATUS_COUNT
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* The HTTP status of an error; 200 for ERR_NONE. */
int err_status(enum err err);

/* The code of an error, "worker-not-found"; empty for ERR_NONE. */
struct str err_code(enum err err);

/* Whether the same request may succeed later: such answers carry Retry-After. */
bool err_is_retryable(enum err err);

/* The error that an error reply of Redis means, by its first word; ERR_INTERNAL when the word is unknown. */
enum err err_from_reply(struct str reply);

/* The reason phrase of an HTTP status, "Error" for one that nobody uses. */
const char *status_reason(int status);

/* The place of a status in the table (STATUS_COUNT if it has none), and the status at a place (0 for STATUS_COUNT). */
size_t status_place(int status);
int status_at(size_t place);

#endif
