/*
 * Tokens: those that we issue are accepted, and nothing else is, whoever signed it (RFC 8725, and what has gone wrong in other
 * libraries).
 */
#include "auth/base64.h"
#include "auth/dispatch_token.h"
#include "auth/jwt.h"

#include <jwt.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW 1800000000

static struct signing_key key, old_key, foreign_key;

static int make_keys(void **state)
{
    (void)state;
    signing_key_make(&key);
    signing_key_make(&old_key);
    signing_key_make(&foreign_key);
    return 0;
}

static int end_keys(void **state)
{
    (void)state;
    signing_key_fini(&key);
    signing_key_fini(&old_key);
    signing_key_fini(&foreign_key);
    return 0;
}

/* Our keys are `key` and `old_key`. */
static enum jwt_result check(struct str token, struct jwt_claims *claims)
{
    struct signing_key keys[] = {key, old_key};
    return jwt_check(keys, 2, token, NOW, claims);
}

static void append_part(struct buffer *out, const void *bytes, size_t size)
{
    base64url_encode(out, bytes, size);
}

/* Appends the ES256 signature of what is in `out`, as RFC 7515 has it: r and s, 32 bytes each. */
static void sign(struct buffer *out, const struct signing_key *with, unsigned char raw[64])
{
    BIO *bio = BIO_new_mem_buf(with->private_pem.ptr, -1);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char der[128];
    const unsigned char *at = der;
    size_t len = sizeof(der);
    assert_int_equal(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, pkey), 1);
    assert_int_equal(EVP_DigestSign(context, der, &len, (const unsigned char *)out->ptr, out->len), 1);
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &at, (long)len);
    BN_bn2binpad(ECDSA_SIG_get0_r(signature), raw, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(signature), raw + 32, 32);
    ECDSA_SIG_free(signature);
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(pkey);
    BIO_free(bio);
}

/* A token of this header and these claims, correctly signed. */
static struct buffer forge_with(const struct signing_key *with, const char *header, const char *claims)
{
    struct buffer token = BUFFER_INIT;
    unsigned char raw[64];
    append_part(&token, header, strlen(header));
    buffer_append(&token, STR("."));
    append_part(&token, claims, strlen(claims));
    sign(&token, with, raw);
    buffer_append(&token, STR("."));
    append_part(&token, raw, sizeof(raw));
    return token;
}

static const char *header_of(const struct signing_key *with)
{
    static char header[128];
    snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"JWT\"}", with->kid);
    return header;
}

#define GOOD "{\"exp\":1800003600,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}"

static void expect_refused(struct buffer *token, const char *what)
{
    struct jwt_claims claims;
    enum jwt_result result = check(buffer_str(token), &claims);
    buffer_fini(token);
    if (result != JWT_INVALID && result != JWT_UNKNOWN_KEY)
        fail_msg("accepted, or taken for one of ours that has expired: %s", what);
}

static void test_what_we_issue_is_accepted(void **state)
{
    (void)state;
    struct jwt_claims in = {.subject = "worker-1", .worker = true, .grant = "abc", .expires_at = NOW + 86400}, out;
    const struct signing_key *keys[] = {&key, &old_key};
    for (size_t i = 0; i < 2; i++) {
        struct buffer token = BUFFER_INIT;
        jwt_issue(keys[i], &in, &token);
        assert_int_equal(check(buffer_str(&token), &out), JWT_FINE);
        assert_string_equal(out.subject, "worker-1");
        assert_string_equal(out.grant, "abc");
        assert_true(out.worker);
        assert_int_equal(out.expires_at, NOW + 86400);
        buffer_fini(&token);
    }
    struct jwt_claims user = {.subject = "anna", .role = ROLE_OPERATOR, .grant = "session", .expires_at = NOW + 60};
    struct buffer token = BUFFER_INIT;
    jwt_issue(&key, &user, &token);
    assert_int_equal(check(buffer_str(&token), &out), JWT_FINE);
    assert_false(out.worker);
    assert_int_equal(out.role, ROLE_OPERATOR);
    buffer_fini(&token);
}

