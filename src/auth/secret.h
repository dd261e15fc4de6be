/*
 * Opaque tokens: "rmaj_<id>_<secret>" lets workers join, "rmaa_<id>_<secret>" is for a program. The id names the token in lists
 * and in the log; the secret is 256 random bits. Only the digest of the whole text is stored, so nobody who reads the store can
 * use a token.
 */
#ifndef AUTH_SECRET_H
#define AUTH_SECRET_H

#include "base/buffer.h"
#include "base/err.h"

enum secret_kind { SECRET_JOIN, SECRET_API };

#define SECRET_ID_LEN 12
#define SECRET_DIGEST_LEN 64 /* hex digits of SHA-256 */
#define SECRET_TEXT_LEN (5 + SECRET_ID_LEN + 1 + 43)

struct secret {
    enum secret_kind kind;
    struct str id; /* lower-case letters and digits; points into the text */
    char digest[SECRET_DIGEST_LEN + 1];
};

/* Writes the hex digits of the SHA-256 of `text`, and a NUL. */
void secret_digest(struct str text, char digest[SECRET_DIGEST_LEN + 1]);

/* Appends a new token to `text`. Aborts if the system has no randomness. */
void secret_make(enum secret_kind kind, struct buffer *text);

/* Whether `text` has the form of a token; fills in *out. `text` must outlive out->id. */
bool secret_parse(struct str text, struct secret *out);

/* Whether `id` has the form of a token's id. */
bool secret_id_is_valid(struct str id);

/* Whether `a` and `b`, of the same length, are equal, in a time that does not depend on where they differ. */
bool secret_is(struct str a, struct str b);

/* Whether two digests are equal, in a time that does not depend on where they differ. */
bool secret_digests_are_equal(const char *a, const char *b);

/* Fills `bytes` with randomness. Aborts if the system has none. */
void secret_random(void *bytes, size_t size);

#endif
