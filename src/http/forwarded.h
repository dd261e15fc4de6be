/*
 * What proxies say in X-Forwarded-* of the client's side of a connection. Such a header is a comma list, maybe over several
 * lines; each proxy adds to its end. `lines` are its lines from first to last. `Forwarded` (RFC 7239) is not read: proxies that
 * set X-Forwarded-For pass on a `Forwarded` that a client has made up.
 */
#ifndef HTTP_FORWARDED_H
#define HTTP_FORWARDED_H

#include "base/str.h"

#define FORWARDED_LINES_MAX 16

/*
 * The client's address by X-Forwarded-For when `proxies` of them are trusted: the one that the outermost of them has added, the
 * first one where there are fewer. What is no address there is passed over for what the next proxy has added. Without port and
 * brackets; absent if there is none.
 */
struct str forwarded_client(const struct str *lines, size_t count, int proxies);

/* An address without the port ("192.0.2.1:555") and the brackets ("[::1]:80") that some proxies write; absent if it is none. */
struct str forwarded_address(struct str text);

/* The first element of a list, that of the outermost proxy; absent if there is none. */
struct str forwarded_first(const struct str *lines, size_t count);

/* The port that an element names, 1 to 65535; else 0. */
int forwarded_port(struct str text);

#endif
