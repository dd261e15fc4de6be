/*
 * Lists of this server's host names, as a setting has them: names with commas between. Case and ports are ignored,
 * both in the list and in the name that is looked up.
 */
#ifndef BASE_HOSTS_H
#define BASE_HOSTS_H

#include "base/str.h"

/* Whether each element is a name or an address, perhaps with a port ("api.example", "[::1]:8080"); an empty list is fine. */
bool hosts_are_valid(struct str list);

/* Whether the list has `host`, the value of a Host header. An absent host is in no list. */
bool hosts_have(struct str list, struct str host);

#endif
