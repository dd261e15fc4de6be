/*
 * Reads what proxies tell about the client in X-Forwarded-*. Such a header is a comma list, which may have several lines. Each
 * proxy adds to its end. `lines` are its lines from first to last. `Forwarded` (RFC 7239) is not read: proxies that set
 * X-Forwarded-For pass on a `Forwarded` that a client has made up.
 */
#ifndef HTTP_FORWARDED_H
#define HTTP_FORWARDED_H

#include "base/str.h"

#define FORWARDED_LINES_MAX 16

/*
 * The client's address by X-Forwarded-For when `proxies` proxies are trusted. It is the element that the outermost of them has
 * added, or the first element when there are fewer. An element that is no address is passed over for the one that the next
 * proxy has added. The address has no port and no brackets. It is absent if there is none.
 */
struct str forwarded_client(const struct str *lines, size_t count, int proxies);

/* An address without the port ("192.0.2.1:555") and the brackets ("[::1]:80") that some proxies write; absent if it is none. */
struct str forwarded_address(struct str text);

/* The first element of a list, that of the outermost proxy; absent if there is none. */
struct str forwarded_first(const struct str *lines, size_t count);

/* The port that an element names, 1 to 65535; else 0. */
int forwarded_port(struct str text);

#endif
