#include "auth/role.h"

static const char *const names[] = {
    [ROLE_NONE] = "none", [ROLE_VIEWER] = "viewer", [ROLE_USER] = "user", [ROLE_OPERATOR] = "operator", [ROLE_ADMIN] = "admin",
};

enum role role_from_name(struct str name)
{
    for (enum role role = ROLE_VIEWER; role <= ROLE_ADMIN; role++)
        if (str_eq(name, str_from(names[role])))
            return role;
    return ROLE_NONE;
}

const char *role_name(enum role role)
{
    return names[role];
}
