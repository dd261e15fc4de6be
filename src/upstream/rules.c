#include "upstream/rules.h"

#include <sys/socket.h>
#include <unistd.h>

static bool has_port(const int ports[], size_t count, int port)
{
    for (size_t i = 0; i < count; i++)
        if (ports[i] == port)
            return true;
    return false;
}

const char *rules_check_target(const struct upstream_rules *rules, const struct target *target)
{
    if (has_port(rules->redis_ports, rules->redis_port_count, target->port) || rules->redis_port_now == target->port)
        return "the port is Redis's";
    if (target->port == rules->own_host_port && strcmp(rules->own_host, target->host) == 0)
        return "the host is this coordinator's own";
    return NULL;
}

/*
 * Whether it is an address of this machine. The kernel is asked, since addresses change: for a destination on this machine it
 * chooses the same address as the source. Connecting a datagram socket sends nothing.
 */
static bool is_own(const struct network_address *address, int port)
{
    struct sockaddr_storage to, from;
    socklen_t len = sizeof(from);
    struct network_address source;
    socklen_t size = network_address_write(address, (uint16_t)port, &to);
    int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return true; /* it can't be found out, so the address counts as our own */
    bool reached = connect(fd, (struct sockaddr *)&to, size) == 0 && getsockname(fd, (struct sockaddr *)&from, &len) == 0;
    close(fd);
    return reached && network_address_read((struct sockaddr *)&from, &source) && memcmp(&source, address, sizeof(source)) == 0;
}

const char *rules_check_address(const struct upstream_rules *rules, const struct target *target,
                                const struct network_address *address)
{
    if (!network_is_allowed(address, &rules->allowed))
        return network_classify(address) == NETWORK_PRIVATE
                   ? "the address is in a private network that UPSTREAM_ALLOW does not have"
                   : "the address is one that no request goes to";
    if (has_port(rules->own_ports, rules->own_port_count, target->port) &&
        (network_is_loopback(address) || is_own(address, target->port)))
        return "the address and port are this coordinator's own";
    return NULL;
}
