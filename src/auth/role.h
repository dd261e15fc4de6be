/*
 * What people and programs may do. Each role may do everything that the roles before it may do. Workers have no role: a worker
 * acts for itself alone.
 */
#ifndef AUTH_ROLE_H
#define AUTH_ROLE_H

#include "base/str.h"

enum role {
    ROLE_NONE, /* no role: a stranger */
    ROLE_VIEWER,
    ROLE_USER,
    ROLE_OPERATOR,
    ROLE_ADMIN,
};

/* Returns the role of that name; ROLE_NONE if there is none. */
enum role role_from_name(struct str name);

/* Returns the name of a role: "viewer" and so on; "none" for ROLE_NONE. */
const char *role_name(enum role role);

#endif
