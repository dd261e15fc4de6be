/*
 * The URL under which a worker provides a service, as requests are passed on to it: http[s]://host[:port][/base]. Strangers
 * write it, so it is read strictly: a text that two readers could understand differently is refused.
 */
#ifndef UPSTREAM_TARGET_H
#define UPSTREAM_TARGET_H

#include "upstream/network.h"

#define TARGET_URL_MAX 2048 /* bytes of a URL */
#define TARGET_HOST_MAX 253 /* bytes of a host name */
#define TARGET_FINGERPRINT_SIZE 32

struct target {
    bool tls;
    bool is_address;                /* the host is `address`; else a name, which is looked up */
    bool pinned;                    /* the certificate must have `fingerprint`; its name and issuer are ignored */
    uint16_t port;                  /* always set */
    char host[TARGET_HOST_MAX + 1]; /* lower case; an address as inet_ntop writes it, without brackets */
    struct network_address address;
    unsigned char fingerprint[TARGET_FINGERPRINT_SIZE]; /* SHA-256 of the certificate's DER form */
    struct str base; /* prefix of every request's path, without a slash at its end: "" or "/a/b"; points into the URL */
};

/*
 * Reads a URL. Returns NULL, or what is wrong with it (static text: "has a user"); *target is then undefined. The URL has no
 * user, query or fragment; its host is a name of letters, digits, '-', '_' and '.', a dotted decimal IPv4 address, or an IPv6
 * address in brackets without a zone.
 */
const char *target_read(struct str url, struct target *target);

/*
 * Sets the fingerprint that the certificate must have: 64 hex digits, with or without colons between pairs. Returns false and
 * changes nothing if `hex` is not a fingerprint. For https targets.
 */
bool target_pin(struct target *target, struct str hex);

#define TARGET_AUTHORITY_MAX (TARGET_HOST_MAX + sizeof("[]:65535"))

/* Writes the value of the Host header: the host, in brackets if needed, and the port unless it is the scheme's own. */
struct str target_authority(const struct target *target, char room[TARGET_AUTHORITY_MAX]);

#endif
