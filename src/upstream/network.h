/*
 * Decides to which addresses a request may be passed on. Strangers write workers' URLs. So a URL must not lead to this machine,
 * its network or a cloud's metadata service, unless the operator allows it.
 */
#ifndef UPSTREAM_NETWORK_H
#define UPSTREAM_NETWORK_H

#include "base/err.h"
#include "base/str.h"

#include <netinet/in.h>
#include <stdint.h>

/* An IPv6 address; an IPv4 address is one in ::ffff:0:0/96. */
struct network_address {
    unsigned char bytes[16];
};

/* A network of addresses: those that share the first `bits` bits. */
struct network {
    struct network_address address;
    int bits;
};

#define NETWORKS_MAX 64

/* The networks that an operator allows beside the public ones. */
struct network_list {
    struct network networks[NETWORKS_MAX];
    size_t count;
};

/* The kinds of addresses. */
enum network_verdict {
    NETWORK_PUBLIC,    /* all others: always */
    NETWORK_PRIVATE,   /* loopback, private, shared (CGNAT), unique local: only if the list allows it */
    NETWORK_FORBIDDEN, /* unspecified, link-local, multicast, reserved: never */
};

/* Reads the address of a socket; false for other families. */
bool network_address_read(const struct sockaddr *sockaddr, struct network_address *out);

/* Writes the address of a socket; returns its length. */
socklen_t network_address_write(const struct network_address *address, uint16_t port, struct sockaddr_storage *out);

/* Whether it is a loopback address. */
bool network_is_loopback(const struct network_address *address);

/*
 * Returns the kind of an address. An IPv6 address with an IPv4 address in it (compatible, NAT64, 6to4, Teredo, SIIT) is forbidden
 * if that IPv4 address is not public. A mapped address has the kind of its IPv4 address.
 */
enum network_verdict network_classify(const struct network_address *address);

/* Whether a request may go to the address. */
bool network_is_allowed(const struct network_address *address, const struct network_list *allowed);

/*
 * Reads a comma list of networks ("10.0.0.0/8, fd00::/8, 127.0.0.1"). ERR_INVALID: *why (static text) says what is wrong with
 * the entry *entry. Bits after the prefix must be 0. An entry may not lie in a network that is always forbidden.
 */
MUST_CHECK enum err network_list_read(struct str text, struct network_list *out, struct str *entry, const char **why);

#endif
