#include "api/principal.h"

#include "auth/authorization.h"

#include <stdio.h>
#include <stdlib.h>

#define SETS 4096 /* three hex digits of a token's digest choose one */
#define WAYS 8    /* tokens of a set that are remembered at once: room for some 10,000 workers before any is verified again */

/* A token whose signature was good. Only its digest is kept, so that no token lies in memory. */
struct verified_token {
    char digest[SECRET_DIGEST_LEN + 1];
    unsigned generation; /* of the directory whose keys it was verified with */
    struct jwt_claims claims;
};

struct verified {
    struct verified_token *places[SETS][WAYS];
};

struct verified *verified_new(void)
{
    struct verified *verified = calloc(1, sizeof(*verified));
    if (verified == NULL)
        abort();
    return verified;
}

/* Returns the place of a token: the one that holds it (*holds), or the one to put it in. */
static struct verified_token **find_place(struct verified *verified, const char *digest, unsigned generation, bool *holds)
{
    struct verified_token **places = verified->places[strtoul((char[]){digest[0], digest[1], digest[2], '\0'}, NULL, 16) % SETS];
    struct verified_token **free_one = &places[0];
    *holds = false;
    for (size_t i = 0; i < WAYS; i++) {
        if (places[i] == NULL)
            return &places[i];
        *holds = secret_digests_are_equal(places[i]->digest, digest);
        if (*holds)
            return &places[i];
        bool is_older = places[i]->generation != generation || places[i]->claims.expires_at < (*free_one)->claims.expires_at;
        if ((*free_one)->generation == generation && is_older)
            free_one = &places[i];
    }
    return free_one;
}

/*
 * Checks a JWT. The signature of a JWT that was checked before is not checked again. If the JWT is fine, *claims are what it says,
 * valid until the next JWT is checked.
 */
static enum jwt_result check_jwt(const struct directory *directory, struct verified *verified, struct str token, int64_t now,
                                 const struct jwt_claims **claims)
{
    char digest[SECRET_DIGEST_LEN + 1];
    size_t count;
    const struct signing_key *signs, *keys = directory_keys(directory, &count, &signs);
    unsigned generation = directory_key_generation(directory);
    bool holds;
    secret_digest(token, digest);
    struct verified_token **place = find_place(verified, digest, generation, &holds);
    if (holds && (*place)->generation == generation) {
        *claims = &(*place)->claims;
        return (*claims)->expires_at + JWT_LEEWAY > now / 1000 ? JWT_FINE : JWT_EXPIRED;
    }
    struct jwt_claims found;
    enum jwt_result result = jwt_check(keys, count, token, now / 1000, &found);
    if (result != JWT_FINE)
        return result;
    if (*place == NULL && (*place = malloc(sizeof(**place))) == NULL)
        abort();
    memcpy((*place)->digest, digest, sizeof(digest));
    (*place)->generation = generation;
    (*place)->claims = found;
    *claims = &(*place)->claims;
    return JWT_FINE;
}

static const struct directory_entry *find(const struct directory *directory, const char *kind, const char *name)
{
    char member[DIRECTORY_NAME_MAX + 16];
    size_t len = strlen(kind) + 1 + strlen(name);
    if (len >= sizeof(member))
        return NULL;
    stpcpy(stpcpy(stpcpy(member, kind), ":"), name); /* each request comes here, and printf is slow */
    return directory_find(directory, (struct str){member, len});
}

/* Identifies a worker by its own token. The token ends early if its join token is revoked together with its workers. */
static enum identification identify_worker(const struct directory *directory, const struct jwt_claims *claims,
                                           struct principal *out)
{
    struct str rest = str_from(claims->grant), id = str_cut(&rest, '.');
    size_t len = id.len < sizeof(out->join) ? id.len : sizeof(out->join) - 1;
    memcpy(out->join, id.ptr, len);
    out->join[len] = '\0';
    memcpy(out->grant, claims->grant, sizeof(out->grant));
    const struct directory_entry *join = find(directory, "token", out->join);
    if (join != NULL && join->revoked_at != 0 && join->with_workers)
        return CREDENTIAL_REVOKED;
    out->kind = PRINCIPAL_WORKER;
    out->token = join;
    return IDENTIFIED;
}

/*
 * Identifies a user who has signed in. The session is good until it ends, the password changes, or the user is removed. The role
 * is the user's present one.
 */
static enum identification identify_user(const struct directory *directory, const struct jwt_claims *claims, struct principal *out)
{
    const struct directory_entry *user = find(directory, "user", claims->subject);
    if (find(directory, "session", claims->grant) != NULL)
        return CREDENTIAL_REVOKED;
    if (user == NULL || strncmp(claims->grant, user->password_tag, PASSWORD_TAG_LEN) != 0)
        return CREDENTIAL_OUTDATED; /* the user was removed or has a new password, or either is newer than this copy */
    if (claims->expires_at < user->signed_out)
        return CREDENTIAL_REVOKED;
    out->kind = PRINCIPAL_USER;
    out->role = user->role;
    snprintf(out->session, sizeof(out->session), "%s", claims->grant);
    return IDENTIFIED;
}

