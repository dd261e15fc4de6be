/*
 * Who asks, and for which URL: by the connection, and by what the proxies that TRUST_PROXY counts say.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "base/inet.h"
#include "http/request.h"

/* The client's address, in `room`. */
struct str client_address(const struct request *request, char room[INET_TEXT_MAX]);

/* The host[:port] that the client asked for; absent without one. */
struct str client_asked_host(const struct request *request);

/*
 * The URL under which the client reached this server ("http://host:8080"), in `room`: of the host that it asked for if that is
 * plain enough to be handed on, else of the address that it is connected to. Cut when it does not fit.
 */
struct str client_base_url(const struct request *request, char *room, size_t size);

#endif