static void test_the_forger_of_these_tests_can_sign(void **state)
{
    (void)state;
    struct jwt_claims claims;
    struct buffer token = forge_with(&key, header_of(&key), GOOD);
    assert_int_equal(check(buffer_str(&token), &claims), JWT_FINE);
    buffer_fini(&token);
}

static void test_an_expired_token_is_told_from_a_forged_one(void **state)
{
    (void)state;
    static const struct {
        int64_t expires_at;
        enum jwt_result result;
    } cases[] = {{NOW - 59, JWT_FINE}, {NOW - 60, JWT_EXPIRED},        {NOW - 86400, JWT_EXPIRED},
                 {1, JWT_EXPIRED},     {NOW + JWT_LIFE_MAX, JWT_FINE}, {NOW + JWT_LIFE_MAX + 1, JWT_INVALID}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct jwt_claims in = {.subject = "w", .worker = true, .grant = "j", .expires_at = cases[i].expires_at}, out;
        struct buffer token = BUFFER_INIT;
        jwt_issue(&key, &in, &token);
        assert_int_equal(check(buffer_str(&token), &out), cases[i].result);
        buffer_fini(&token);
    }
}

/* Each is signed correctly with our own key: it is the header that refuses it. KID stands for that key's name. */
static void test_headers(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{\"alg\":\"none\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"None\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"NONE\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"nOnE\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":null,\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":[\"ES256\"],\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"HS256\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"RS256\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"PS256\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES384\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES512\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256K\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"EdDSA\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"es256\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"kid\":\"\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"kid\":null,\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"kid\":0,\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"kid\":\"unknown\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"kid\":\"../../../../dev/null\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"kid\":\"/etc/hostname\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"kid\":\"' UNION SELECT 'key' --\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"kid\":\"KID\\u0000\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"kid\":\"KID\",\"kid\":\"unknown\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"alg\":\"none\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"none\",\"alg\":\"ES256\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"crit\":[\"exp\"],\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"b64\":false,\"crit\":[\"b64\"],\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"crit\":[],\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"jku\":\"https://example.invalid/jwks\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"kid\":\"KID\",\"typ\":\"JWT\",\"x5u\":\"https://example.invalid/cert\"}",
        "{\"alg\":\"ES256\",\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\"},\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"kid\":\"KID\",\"typ\":\"JWT\",\"x5c\":[\"MIIB\"]}",
        "{\"alg\":\"ES256\",\"kid\":\"KID\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"ES256\",\"kid\":\"KID\",\"typ\":\"JWE\"}",
        "{\"alg\":\"ES256\",\"kid\":\"KID\"}",
        "{\"alg\":\"ES256\",\"cty\":\"JWT\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"kid\":\"KID\",\"typ\":\"JWT\",\"zip\":\"DEF\"}",
        "{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        " {\"alg\":\"ES256\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{}",
        "[]",
        "null",
        "",
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        char header[256] = "";
        const char *at = strstr(headers[i], "KID");
        if (at != NULL)
            snprintf(header, sizeof(header), "%.*s%s%s", (int)(at - headers[i]), headers[i], key.kid, at + 3);
        else
            snprintf(header, sizeof(header), "%s", headers[i]);
        struct buffer token = forge_with(&key, header, GOOD);
        expect_refused(&token, headers[i]);
    }
}

/* Each is signed correctly with our own key and has our header: it is the claims that refuse it. */
static void test_claims(void **state)
{
    (void)state;
    static const char *const claims[] = {
        "{\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":null,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":\"1800003600\",\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":-1,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":0,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":1e999,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":1800003600.5,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":9223372036854775807,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":99999999999999999999,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":4000000000,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":true,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":[1800003600],\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":1,\"exp\":1800003600,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":1800003600,\"nbf\":1800003000,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":1800003600,\"nbf\":\"now\",\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":1800003600,\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":1800003600,\"iss\":\"somebody else\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":1800003600,\"iss\":[\"rma-coordinator\"],\"join\":\"j\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":1800003600,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\"}",
        "{\"exp\":1800003600,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":\"\"}",
        "{\"exp\":1800003600,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"worker\",\"sub\":7}",
        "{\"exp\":1800003600,\"iss\":\"rma-coordinator\",\"role\":\"worker\",\"sub\":\"w1\"}",
        "{\"exp\":1800003600,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"sub\":\"w1\"}",
        "{\"exp\":1800003600,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"root\",\"sub\":\"w1\"}",
        "{\"exp\":1800003600,\"iss\":\"rma-coordinator\",\"join\":\"j\",\"role\":\"admin\",\"sub\":\"w1\"}",
        "{\"exp\":1800003600,\"iss\":\"rma-coordinator\",\"role\":\"none\",\"sid\":\"s\",\"sub\":\"w1\"}",
        "[1800003600]",
        "\"exp\"",
        "{",
        "{}",
    };
    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        struct buffer token = forge_with(&key, header_of(&key), claims[i]);
        expect_refused(&token, claims[i]);
    }
}

static void test_a_token_of_another_key_is_none_of_ours(void **state)
{
    (void)state;
    struct buffer token = forge_with(&foreign_key, header_of(&foreign_key), GOOD);
    expect_refused(&token, "another fleet's");
    token = forge_with(&foreign_key, header_of(&key), GOOD);
    expect_refused(&token, "another fleet's key under our key's name");
    token = forge_with(&old_key, header_of(&key), GOOD);
    expect_refused(&token, "one of our keys under the other's name");
}

/* The public key is known to everybody: it must not serve as the secret of an HMAC. */
static void test_the_public_key_is_no_secret(void **state)
{
    (void)state;
    const struct str secrets[] = {buffer_str(&key.public_pem), str_from(key.kid), str_from(key.x), STR("")};
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        char header[128];
        unsigned char mac[EVP_MAX_MD_SIZE];
        unsigned len;
        struct buffer token = BUFFER_INIT;
        snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"kid\":\"%s\",\"typ\":\"JWT\"}", key.kid);
        append_part(&token, header, strlen(header));
        buffer_append(&token, STR("."));
        append_part(&token, GOOD, strlen(GOOD));
        HMAC(EVP_sha256(), secrets[i].ptr, (int)secrets[i].len, (const unsigned char *)token.ptr, token.len, mac, &len);
        buffer_append(&token, STR("."));
        append_part(&token, mac, len);
        expect_refused(&token, "HS256 with what is public as the secret");
    }
}

