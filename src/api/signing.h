/*
 * The key that signs tokens, for handlers that issue some. The first coordinator that needs one makes it.
 */
#ifndef API_SIGNING_H
#define API_SIGNING_H

#include "api/directory.h"

struct api;
struct actor;

/*
 * Calls `callback` once, with ERR_NONE as soon as this thread knows a key that signs and what is in the directory is no older than this call; it may do so
 * before it returns. Else with the error that keeps it from that.
 */
void signing_prepare(struct api *api, const struct actor *actor, directory_callback *callback, void *data);

/* Appends a token with these claims. False when no key that signs is known: see signing_prepare. */
bool signing_issue(const struct api *api, const struct jwt_claims *claims, struct buffer *out);

#endif
