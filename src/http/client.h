/*
 * Finds out who sent a request, and to which URL: from the connection, and from the headers of the TRUST_PROXY nearest proxies.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "base/inet.h"
#include "http/request.h"

/* The client's address, in `room`. */
struct str client_address(const struct request *request, char room[INET_TEXT_MAX]);

/* The host[:port] that the client asked for; absent if it named none. */
struct str client_asked_host(const struct request *request);

/*
 * Writes the URL under which the client reached this server ("http://host:8080") into `room`. Its host is the one that the
 * client asked for, if that name only has plain characters, else the address to which the client is connected. The URL is cut
 * when it does not fit.
 */
struct str client_base_url(const struct request *request, char *room, size_t size);

#endif
