#include "instance/upstreams.h"

#include "instance/instance.h"

#include <stdio.h>

enum err upstreams_configure(struct instance *instance, char why[256])
{
    struct upstream_rules *rules = &instance->upstream_rules;
    struct str entry;
    const char *fault;
    rules->connect_ms = instance->config.number[CONFIG_UPSTREAM_CONNECT_MS];
    if (network_list_read(instance->config.text[CONFIG_UPSTREAM_ALLOW], &rules->allowed, &entry, &fault) == ERR_NONE)
        return ERR_NONE;
    snprintf(why, 256, "UPSTREAM_ALLOW: \"%.*s\" %s; it takes networks with commas between, as in 10.0.0.0/8,fd00::/8",
             entry.len < 64 ? (int)entry.len : 64, entry.ptr, fault);
    return ERR_INVALID;
}

static void add_port(int ports[RULES_PORTS_MAX], size_t *count, int port)
{
    if (port > 0 && *count < RULES_PORTS_MAX)
        ports[(*count)++] = port;
}

static void forbid_redis(struct upstream_rules *rules, const struct address *address)
{
    if (address->tcp.host[0] != '\0')
        add_port(rules->redis_ports, &rules->redis_port_count, address->tcp.port);
    for (size_t i = 0; i < address->sentinel_count; i++)
        add_port(rules->redis_ports, &rules->redis_port_count, address->sentinels[i].port);
}

void upstreams_forbid_own(struct instance *instance)
{
    struct upstream_rules *rules = &instance->upstream_rules;
    struct target public;
    add_port(rules->own_ports, &rules->own_port_count, instance->port);
    add_port(rules->own_ports, &rules->own_port_count, instance->config.number[CONFIG_METRICS_PORT]);
    forbid_redis(rules, &instance->address);
    if (instance->has_replica)
        forbid_redis(rules, &instance->replica_address);
    if (instance->public_url.len > 0 && target_read(buffer_str(&instance->public_url), &public) == NULL) {
        snprintf(rules->own_host, sizeof(rules->own_host), "%s", public.host);
        rules->own_host_port = public.port;
    }
}
