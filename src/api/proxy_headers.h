/*
 * The headers of requests on their way to a worker, and of its answers on their way back.
 *
 * Workers are not trusted. A worker gets neither the client's cookies nor its credentials, and its headers can't change the
 * origin with which the client talks. Headers that belong to one connection (RFC 9110, section 7.6.1) are not passed on, in
 * both directions.
 *
 * Names are compared without regard to case, and '_' counts as '-': some servers take X_Forwarded_For for X-Forwarded-For.
 */
#ifndef API_PROXY_HEADERS_H
#define API_PROXY_HEADERS_H

#include "base/buffer.h"
#include "http/request.h"

#define PROXY_NAME "rma-coordinator" /* in Via */
#define PROXY_HOPS_MAX 4             /* coordinators through which a request may come; more mean that it goes in circles */
#define PROXY_CONNECTION_LINES_MAX 8

/* The names in the lines of Connection. */
struct proxy_connection {
    struct str lines[PROXY_CONNECTION_LINES_MAX];
    size_t count;
};

/* Adds one line of Connection. False: there are too many. */
bool proxy_add_connection(struct proxy_connection *connection, struct str value);

/* The trust that the catalogue gives to a service. */
struct proxy_trust {
    bool cookies;       /* it gets cookies, but not ours, and may set some */
    bool authorization; /* it gets an Authorization that is not ours */
};

/*
 * Whether a header goes to the worker as it came. True also for Cookie if the service is trusted with cookies; its value then
 * goes through proxy_write_cookies.
 */
bool proxy_goes_up(struct str name, const struct proxy_connection *connection, const struct proxy_trust *trust);

/* Whether a header goes to the client as it came. Other functions decide about Content-Type and Location. */
bool proxy_comes_down(struct str name, struct str value, const struct proxy_connection *connection,
                      const struct proxy_trust *trust);

/* Appends the cookies of a Cookie header without our own; appends nothing if there are no others. */
void proxy_write_cookies(struct buffer *out, struct str cookies);

/* Returns how many coordinators a line of Via names. */
size_t proxy_count_hops(struct str via);

/* Whether `traceparent` is one (W3C Trace Context, version 00). */
bool proxy_is_trace(struct str traceparent);

/*
 * Whether a browser could run an answer of that type as a page of this origin. Such answers get a Content-Security-Policy that
 * gives them an origin of their own.
 */
bool proxy_is_page(struct str type);

/* Whether a proxy in front of us would send the request elsewhere because of the type. */
bool proxy_is_replay(struct str type);

/* The parts of a request's head. */
struct proxy_head {
    struct str method;
    struct str authority; /* the worker's */
    const struct request_field *fields;
    size_t count;
    const struct proxy_connection *connection;
    const struct proxy_trust *trust;
    struct str address, scheme, host, prefix; /* the client's address; scheme, host and prefix of the public URL */
    struct str front;                         /* the path in front of the prefix: see proxy_front */
    struct str request_id;
    struct str trace;         /* the traceparent to send if the client sent no valid one */
    struct str authorization; /* the value to send; absent: the client's, if the service is trusted with it */
    struct str length;        /* the value of Content-Length; absent: no body, or chunks */
    struct str type;          /* Content-Type, in place of the client's; absent: the client's */
    bool chunked;
    struct str upgrade; /* the protocol; absent: none */
};

/* Appends all headers and the empty line after them. The request line is the caller's. */
void proxy_write_head(struct buffer *out, const struct proxy_head *head);

#endif
