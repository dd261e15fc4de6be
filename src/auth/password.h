/*
 * Passwords, hashed by yescrypt (crypt(5)). Both functions take tens of milliseconds of CPU: never call them on a loop.
 */
#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H

#include "base/err.h"
#include "base/str.h"

#define PASSWORD_MIN 8   /* characters */
#define PASSWORD_MAX 256 /* bytes */
#define PASSWORD_HASH_MAX 384
#define PASSWORD_TAG_LEN 16

/* What is wrong with a new password, as static text that says what to do; NULL when nothing is. */
const char *password_fault(struct str password);

/* Hashes `password` with a new salt; `hash` becomes text that ends with a NUL. ERR_INVALID: password_fault says why. */
MUST_CHECK enum err password_hash(struct str password, char hash[PASSWORD_HASH_MAX]);

/* Whether `password` is that of `hash`. A hash that is none takes the same time and is false: so an unknown name does not show. */
bool password_matches(struct str password, const char *hash);

/*
 * Sixteen hex digits that stand for a hash, and a NUL, as lua/credentials.lua makes them. A session carries them, and so ends
 * when the password changes.
 */
void password_tag(const char *hash, char tag[PASSWORD_TAG_LEN + 1]);

#endif
