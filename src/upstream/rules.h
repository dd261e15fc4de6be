/*
 * Decides which workers' URLs may be used. Whatever an operator allows, no URL may lead to this program or to its Redis.
 */
#ifndef UPSTREAM_RULES_H
#define UPSTREAM_RULES_H

#include "upstream/target.h"

#include <stdatomic.h>

#define RULES_PORTS_MAX 32

/* Shared by all loops; constant once they run, but for redis_port_now. */
struct upstream_rules {
    struct network_list allowed;    /* UPSTREAM_ALLOW: networks beside the public ones */
    int own_ports[RULES_PORTS_MAX]; /* this program's: forbidden at every address of this machine */
    size_t own_port_count;
    int redis_ports[RULES_PORTS_MAX]; /* Redis's and its Sentinels': forbidden at every address, since their addresses change */
    size_t redis_port_count;
    atomic_int redis_port_now;          /* the port of the Redis that Sentinels or Redis named last, forbidden likewise; 0: none */
    char own_host[TARGET_HOST_MAX + 1]; /* the host of PUBLIC_URL, since such requests would come back here; empty: not known */
    int own_host_port;
    int connect_ms; /* time for connecting, if the request sets none; TLS has twice as long. 0: the default */
};

/* NULL, or why no request may go to the target at all (static text). */
const char *rules_check_target(const struct upstream_rules *rules, const struct target *target);

/* NULL, or why no request may go to that address of the target (static text). */
const char *rules_check_address(const struct upstream_rules *rules, const struct target *target,
                                const struct network_address *address);

#endif