/* The good token with its third part replaced by `signature` in base64url. */
static struct buffer with_signature(const void *signature, size_t size)
{
    struct buffer token = BUFFER_INIT;
    append_part(&token, header_of(&key), strlen(header_of(&key)));
    buffer_append(&token, STR("."));
    append_part(&token, GOOD, strlen(GOOD));
    buffer_append(&token, STR("."));
    append_part(&token, signature, size);
    return token;
}

static void test_signatures(void **state)
{
    (void)state;
    unsigned char raw[64], wrong[128] = {0};
    struct buffer signed_text = BUFFER_INIT;
    append_part(&signed_text, header_of(&key), strlen(header_of(&key)));
    buffer_append(&signed_text, STR("."));
    append_part(&signed_text, GOOD, strlen(GOOD));
    sign(&signed_text, &key, raw);
    buffer_fini(&signed_text);

    struct buffer token = with_signature(wrong, 64);
    expect_refused(&token, "r and s are 0"); /* the one of CVE-2022-21449 */
    memcpy(wrong, raw, 32);
    token = with_signature(wrong, 64);
    expect_refused(&token, "s is 0");
    memset(wrong, 0, 32);
    memcpy(wrong + 32, raw + 32, 32);
    token = with_signature(wrong, 64);
    expect_refused(&token, "r is 0");
    memset(wrong, 0xff, 64);
    token = with_signature(wrong, 64);
    expect_refused(&token, "r and s are beyond the order");
    memcpy(wrong, raw, 64);
    token = with_signature(wrong, 63);
    expect_refused(&token, "a byte less");
    token = with_signature(wrong, 65);
    expect_refused(&token, "a byte more");
    token = with_signature(wrong, 0);
    expect_refused(&token, "none");
    memcpy(wrong + 64, raw, 64);
    token = with_signature(wrong, 128);
    expect_refused(&token, "twice");
    unsigned char der[72] = {0x30, 68, 0x02, 32};
    memcpy(der + 4, raw, 32);
    der[36] = 0x02;
    der[37] = 32;
    memcpy(der + 38, raw + 32, 32);
    token = with_signature(der, 70);
    expect_refused(&token, "in DER");
}

