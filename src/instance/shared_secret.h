/*
 * JWT_SECRET. Coordinators give it to workers, which use it to check on whose behalf a request comes (see model/catalogue.h and
 * auth/dispatch_token.h). If it were weak, anybody could make such tokens.
 */
#ifndef INSTANCE_SHARED_SECRET_H
#define INSTANCE_SHARED_SECRET_H

#include "base/buffer.h"
#include "base/err.h"

/*
 * Appends JWT_SECRET, or the content of the file that JWT_SECRET_FILE names; nothing if neither is set. ERR_INVALID: it is too
 * weak; `why` says what to do.
 */
MUST_CHECK enum err shared_secret_read(struct buffer *out, char why[256]);

#endif
