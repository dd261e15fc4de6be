/*
 * Which proxy the environment names for a request: http_proxy, https_proxy, HTTPS_PROXY, all_proxy and ALL_PROXY, but for the
 * hosts of no_proxy and NO_PROXY. As in curl, HTTP_PROXY in capitals does not count, since CGI programs may find a client's
 * header there.
 */
#ifndef CLI_PROXY_H
#define CLI_PROXY_H

#include "base/str.h"

struct proxy {
    const char *variable; /* the variable that names the proxy; NULL: there is none, and the request goes directly */
    const char *url;      /* as it stands there */
    char place[256];      /* the same for people, without user and password */
};

/* Finds the proxy for an http or https URL. A host that is this machine needs no proxy, whatever the variables say. */
void proxy_find(struct str url, struct proxy *proxy);

#endif