static enum identification identify_jwt(const struct directory *directory, struct verified *verified, struct str token, int64_t now,
                                        struct principal *out)
{
    const struct jwt_claims *claims;
    enum jwt_result result = check_jwt(directory, verified, token, now, &claims);
    if (result != JWT_FINE)
        return result == JWT_EXPIRED ? CREDENTIAL_EXPIRED : result == JWT_UNKNOWN_KEY ? CREDENTIAL_UNKNOWN : CREDENTIAL_INVALID;
    struct principal principal = {.expires_at = claims->expires_at};
    memcpy(principal.name, claims->subject, sizeof(principal.name));
    memcpy(principal.kid, claims->kid, sizeof(principal.kid));
    enum identification found =
        claims->worker ? identify_worker(directory, claims, &principal) : identify_user(directory, claims, &principal);
    if (found == IDENTIFIED)
        *out = principal;
    return found;
}

/* Tells whether a token that was found by its id is still good. */
static enum identification identify_entry(const struct directory_entry *token, int64_t now)
{
    if (token->revoked_at != 0)
        return CREDENTIAL_REVOKED;
    return token->expires_at != 0 && token->expires_at <= now ? CREDENTIAL_EXPIRED : IDENTIFIED;
}

static enum identification identify_secret(const struct directory *directory, const struct secret *secret, int64_t now,
                                           struct principal *out)
{
    char id[SECRET_ID_LEN + 1];
    snprintf(id, sizeof(id), "%.*s", STR_PRINTF(secret->id));
    const struct directory_entry *token = find(directory, "token", id);
    if (token == NULL)
        return CREDENTIAL_UNKNOWN;
    if (token->kind != secret->kind || !secret_digests_are_equal(token->digest, secret->digest))
        return CREDENTIAL_INVALID;
    enum identification found = identify_entry(token, now);
    if (found != IDENTIFIED)
        return found;
    *out = (struct principal){.kind = token->kind == SECRET_JOIN ? PRINCIPAL_JOIN : PRINCIPAL_PROGRAM, .token = token};
    out->role = token->kind == SECRET_JOIN ? ROLE_NONE : token->role;
    memcpy(out->name, id, sizeof(id));
    if (token->kind == SECRET_JOIN)
        memcpy(out->join, id, sizeof(id));
    return IDENTIFIED;
}

/* Returns the value of our cookie (RFC 6265, section 4.2.1); absent when there is none. */
static struct str find_cookie(struct str cookies)
{
    while (cookies.len > 0) {
        struct str value = str_trim(str_cut(&cookies, ';')), name = str_cut(&value, '=');
        if (str_eq(name, STR(SESSION_COOKIE)) && value.len > 0)
            return value;
    }
    return (struct str){NULL, 0};
}

enum identification principal_identify_token(const struct directory *directory, struct verified *verified, struct str token,
                                             int64_t now, struct principal *out)
{
    struct secret secret;
    *out = (struct principal){.kind = PRINCIPAL_NONE};
    return secret_parse(token, &secret) ? identify_secret(directory, &secret, now, out)
                                        : identify_jwt(directory, verified, token, now, out);
}

enum identification principal_identify(const struct directory *directory, struct verified *verified, struct str authorization,
                                       struct str cookie, int64_t now, struct principal *out)
{
    char room[AUTHORIZATION_TOKEN_MAX];
    struct str token = {NULL, 0};
    *out = (struct principal){.kind = PRINCIPAL_NONE};
    switch (authorization_parse(authorization, room, &token)) {
    case AUTHORIZATION_OTHER:
        return CREDENTIAL_OTHER;
    case AUTHORIZATION_BROKEN:
        return CREDENTIAL_INVALID;
    case AUTHORIZATION_TOKEN:
        return principal_identify_token(directory, verified, token, now, out);
    case AUTHORIZATION_NONE:
        break;
    }
    token = find_cookie(cookie);
    if (token.ptr == NULL)
        return IDENTIFIED;
    enum identification found = identify_jwt(directory, verified, token, now, out);
    out->by_cookie = true;
    return found;
}

/* Whether a key is known no more. A replica may not know it yet. */
static bool is_forgotten(const struct directory *directory, const char *kid)
{
    size_t count;
    const struct signing_key *signs, *keys = directory_keys(directory, &count, &signs);
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i].kid, kid) == 0)
            return false;
    return directory_is_complete(directory);
}

enum identification principal_identify_again(const struct directory *directory, int64_t now, struct principal *principal)
{
    if (principal->kind == PRINCIPAL_PROGRAM || principal->kind == PRINCIPAL_JOIN) {
        const struct directory_entry *token = find(directory, "token", principal->name);
        if (token == NULL)
            return CREDENTIAL_REVOKED;
        principal->role = token->kind == SECRET_JOIN ? ROLE_NONE : token->role;
        return identify_entry(token, now);
    }
    struct jwt_claims claims = {.worker = principal->kind == PRINCIPAL_WORKER, .expires_at = principal->expires_at};
    memcpy(claims.subject, principal->name, sizeof(claims.subject));
    memcpy(claims.grant, claims.worker ? principal->grant : principal->session, sizeof(claims.grant));
    if (principal->expires_at + JWT_LEEWAY <= now / 1000)
        return CREDENTIAL_EXPIRED;
    if (is_forgotten(directory, principal->kid))
        return CREDENTIAL_UNKNOWN;
    return claims.worker ? identify_worker(directory, &claims, principal) : identify_user(directory, &claims, principal);
}

struct str principal_label(const struct principal *principal, char room[160])
{
    static const char *const kinds[] = {
        [PRINCIPAL_USER] = "user", [PRINCIPAL_PROGRAM] = "token", [PRINCIPAL_JOIN] = "token", [PRINCIPAL_WORKER] = "worker"};
    if (principal->kind == PRINCIPAL_NONE)
        return STR("nobody");
    int len = snprintf(room, 160, "%s:%s", kinds[principal->kind], principal->name);
    return (struct str){room, (size_t)len};
}