static void test_forms(void **state)
{
    (void)state;
    struct buffer good = forge_with(&key, header_of(&key), GOOD);
    struct str text = buffer_str(&good), rest = text, header = str_cut(&rest, '.'), payload = str_cut(&rest, '.');
    struct buffer tokens[10] = {0};
    buffer_printf(&tokens[0], "%.*s.%.*s", STR_PRINTF(header), STR_PRINTF(payload));
    buffer_printf(&tokens[1], "%.*s.%.*s.", STR_PRINTF(header), STR_PRINTF(payload));
    buffer_printf(&tokens[2], "%.*s.e30", STR_PRINTF(text));
    buffer_printf(&tokens[3], "%.*s.", STR_PRINTF(text));
    buffer_printf(&tokens[4], ".%.*s", STR_PRINTF(text));
    buffer_printf(&tokens[5], "%.*s==", STR_PRINTF(text));
    buffer_printf(&tokens[6], "%.*s\n", STR_PRINTF(text));
    buffer_printf(&tokens[7], "%.*s=.%.*s.%.*s", STR_PRINTF(header), STR_PRINTF(payload), STR_PRINTF(rest));
    buffer_printf(&tokens[8], "%.*s..%.*s", STR_PRINTF(header), STR_PRINTF(rest));
    buffer_append(&tokens[9], text);
    buffer_append(&tokens[9], (struct str){"\0", 1});
    for (size_t i = 0; i < 10; i++)
        expect_refused(&tokens[i], "another form");
    struct buffer empty = BUFFER_INIT;
    expect_refused(&empty, "nothing");
    struct buffer large = BUFFER_INIT;
    memset(buffer_reserve(&large, 1 << 20), 'A', 1 << 20);
    large.len = 1 << 20;
    expect_refused(&large, "1 MiB");
    buffer_append(&large, text);
    buffer_append(&large, STR("."));
    while (large.len <= JWT_TOKEN_MAX)
        buffer_append(&large, STR("A"));
    expect_refused(&large, "a byte more than may be");
    /* a signature whose last character has bits that stand for nothing is another text for the same bytes */
    char *last = &good.ptr[good.len - 1];
    *last = *last == 'Z' ? '9' : (char)(*last + 1);
    expect_refused(&good, "leftover bits that are not 0");
}

/* A valid token is changed by one bit at every byte: none of them is accepted. */
static void test_a_token_that_is_changed_by_one_bit(void **state)
{
    (void)state;
    struct buffer good = forge_with(&key, header_of(&key), GOOD);
    for (size_t at = 0; at < good.len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            struct jwt_claims claims;
            good.ptr[at] = (char)(good.ptr[at] ^ (1 << bit));
            assert_int_not_equal(check(buffer_str(&good), &claims), JWT_FINE);
            good.ptr[at] = (char)(good.ptr[at] ^ (1 << bit));
        }
    }
    buffer_fini(&good);
}

static void test_a_key_survives_being_written_and_read(void **state)
{
    (void)state;
    struct signing_key again;
    assert_int_equal(signing_key_read(buffer_str(&key.private_pem), &again), ERR_NONE);
    assert_string_equal(again.kid, key.kid);
    assert_string_equal(again.public_pem.ptr, key.public_pem.ptr);
    signing_key_fini(&again);
    struct str public_half = buffer_str(&key.public_pem);
    assert_int_equal(signing_key_read(public_half, &again), ERR_INVALID);
    assert_int_equal(signing_key_read(STR("-----BEGIN PRIVATE KEY-----\n"), &again), ERR_INVALID);
    assert_int_equal(signing_key_read(STR(""), &again), ERR_INVALID);
}

static void assert_keys(struct buffer *file, size_t count)
{
    struct signing_keys keys;
    assert_int_equal(signing_keys_read(buffer_str(file), &keys), count > 0 ? ERR_NONE : ERR_INVALID);
    if (count == 0)
        return;
    assert_int_equal(keys.count, count);
    assert_string_equal(keys.keys[0].kid, key.kid);
    assert_string_equal(keys.keys[count - 1].kid, count > 1 ? old_key.kid : key.kid);
    while (keys.count > 0)
        signing_key_fini(&keys.keys[--keys.count]);
}

