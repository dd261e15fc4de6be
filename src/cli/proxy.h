/*
 * Finds the proxy that the environment names for a request: in http_proxy, https_proxy, HTTPS_PROXY, all_proxy or ALL_PROXY, unless
 * no_proxy or NO_PROXY names the host. As in curl, HTTP_PROXY in capitals does not count: in a CGI program it may hold a header
 * that a client has sent.
 */
#ifndef CLI_PROXY_H
#define CLI_PROXY_H

#include "base/str.h"

struct proxy {
    const char *variable; /* the variable that names the proxy; NULL: there is none, and the request goes directly */
    const char *url;      /* the value of that variable */
    char place[256];      /* the same for people, without user and password */
};

/* Finds the proxy for an http or https URL. A host that is this machine needs no proxy, whatever the variables say. */
void proxy_find(struct str url, struct proxy *proxy);

#endif
