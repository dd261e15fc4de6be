/*
 * Tells who sent a request, from its credential, and what that principal may do.
 */
#ifndef API_PRINCIPAL_H
#define API_PRINCIPAL_H

#include "api/directory.h"
#include "http/request.h"

#define GRANT_MAX 64

enum principal_kind {
    PRINCIPAL_NONE,    /* no credential, or no valid one */
    PRINCIPAL_USER,    /* somebody who has signed in */
    PRINCIPAL_PROGRAM, /* an API token */
    PRINCIPAL_JOIN,    /* a join token: speaks for the workers that registered with it */
    PRINCIPAL_WORKER,  /* one worker */
};

struct principal {
    enum principal_kind kind;
    enum role role;                 /* of users and programs */
    char name[JWT_SUBJECT_MAX + 1]; /* the user's name, the token's id, the worker's id */
    char join[SECRET_ID_LEN + 1];   /* of join tokens and workers: the id of the join token */
    char grant[GRANT_MAX + 1];      /* of workers: the join token's id, a dot, and what the worker was given when it registered */
    char session[65];               /* of users: the session, which a logout ends */
    /* Of join tokens and programs; of workers, their join token, if it is known. Valid until the next turn of the loop. */
    const struct directory_entry *token;
    int64_t expires_at;               /* of a JWT, seconds since 1970 */
    char kid[SIGNING_KEY_ID_LEN + 1]; /* of a JWT, the key that has signed it */
    bool by_cookie; /* from a cookie, which browsers add by themselves: a change needs proof that our own page sent it */
};

enum identification {
    IDENTIFIED,       /* also a request without a credential, as PRINCIPAL_NONE */
    CREDENTIAL_OTHER, /* the Authorization header has an unknown scheme */
    CREDENTIAL_INVALID,
    CREDENTIAL_EXPIRED,
    CREDENTIAL_REVOKED,
    CREDENTIAL_OUTDATED, /* its user is missing or has another password; a newer copy of the directory may say otherwise */
    CREDENTIAL_UNKNOWN,  /* not in this thread's copy of the directory; a newer copy may have it */
};

/* Verified JWTs of a thread, so that a signature is checked once and not with each heartbeat. */
struct verified;
struct verified *verified_new(void);

/*
 * Finds out who sent a request. `authorization` and `cookie` are the values of the headers, absent without them; `now` in ms
 * since 1970. On anything but IDENTIFIED *out is PRINCIPAL_NONE.
 */
enum identification principal_identify(const struct directory *directory, struct verified *verified, struct str authorization,
                                       struct str cookie, int64_t now, struct principal *out);

/* The same for a token that did not come in a header. */
enum identification principal_identify_token(const struct directory *directory, struct verified *verified, struct str token,
                                             int64_t now, struct principal *out);

/*
 * Checks again whether a principal that was identified before is still valid, and updates its role. On anything but IDENTIFIED
 * *principal must not be used any more.
 */
enum identification principal_identify_again(const struct directory *directory, int64_t now, struct principal *principal);

/* The principal's name for the audit and the log: "user:anna", "token:<id>", "worker:<id>", "nobody"; in `room`. */
struct str principal_label(const struct principal *principal, char room[160]);

#define SESSION_COOKIE "rma_session"

#endif
