/*
 * Keys that sign tokens: EC keys on the curve P-256, for ES256 (RFC 7518, section 3.4). A key's name is the thumbprint of its
 * public half (RFC 7638).
 */
#ifndef AUTH_SIGNING_KEY_H
#define AUTH_SIGNING_KEY_H

#include "base/buffer.h"
#include "base/err.h"

#define SIGNING_KEY_ID_LEN 43
#define SIGNING_KEY_PEM_MAX 4096
#define SIGNING_KEYS_MAX 8 /* in a file */

struct signing_key {
    char kid[SIGNING_KEY_ID_LEN + 1];
    char x[44], y[44];         /* the public point, in base64url */
    struct buffer private_pem; /* owned; a NUL follows, which is not part of the length */
    struct buffer public_pem;  /* owned, with a NUL as above */
};

/* The keys of a file: the first one signs, the others only verify. */
struct signing_keys {
    struct signing_key keys[SIGNING_KEYS_MAX];
    size_t count;
};

/* Makes a new key. Aborts if the system has no randomness. */
void signing_key_make(struct signing_key *out);

/* Reads a private key from its PEM text. ERR_INVALID: it is not a key, or not on P-256. */
MUST_CHECK enum err signing_key_read(struct str pem, struct signing_key *out);

/* Reads all private keys of a PEM text into *out. ERR_INVALID: there is none, there are too many, or one is not on P-256. */
MUST_CHECK enum err signing_keys_read(struct str pem, struct signing_keys *out);

void signing_key_fini(struct signing_key *key);

/* Appends the public half as a JSON Web Key (RFC 7517). */
void signing_key_write_jwk(struct buffer *out, const struct signing_key *key);

#endif
