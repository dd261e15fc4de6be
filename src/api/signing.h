/*
 * The key that signs tokens, for handlers that issue tokens. The first coordinator that needs a key makes it.
 */
#ifndef API_SIGNING_H
#define API_SIGNING_H

#include "api/directory.h"

struct api;
struct actor;

/*
 * Calls `callback` once, perhaps before it returns: with ERR_NONE when this thread knows a key that signs and the directory is
 * no older than this call, else with the error that prevents that.
 */
void signing_prepare(struct api *api, const struct actor *actor, directory_callback *callback, void *data);

/* Whether a key that signs is known. */
bool signing_is_ready(const struct api *api);

/* Appends a token with these claims. False when no key that signs is known: see signing_prepare. */
bool signing_issue(const struct api *api, const struct jwt_claims *claims, struct buffer *out);

/*
 * Appends a worker's own token as a member of an answer. Appends nothing when no signing key is known, or when the worker's join
 * token has expired or was revoked. `grant` is principal.grant.
 */
void signing_write_worker_token(struct buffer *out, const struct api *api, struct str worker_id, struct str grant);

/* Whether two thirds of a worker's token's life are over, so that the next is due. `expires_at`, `now`: seconds since 1970. */
bool signing_is_due(int64_t expires_at, int64_t now);

#endif
