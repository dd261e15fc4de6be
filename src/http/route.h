/*
 * The route table: which handler answers a method and a path, and the limits that hold before it runs.
 */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include "base/err.h"
#include "base/log.h"

#include <stdint.h>

struct request;
typedef void request_handler(struct request *request);

/* Whether a handler changes the fleet. A client's later reads see its own writes. */
enum route_effect { READS, WRITES };

/* How long a request may wait for its answer: request_timeout_ms, or quick_timeout_ms for health checks. */
enum route_patience { PATIENT, QUICK };

/* How a body comes: whole, as request->body of at most body_max bytes; or, if it is large, in pieces (http/intake.h). */
enum route_body { WHOLE, STREAMED };

/*
 * A row of the table. A row without a path ends it.
 *
 * A path is literal except for its parameters. "{name}" stands for one segment that is not empty. "{name...}" ends the path and
 * stands for all the rest, which may be empty. If several rows match, a row without a parameter wins over one with a parameter,
 * and both win over one with a rest. Of equal rows the first one wins.
 */
struct route {
    const char *method; /* "GET" takes HEAD too, ROUTE_ANY every method */
    const char *path;
    request_handler *handler;
    enum route_effect effect;
    enum route_patience patience;
    enum log_level log_level; /* the level of the log line about a request that went well */
    enum route_body body;     /* STREAMED: of any type and encoding, up to server_config.upload_max */
    size_t body_max;          /* WHOLE: bytes; 0: SERVER_BODY_MAX */
    bool exact;               /* a path with extra slashes does not match this row */
    unsigned access;          /* who may send the request; the layer that admits requests defines the values */
    const void *data;         /* for the handler */
};

#define ROUTE_ANY "ANY"

#define ROUTE_PARAMETERS_MAX 4
#define ROUTE_ALLOW_SIZE 64 /* bytes of an Allow header with all methods */

/* The part of a path for a parameter, as it came: percent-encoded. */
struct route_parameter {
    struct str name; /* absent: no more parameters */
    struct str value;
    bool is_rest;
};

/* The row for a method and a path, and the values of the path's parameters. */
struct route_match {
    const struct route *route;
    struct route_parameter parameters[ROUTE_PARAMETERS_MAX];
    char allow[ROUTE_ALLOW_SIZE]; /* with ERR_METHOD: the methods of this path, as in "GET, HEAD, OPTIONS" */
};

/*
 * Looks up a method and a path without a query. ERR_PATH_NOT_FOUND: no row has this path. ERR_METHOD: rows have it, with other
 * methods.
 */
MUST_CHECK enum err route_find(const struct route *routes, struct str method, struct str path, struct route_match *match);

#endif
