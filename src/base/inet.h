/*
 * IP addresses as text.
 */
#ifndef BASE_INET_H
#define BASE_INET_H

#include "base/str.h"

#include <sys/socket.h>

#define INET_TEXT_MAX 64 /* bytes; the longest address has 45 */

/* Whether `text` is an IPv4 or IPv6 address: no port, no brackets, no zone. */
bool inet_is_address(struct str text);

/*
 * Writes the address of `name` as text. An IPv4 address mapped into IPv6 becomes plain IPv4. The text is empty when
 * `len` is 0 or `name` is not an IP address.
 */
struct str inet_text(const struct sockaddr_storage *name, socklen_t len, char room[INET_TEXT_MAX]);

/*
 * Returns the text of an address as inet_text writes it, in `room`: proxies that listen for both kinds write ::ffff:192.0.2.1 for
 * 192.0.2.1. What is no IPv6 address is returned as it is.
 */
struct str inet_normal(struct str text, char room[INET_TEXT_MAX]);

/*
 * Returns the text by which limits count a client. For an IPv6 address it is the address's network (/64), in `room`, since one
 * client may use all of it. Else it is the text itself.
 */
struct str inet_client(struct str address, char room[INET_TEXT_MAX]);

#endif
