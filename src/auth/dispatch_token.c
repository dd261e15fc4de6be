#include "auth/dispatch_token.h"

#include "auth/base64.h"
#include "auth/jwt.h"
#include "base/json_writer.h"

#include <jwt.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

void dispatch_token_share(struct str secret, struct str subject, int64_t expires_at, struct buffer *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct buffer claims = BUFFER_INIT;
    json_begin_object(&claims, NULL);
    json_add_integer(&claims, "exp", expires_at);
    json_add_text(&claims, "sub", subject);
    json_end_object(&claims);
    size_t begin = out->len;
    base64url_encode(out, "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", sizeof("{\"alg\":\"HS256\",\"typ\":\"JWT\"}") - 1);
    buffer_append(out, STR("."));
    base64url_encode(out, claims.ptr, claims.len);
    buffer_fini(&claims);
    if (HMAC(EVP_sha256(), secret.ptr, (int)secret.len, (const unsigned char *)out->ptr + begin, out->len - begin, digest, &len) ==
        NULL)
        abort();
    buffer_append(out, STR("."));
    base64url_encode(out, digest, len);
}

void dispatch_token_sign(const struct signing_key *key, struct str subject, struct str worker_id, int64_t expires_at,
                         struct buffer *out)
{
    char sub[JWT_SUBJECT_MAX + 1], aud[JWT_SUBJECT_MAX + 1];
    snprintf(sub, sizeof(sub), "%.*s", STR_PRINTF(subject));
    snprintf(aud, sizeof(aud), "%.*s", STR_PRINTF(worker_id));
    jwt_t *jwt = jwt_begin(key, sub, expires_at);
    if (jwt_add_grant(jwt, "aud", aud) != 0)
        abort();
    jwt_end(jwt, out);
}
