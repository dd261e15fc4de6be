#include "base/inet.h"

#include <arpa/inet.h>

bool inet_is_address(struct str text)
{
    char room[INET_TEXT_MAX];
    struct in6_addr address;
    if (text.len == 0 || text.len >= sizeof(room) || memchr(text.ptr, '\0', text.len) != NULL)
        return false;
    memcpy(room, text.ptr, text.len);
    room[text.len] = '\0';
    return inet_pton(AF_INET, room, &address) == 1 || inet_pton(AF_INET6, room, &address) == 1;
}

struct str inet_text(const struct sockaddr_storage *name, socklen_t len, char room[INET_TEXT_MAX])
{
    const char *text = NULL;
    if (len > 0 && name->ss_family == AF_INET6) {
        const struct in6_addr *address = &((const struct sockaddr_in6 *)(const void *)name)->sin6_addr;
        text = IN6_IS_ADDR_V4MAPPED(address) ? inet_ntop(AF_INET, &address->s6_addr[12], room, INET_TEXT_MAX)
                                             : inet_ntop(AF_INET6, address, room, INET_TEXT_MAX);
    } else if (len > 0 && name->ss_family == AF_INET) {
        text = inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)name)->sin_addr, room, INET_TEXT_MAX);
    }
    return text != NULL ? str_from(text) : STR("");
}

static bool parse_ipv6(struct str text, struct in6_addr *address)
{
    char room[INET_TEXT_MAX];
    if (text.len == 0 || text.len >= sizeof(room))
        return false;
    memcpy(room, text.ptr, text.len);
    room[text.len] = '\0';
    return inet_pton(AF_INET6, room, address) == 1;
}

struct str inet_normal(struct str text, char room[INET_TEXT_MAX])
{
    struct sockaddr_storage name = {.ss_family = AF_INET6};
    bool is_ipv6 = parse_ipv6(text, &((struct sockaddr_in6 *)(void *)&name)->sin6_addr);
    return is_ipv6 ? inet_text(&name, sizeof(name), room) : text;
}

struct str inet_client(struct str address, char room[INET_TEXT_MAX])
{
    struct in6_addr network;
    if (!parse_ipv6(address, &network))
        return address;
    memset(&network.s6_addr[8], 0, 8);
    return str_from(inet_ntop(AF_INET6, &network, room, INET_TEXT_MAX));
}
