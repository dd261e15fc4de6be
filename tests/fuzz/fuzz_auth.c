/*
 * What strangers send as a credential: the Authorization header, opaque tokens, JWTs. The key is always the same, so that the
 * corpus can have tokens that are signed; a token that is accepted must be the one that we would write for its claims.
 */
#include "auth/authorization.h"
#include "auth/jwt.h"
#include "auth/secret.h"
#include "must.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW 1800000000

static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                          "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgIy48qhoV/k0W+Zbp\n"
                          "pMoXaGHtr3AWXobXFzqXhOEiKQWhRANCAATb2kSPQ4/09MC06FrxRyyWgZywblvA\n"
                          "FzEDb2GdSkcKAklWnBsZqhrGKgye/A+eirDVRBTXQUM/xkUNWBtoecCY\n"
                          "-----END PRIVATE KEY-----\n";

static const struct signing_key *fixed_key(void)
{
    static struct signing_key key;
    if (key.private_pem.ptr == NULL)
        must(signing_key_read(str_from(pem), &key) == ERR_NONE);
    return &key;
}

static void check_jwt(struct str token)
{
    struct jwt_claims claims, again;
    if (jwt_check(fixed_key(), 1, token, NOW, &claims) != JWT_FINE)
        return;
    must(authorization_may_hold_ours(token));
    must(claims.subject[0] != '\0' && claims.grant[0] != '\0' && claims.worker == (claims.role == ROLE_NONE));
    struct buffer issued = BUFFER_INIT;
    jwt_issue(fixed_key(), &claims, &issued);
    must(jwt_check(fixed_key(), 1, buffer_str(&issued), NOW, &again) == JWT_FINE && strcmp(claims.subject, again.subject) == 0);
    buffer_fini(&issued);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char room[AUTHORIZATION_TOKEN_MAX];
    struct str text = {(const char *)data, size}, token = {NULL, 0};
    struct secret secret;
    if (authorization_parse(text, room, &token) == AUTHORIZATION_TOKEN) {
        must(token.len > 0 && token.len <= AUTHORIZATION_TOKEN_MAX);
        check_jwt(token);
        if (secret_parse(token, &secret))
            must(secret.id.len == SECRET_ID_LEN && strlen(secret.digest) == SECRET_DIGEST_LEN && authorization_may_hold_ours(text));
    }
    (void)authorization_may_hold_ours(text);
    check_jwt(text);
    return 0;
}
