/*
 * A setting's list of this server's host names, with commas between. Case and ports don't matter, neither in the list nor in
 * the name that is looked up.
 */
#ifndef BASE_HOSTS_H
#define BASE_HOSTS_H

#include "base/str.h"

/* Whether each element is a name or an address, perhaps with a port ("api.example", "[::1]:8080"); an empty list is fine. */
bool hosts_are_valid(struct str list);

/* Whether the list has `host`, as a Host header has it; an absent one is in no list. */
bool hosts_have(struct str list, struct str host);

#endif
