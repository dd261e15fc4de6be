/*
 * Passwords, hashed by yescrypt (crypt(5)). password_hash and password_matches take tens of milliseconds of CPU: never call them
 * on a loop.
 */
#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H

#include "base/err.h"
#include "base/str.h"

#define PASSWORD_MIN 8   /* characters */
#define PASSWORD_MAX 256 /* bytes */
#define PASSWORD_HASH_MAX 384
#define PASSWORD_TAG_LEN 16

/* Returns what is wrong with a new password, as static text that says what to do; NULL if it is good. */
const char *password_fault(struct str password);

/* Hashes `password` with a new salt; `hash` becomes text that ends with a NUL. ERR_INVALID: password_fault says why. */
MUST_CHECK enum err password_hash(struct str password, char hash[PASSWORD_HASH_MAX]);

/*
 * Whether `hash` is the hash of `password`. An invalid hash gives false after the same time, so that nobody can find out which
 * names exist.
 */
bool password_matches(struct str password, const char *hash);

/*
 * Writes sixteen hex digits that stand for a hash, and a NUL, as lua/credentials.lua makes them. A session carries them, so it
 * ends when the password changes.
 */
void password_tag(const char *hash, char tag[PASSWORD_TAG_LEN + 1]);

#endif
