/*
 * The Authorization header (RFC 9110, section 11.6.2): "Bearer <token>" (RFC 6750), or "Basic <user:password>" (RFC 7617),
 * whose password is the token. Agents in the field put a user and a password into the coordinator's URL and so send Basic; the
 * user's name does not matter.
 */
#ifndef AUTH_AUTHORIZATION_H
#define AUTH_AUTHORIZATION_H

#include "base/str.h"

#define AUTHORIZATION_TOKEN_MAX 4096

enum authorization {
    AUTHORIZATION_NONE,   /* there is no header */
    AUTHORIZATION_OTHER,  /* another scheme */
    AUTHORIZATION_BROKEN, /* Bearer or Basic, but without a possible token */
    AUTHORIZATION_TOKEN,
};

/*
 * Reads the header's value (absent: there is no header). With AUTHORIZATION_TOKEN, *token is the token, of at most
 * AUTHORIZATION_TOKEN_MAX bytes: visible ASCII. It points into `value` or into `room`.
 */
enum authorization authorization_parse(struct str value, char room[AUTHORIZATION_TOKEN_MAX], struct str *token);

/*
 * Whether a value may have a token of this fleet anywhere in it: as the user of Basic, after another scheme, among other words.
 * Such a header must not be passed on to anybody.
 */
bool authorization_may_hold_ours(struct str value);

#endif
