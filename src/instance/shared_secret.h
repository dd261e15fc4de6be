/*
 * JWT_SECRET: coordinators hand it on to workers that check with it on whose behalf a request comes (see model/catalogue.h and
 * auth/dispatch_token.h). A weak one would let anybody make such tokens.
 */
#ifndef INSTANCE_SHARED_SECRET_H
#define INSTANCE_SHARED_SECRET_H

#include "base/buffer.h"
#include "base/err.h"

/*
 * Appends JWT_SECRET, or what the file has that JWT_SECRET_FILE names; nothing when neither is set. ERR_INVALID: too weak; `why`
 * says what to do.
 */
MUST_CHECK enum err shared_secret_read(struct buffer *out, char why[256]);

#endif
