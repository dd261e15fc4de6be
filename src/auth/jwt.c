#include "auth/jwt.h"

#include "auth/base64.h"

#include <errno.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>

#define SIGNATURE_BYTES 64

struct jwt *jwt_begin(const struct signing_key *key, const char *subject, int64_t expires_at)
{
    jwt_t *jwt;
    const struct buffer *pem = &key->private_pem;
    if (jwt_new(&jwt) != 0 || jwt_set_alg(jwt, JWT_ALG_ES256, (const unsigned char *)pem->ptr, (int)pem->len) != 0 ||
        jwt_add_header(jwt, "kid", key->kid) != 0 || jwt_add_grant(jwt, "iss", JWT_ISSUER) != 0 ||
        jwt_add_grant(jwt, "sub", subject) != 0 || jwt_add_grant_int(jwt, "exp", (long)expires_at) != 0)
        abort();
    return jwt;
}

void jwt_end(struct jwt *jwt, struct buffer *out)
{
    char *text = jwt_encode_str(jwt);
    if (text == NULL)
        abort();
    buffer_append(out, str_from(text));
    free(text); /* libjwt 1.10 takes it from malloc */
    jwt_free(jwt);
}

void jwt_issue(const struct signing_key *key, const struct jwt_claims *claims, struct buffer *out)
{
    jwt_t *jwt = jwt_begin(key, claims->subject, claims->expires_at);
    if (jwt_add_grant(jwt, "role", claims->worker ? "worker" : role_name(claims->role)) != 0 ||
        jwt_add_grant(jwt, claims->worker ? "join" : "sid", claims->grant) != 0)
        abort();
    jwt_end(jwt, out);
}

/* Reads the name of the key from a header. False: the header is not, byte for byte, one that we write. */
static bool read_header(struct str part, char kid[SIGNING_KEY_ID_LEN + 1])
{
    static const char begin[] = "{\"alg\":\"ES256\",\"kid\":\"", end[] = "\",\"typ\":\"JWT\"}";
    char header[sizeof(begin) + SIGNING_KEY_ID_LEN + sizeof(end)];
    size_t len;
    if (!base64url_decode(part, header, sizeof(header), &len) || len != sizeof(begin) - 1 + SIGNING_KEY_ID_LEN + sizeof(end) - 1 ||
        memcmp(header, begin, sizeof(begin) - 1) != 0 ||
        memcmp(header + sizeof(begin) - 1 + SIGNING_KEY_ID_LEN, end, sizeof(end) - 1) != 0)
        return false;
    memcpy(kid, header + sizeof(begin) - 1, SIGNING_KEY_ID_LEN);
    kid[SIGNING_KEY_ID_LEN] = '\0';
    return true;
}

/*
 * Whether the three parts of a token have the form of one. *header becomes the first part, `claims` the text of the second,
 * with a NUL.
 */
static bool has_form(struct str token, struct str *header, char claims[JWT_TOKEN_MAX])
{
    unsigned char signature[SIGNATURE_BYTES];
    size_t len;
    struct str rest = token;
    *header = str_cut(&rest, '.');
    struct str payload = str_cut(&rest, '.');
    if (payload.len == 0 || rest.ptr == NULL || !base64url_decode(payload, claims, JWT_TOKEN_MAX - 1, &len) ||
        memchr(claims, '\0', len) != NULL)
        return false;
    claims[len] = '\0';
    return base64url_decode(rest, signature, sizeof(signature), &len) && len == SIGNATURE_BYTES;
}

/*
 * Whether the claims are written as we write them: sorted, without white space, each once. Two readers can't read them
 * differently.
 */
static bool are_canonical(jwt_t *jwt, const char *claims)
{
    char *again = jwt_get_grants_json(jwt, NULL);
    bool same = again != NULL && strcmp(again, claims) == 0;
    free(again);
    return same;
}

/* Copies a claim that is text, neither empty nor longer than the room. */
static bool copy_claim(jwt_t *jwt, const char *name, char *room, size_t size)
{
    const char *text = jwt_get_grant(jwt, name);
    if (text == NULL || text[0] == '\0' || strlen(text) >= size)
        return false;
    memcpy(room, text, strlen(text) + 1);
    return true;
}

static enum jwt_result read_claims(jwt_t *jwt, int64_t now, struct jwt_claims *out)
{
    struct jwt_claims claims = {.worker = false};
    const char *issuer = jwt_get_grant(jwt, "iss"), *role = jwt_get_grant(jwt, "role");
    errno = 0;
    long expires_at = jwt_get_grant_int(jwt, "exp");
    if (errno != 0 || expires_at <= 0 || expires_at > now + JWT_LIFE_MAX || issuer == NULL || strcmp(issuer, JWT_ISSUER) != 0 ||
        role == NULL)
        return JWT_INVALID;
    long not_before = jwt_get_grant_int(jwt, "nbf");
    if ((errno != 0 && errno != ENOENT) || not_before > now + JWT_LEEWAY)
        return JWT_INVALID;
    claims.expires_at = expires_at;
    claims.worker = strcmp(role, "worker") == 0;
    claims.role = claims.worker ? ROLE_NONE : role_from_name(str_from(role));
    if ((!claims.worker && claims.role == ROLE_NONE) || !copy_claim(jwt, "sub", claims.subject, sizeof(claims.subject)) ||
        !copy_claim(jwt, claims.worker ? "join" : "sid", claims.grant, sizeof(claims.grant)))
        return JWT_INVALID;
    if (expires_at + JWT_LEEWAY <= now)
        return JWT_EXPIRED;
    *out = claims;
    return JWT_FINE;
}

enum jwt_result jwt_check(const struct signing_key *keys, size_t count, struct str token, int64_t now, struct jwt_claims *out)
{
    struct str header;
    char text[JWT_TOKEN_MAX + 1], claims[JWT_TOKEN_MAX], kid[SIGNING_KEY_ID_LEN + 1];
    if (token.len > JWT_TOKEN_MAX || !has_form(token, &header, claims) || !read_header(header, kid))
        return JWT_INVALID;
    const struct signing_key *key = NULL;
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i].kid, kid) == 0)
            key = &keys[i];
    if (key == NULL)
        return JWT_UNKNOWN_KEY;
    memcpy(text, token.ptr, token.len);
    text[token.len] = '\0';
    jwt_t *jwt;
    if (jwt_decode(&jwt, text, (const unsigned char *)key->public_pem.ptr, (int)key->public_pem.len) != 0)
        return JWT_INVALID;
    bool ours = jwt_get_alg(jwt) == JWT_ALG_ES256 && are_canonical(jwt, claims);
    enum jwt_result result = ours ? read_claims(jwt, now, out) : JWT_INVALID;
    if (result == JWT_FINE)
        memcpy(out->kid, kid, sizeof(kid));
    jwt_free(jwt);
    return result;
}
