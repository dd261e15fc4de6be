/*
 * The addresses that a worker tells in a registration or a heartbeat, and the address from which its request came.
 */
#ifndef MODEL_WHEREABOUTS_H
#define MODEL_WHEREABOUTS_H

#include "base/buffer.h"
#include "base/faults.h"

struct cJSON;

#define WHEREABOUTS_MAX 2048 /* bytes of an address or URL in a request */

struct whereabouts {
    /* In their normal form; absent if not told. */
    struct str ip_address;  /* a host or a URL: agents send URLs here, too */
    struct str tunnel_url;  /* a URL */
    struct str told_tunnel; /* the tunnel's URL as it came, if that differs; points into the document */
    struct str vpn_ip;      /* like ip_address */
    int port;               /* told with vpn_ip or ip_address; 0: not told */
    /* Known after whereabouts_settle. */
    struct str caller; /* the address from which the request came; absent if it has none */
    bool is_taken;     /* no address was told: ip_address is the caller's */
    struct str origin; /* the address that is part of the worker's fingerprint */

    struct buffer text; /* owned: the normal forms */
};

/*
 * Reads ip_address, vpn_ip and tunnel_url of `root`. Addresses that can't be used are left out and named in *ignored. A value
 * that is not a string, is too long or has control characters goes to *faults. Texts that stand for nothing are absent. Release
 * with whereabouts_fini.
 */
void whereabouts_read(struct whereabouts *where, const struct cJSON *root, struct faults *ignored, struct faults *faults);

/* Reads the tunnel from a member of another name, unless it is known already. */
void whereabouts_read_tunnel(struct whereabouts *where, const struct cJSON *root, const char *name, struct faults *ignored,
                             struct faults *faults);

/*
 * Makes `caller`, the address from which the request came, the ip_address if the worker told none that others can reach. Leaves
 * out addresses that only the worker's own machine can reach, unless the request came from there. `caller` must outlive *where.
 */
void whereabouts_settle(struct whereabouts *where, struct str caller, struct faults *ignored);

void whereabouts_fini(struct whereabouts *where);

#endif
