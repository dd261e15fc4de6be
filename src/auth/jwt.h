/*
 * JSON Web Tokens that this fleet's coordinators issue and accept (RFC 7519; RFC 8725 for what must be refused).
 *
 * A token is accepted only if its first part is, byte for byte, the header that we write for one of our own keys:
 * {"alg":"ES256","kid":"<thumbprint>","typ":"JWT"}. So the algorithm follows from the key and never from the token, and a
 * header with anything else in it (crit, jku, x5u, an embedded key, members twice) is no header of ours. libjwt checks the
 * signature and reads the claims.
 */
#ifndef AUTH_JWT_H
#define AUTH_JWT_H

#include "auth/role.h"
#include "auth/signing_key.h"

#include <stdint.h>

#define JWT_TOKEN_MAX 4096       /* bytes */
#define JWT_LIFE_MAX (25 * 3600) /* seconds from the present to exp */
#define JWT_LEEWAY 60            /* seconds by which two clocks may differ */
#define JWT_SUBJECT_MAX 128
#define JWT_ISSUER "rma-coordinator"

struct jwt_claims {
    char subject[JWT_SUBJECT_MAX + 1]; /* a worker's id, or a user's name */
    bool worker;                       /* a worker's token; else a user's, with `role` */
    enum role role;
    char grant[65];                   /* the id of the join token or session for which it was issued, and with which it ends */
    int64_t expires_at;               /* seconds since 1970 */
    char kid[SIGNING_KEY_ID_LEN + 1]; /* of a token that was checked: the key that has signed it */
};

/* JWT_UNKNOWN_KEY: it has the form of our tokens, but names a key that is not among the given ones. */
enum jwt_result { JWT_FINE, JWT_EXPIRED, JWT_INVALID, JWT_UNKNOWN_KEY };

/* Appends a token with these claims, signed by `key`. subject and grant are visible ASCII without quotes and backslashes. */
void jwt_issue(const struct signing_key *key, const struct jwt_claims *claims, struct buffer *out);

/* Begins a token that `key` signs; `subject` as above. More claims may be added to it. jwt_end appends its text to `out`. */
struct jwt *jwt_begin(const struct signing_key *key, const char *subject, int64_t expires_at);
void jwt_end(struct jwt *jwt, struct buffer *out);

/* Checks a token against our `count` keys; `now` in seconds since 1970. With JWT_FINE, *out has its claims. */
enum jwt_result jwt_check(const struct signing_key *keys, size_t count, struct str token, int64_t now, struct jwt_claims *out);

#endif
