/*
 * Functions that read the state of a link.
 */
#include "redis/link_state.h"

const char *link_place(const struct link *link, char room[ADDRESS_PLACE_MAX])
{
    struct address place = {.db = link->address->db};
    if (link->endpoint.host[0] == '\0')
        return address_place(link->address, room);
    place.tcp = link->endpoint;
    return address_place(&place, room);
}

int link_min_replicas(const struct link *link)
{
    return link->min_replicas;
}

const struct address *link_address(const struct link *link)
{
    return link->address;
}

struct dial link_dial(const struct link *link)
{
    return (struct dial){.loop = link->dial.loop, .resolver = link->dial.resolver};
}

const struct endpoint *link_endpoint(const struct link *link)
{
    return &link->endpoint;
}

bool link_is_up(const struct link *link)
{
    return link->state == LINK_UP;
}

enum err link_check(const struct link *link)
{
    return link->state == LINK_UP ? ERR_NONE : link->cause;
}

const char *link_why(const struct link *link)
{
    return link->state == LINK_UP ? "" : link->why;
}

void link_set_opener(struct link *link, link_opener *opener, void *data)
{
    link->opener = opener;
    link->opener_data = data;
}

const struct greeting_server *link_server(const struct link *link)
{
    return &link->server;
}

bool link_has_loaded(const struct link *link)
{
    return link->cause == ERR_LOADING;
}
