/*
 * JWT_SECRET: coordinators hand it on to workers that check the tokens of users with it (see model/catalogue.h). A weak one would
 * let anybody make such tokens.
 */
#ifndef INSTANCE_SHARED_SECRET_H
#define INSTANCE_SHARED_SECRET_H

#include "base/err.h"

/* Looks at JWT_SECRET, or the file that JWT_SECRET_FILE names, if they are set. ERR_INVALID: too weak; `why` says what to do. */
MUST_CHECK enum err shared_secret_check(char why[256]);

#endif
