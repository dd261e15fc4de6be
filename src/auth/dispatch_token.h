/*
 * Makes tokens that tell a worker on whose behalf a request is passed on to it. They are valid for a minute. They are no
 * credentials here: jwt_check refuses them.
 */
#ifndef AUTH_DISPATCH_TOKEN_H
#define AUTH_DISPATCH_TOKEN_H

#include "auth/signing_key.h"

#include <stdint.h>

#define DISPATCH_TOKEN_S 60

/*
 * Appends a token signed with the secret that workers share with this fleet, as the field's upload and rag services check it:
 * HS256, with `sub` and `exp` alone. Those services refuse a token with `aud`, and a token with `iat` or `nbf` if their clock
 * is behind ours.
 */
void dispatch_token_share(struct str secret, struct str subject, int64_t expires_at, struct buffer *out);

/* Appends a token signed by `key`, for one worker (`aud`), which checks it with the keys that we publish. */
void dispatch_token_sign(const struct signing_key *key, struct str subject, struct str worker_id, int64_t expires_at,
                         struct buffer *out);

#endif
