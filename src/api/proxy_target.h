/*
 * The path of a request on its way to a worker: byte for byte what the client sent, behind the worker's own base path.
 */
#ifndef API_PROXY_TARGET_H
#define API_PROXY_TARGET_H

#include "base/buffer.h"

/*
 * Checks that every server reads the path alike, and that the path can't lead out of the base path. Refuses a ".." segment in any
 * spelling ("%2e%2e", "..%2f", "..\") and a fragment. Returns NULL, or the sentence that says what is wrong.
 */
const char *proxy_check_path(struct str path, struct str query);

/* The parts of a request's path at the worker, in this order, after the base path of the worker's URL. */
struct proxy_target {
    struct str to;    /* the prefix that replaces the public one: "" or "/v1/chat" */
    struct str rest;  /* what followed the public prefix and a slash, as it came; absent: the path ended with the prefix */
    struct str query; /* as it came; absent: there was no '?' */
};

/* Appends a target. `base` is the path of the worker's URL, without a slash at its end. */
void proxy_write_target(struct buffer *out, struct str base, const struct proxy_target *target);

/*
 * Translates a worker's Location into the public path: if it begins with the worker's own URL ("http://10.0.0.7:8102" + base +
 * `to`, perhaps without the scheme), `prefix` replaces that beginning. The result is in `room`. It is absent for any other
 * Location, which the client gets unchanged.
 */
struct str proxy_public_location(struct str location, struct str authority, struct str base, struct str to, struct str prefix,
                                 struct buffer *room);

#endif
