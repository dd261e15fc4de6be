/*
 * The path of a request on its way to a worker: byte for byte what the client sent, behind the worker's own base path.
 */
#ifndef API_PROXY_TARGET_H
#define API_PROXY_TARGET_H

#include "base/buffer.h"

/*
 * Checks that no server reads a path differently or leaves the base path with it. Refuses a ".." segment in any spelling
 * ("%2e%2e", "..%2f", "..\") and a fragment. Returns NULL, or the sentence that says what is wrong.
 */
const char *proxy_check_path(struct str path, struct str query);

/* What a request's path becomes at the worker: base, `to`, then `rest`. */
struct proxy_target {
    struct str to;    /* the worker's prefix, in place of the public one; "" or "/v1/chat" */
    struct str rest;  /* of the path behind the public prefix and a slash, as it came; absent: the path ended there */
    struct str query; /* as it came; absent: there was no '?' */
};

/* Appends a target. `base` is the path of the worker's URL, without a slash at its end. */
void proxy_write_target(struct buffer *out, struct str base, const struct proxy_target *target);

/*
 * Where a Location of a worker leads: absent when it leads to no path of the worker's own authority ("http://10.0.0.7:8102/x"),
 * and the client is told what the worker said; else the public path, in `room`. `prefix` is the public path in place of base and
 * `to`.
 */
struct str proxy_public_location(struct str location, struct str authority, struct str base, struct str to, struct str prefix,
                                 struct buffer *room);

#endif
