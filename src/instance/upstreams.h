/*
 * Reads from the settings to which addresses requests may be passed on.
 */
#ifndef INSTANCE_UPSTREAMS_H
#define INSTANCE_UPSTREAMS_H

#include "base/err.h"

struct instance;

/* Reads UPSTREAM_ALLOW and UPSTREAM_CONNECT_MS. On ERR_INVALID `why` is one line that says what is wrong. */
MUST_CHECK enum err upstreams_configure(struct instance *instance, char why[256]);

/* Forbids the addresses of this program, once its port and its Redis are known. */
void upstreams_forbid_own(struct instance *instance);

#endif
