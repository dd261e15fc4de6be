/*
 * Reads what proxies tell about the client in X-Forwarded-*. Such a header is a comma list, which may have several lines. Each
 * proxy appends to it. `lines` are its lines from first to last. `Forwarded` (RFC 7239) is not read, since proxies that set
 * X-Forwarded-For pass on a `Forwarded` that a client has invented.
 */
#ifndef HTTP_FORWARDED_H
#define HTTP_FORWARDED_H

#include "base/str.h"

#define FORWARDED_LINES_MAX 16

/*
 * The client's address by X-Forwarded-For when `proxies` proxies are trusted: the element that the outermost of them has added,
 * or the first element if there are fewer. If that is not an address, the element that the next proxy has added counts, and so
 * on. The result has no port and no brackets; it is absent if there is no address.
 */
struct str forwarded_client(const struct str *lines, size_t count, int proxies);

/*
 * The address in an element, without the port ("192.0.2.1:555") and the brackets ("[::1]:80") that some proxies write; absent
 * if the element is not an address.
 */
struct str forwarded_address(struct str text);

/* The first element of a list, which the outermost proxy has written; absent if the list is empty. */
struct str forwarded_first(const struct str *lines, size_t count);

/* The port that an element names, 1 to 65535; 0 if it names none. */
int forwarded_port(struct str text);

#endif
