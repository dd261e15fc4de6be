#include "auth/secret.h"

#include "auth/base64.h"

/* SHA256() of OpenSSL 3 looks up the algorithm by its name in each call, which takes longer than the digest of a token. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <sys/random.h>

#define SECRET_BYTES 32

static const char *const prefixes[] = {[SECRET_JOIN] = "rmaj_", [SECRET_API] = "rmaa_"};
static const char id_letters[] = "abcdefghijklmnopqrstuvwxyz234567"; /* 32 of them: five bits each */

void secret_digest(struct str text, char digest[SECRET_DIGEST_LEN + 1])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char bytes[SHA256_DIGEST_LENGTH];
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, text.ptr, text.len);
    SHA256_Final(bytes, &context);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        digest[2 * i] = hex[bytes[i] >> 4];
        digest[2 * i + 1] = hex[bytes[i] & 15];
    }
    digest[SECRET_DIGEST_LEN] = '\0';
}

void secret_random(void *bytes, size_t size)
{
    if (getrandom(bytes, size, 0) != (ssize_t)size)
        abort();
}

void secret_make(enum secret_kind kind, struct buffer *text)
{
    unsigned char id[SECRET_ID_LEN], bytes[SECRET_BYTES];
    secret_random(id, sizeof(id));
    secret_random(bytes, sizeof(bytes));
    buffer_append(text, str_from(prefixes[kind]));
    char *at = buffer_reserve(text, SECRET_ID_LEN);
    for (size_t i = 0; i < SECRET_ID_LEN; i++)
        at[i] = id_letters[id[i] & 31];
    text->len += SECRET_ID_LEN;
    buffer_append(text, STR("_"));
    base64url_encode(text, bytes, sizeof(bytes));
    OPENSSL_cleanse(bytes, sizeof(bytes));
}

bool secret_id_is_valid(struct str id)
{
    for (size_t i = 0; i < id.len; i++)
        if (memchr(id_letters, id.ptr[i], sizeof(id_letters) - 1) == NULL)
            return false;
    return id.len == SECRET_ID_LEN;
}

bool secret_parse(struct str text, struct secret *out)
{
    if (text.len != SECRET_TEXT_LEN)
        return false;
    bool join = memcmp(text.ptr, prefixes[SECRET_JOIN], 5) == 0;
    if (!join && memcmp(text.ptr, prefixes[SECRET_API], 5) != 0)
        return false;
    struct str id = {text.ptr + 5, SECRET_ID_LEN};
    struct str rest = {id.ptr + id.len + 1, text.len - 5 - SECRET_ID_LEN - 1};
    unsigned char bytes[SECRET_BYTES];
    size_t len;
    if (!secret_id_is_valid(id) || id.ptr[id.len] != '_' || !base64url_decode(rest, bytes, sizeof(bytes), &len))
        return false;
    OPENSSL_cleanse(bytes, sizeof(bytes));
    out->kind = join ? SECRET_JOIN : SECRET_API;
    out->id = id;
    secret_digest(text, out->digest);
    return true;
}

bool secret_digests_are_equal(const char *a, const char *b)
{
    return CRYPTO_memcmp(a, b, SECRET_DIGEST_LEN) == 0;
}

bool secret_is(struct str a, struct str b)
{
    return a.len == b.len && CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0;
}