static void test_a_file_has_the_key_that_signs_and_those_before(void **state)
{
    (void)state;
    struct buffer file = BUFFER_INIT;
    assert_keys(&file, 0);
    buffer_append(&file, STR("# ours\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"));
    assert_keys(&file, 0);
    buffer_append(&file, buffer_str(&key.private_pem));
    assert_keys(&file, 1);
    buffer_append(&file, STR("\r\n# until Sunday:\n\n"));
    buffer_append(&file, buffer_str(&key.public_pem));
    for (size_t count = 2; count <= SIGNING_KEYS_MAX; count++) {
        buffer_append(&file, buffer_str(&old_key.private_pem));
        assert_keys(&file, count);
    }
    buffer_append(&file, buffer_str(&old_key.private_pem));
    assert_keys(&file, 0);
    buffer_fini(&file);
    buffer_append(&file, buffer_str(&key.private_pem));
    buffer_append(&file, (struct str){old_key.private_pem.ptr, old_key.private_pem.len / 2});
    assert_keys(&file, 0);
    buffer_fini(&file);
}

/* The text of a token's second part. */
static void read_claims(struct str token, char claims[512])
{
    size_t len;
    (void)str_cut(&token, '.');
    assert_true(base64url_decode(str_cut(&token, '.'), claims, 511, &len));
    claims[len] = '\0';
}

static void test_a_dispatch_token_of_a_shared_secret(void **state)
{
    (void)state;
    struct buffer token = BUFFER_INIT;
    struct jwt_claims claims;
    char text[512];
    static const unsigned char secret[] = "a secret of at least 32 bytes ......";
    buffer_append(&token, STR("Bearer "));
    dispatch_token_share((struct str){(const char *)secret, sizeof(secret) - 1}, STR("anna"), NOW + 60, &token);
    buffer_append(&token, (struct str){"", 1});
    struct str own = {token.ptr + 7, token.len - 8};
    read_claims(own, text);
    assert_string_equal(text, "{\"exp\":1800000060,\"sub\":\"anna\"}");
    assert_int_equal(check(own, &claims), JWT_INVALID);
    jwt_t *jwt;
    assert_int_equal(jwt_decode(&jwt, own.ptr, secret, (int)sizeof(secret) - 1), 0);
    assert_int_equal(jwt_get_alg(jwt), JWT_ALG_HS256);
    jwt_free(jwt);
    buffer_fini(&token);
}

static void test_a_dispatch_token_of_our_key_opens_nothing_here(void **state)
{
    (void)state;
    struct buffer token = BUFFER_INIT;
    struct jwt_claims claims;
    char text[512];
    dispatch_token_sign(&key, STR("anna"), STR("w1"), NOW + 60, &token);
    read_claims(buffer_str(&token), text);
    assert_string_equal(text, "{\"aud\":\"w1\",\"exp\":1800000060,\"iss\":\"rma-coordinator\",\"sub\":\"anna\"}");
    assert_int_equal(check(buffer_str(&token), &claims), JWT_INVALID);
    buffer_append(&token, (struct str){"", 1});
    jwt_t *jwt;
    assert_int_equal(jwt_decode(&jwt, token.ptr, (const unsigned char *)key.public_pem.ptr, (int)key.public_pem.len), 0);
    jwt_free(jwt);
    buffer_fini(&token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_we_issue_is_accepted),
        cmocka_unit_test(test_the_forger_of_these_tests_can_sign),
        cmocka_unit_test(test_an_expired_token_is_told_from_a_forged_one),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_a_token_of_another_key_is_none_of_ours),
        cmocka_unit_test(test_the_public_key_is_no_secret),
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_a_token_that_is_changed_by_one_bit),
        cmocka_unit_test(test_a_key_survives_being_written_and_read),
        cmocka_unit_test(test_a_file_has_the_key_that_signs_and_those_before),
        cmocka_unit_test(test_a_dispatch_token_of_a_shared_secret),
        cmocka_unit_test(test_a_dispatch_token_of_our_key_opens_nothing_here),
    };
    return cmocka_run_group_tests(tests, make_keys, end_keys);
}
