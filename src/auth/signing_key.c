#include "auth/signing_key.h"

#include "auth/base64.h"
#include "base/json_writer.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdlib.h>

#define COORDINATE_BYTES 32
#define CURVE "prime256v1"

/* Writes a coordinate of the public point in base64url: 43 characters and a NUL. */
static bool read_coordinate(const EVP_PKEY *pkey, const char *name, char out[44])
{
    BIGNUM *number = NULL;
    unsigned char bytes[COORDINATE_BYTES];
    if (EVP_PKEY_get_bn_param(pkey, name, &number) != 1)
        return false;
    bool fits = BN_bn2binpad(number, bytes, sizeof(bytes)) == (int)sizeof(bytes);
    BN_free(number);
    if (!fits)
        return false;
    struct buffer text = BUFFER_INIT;
    base64url_encode(&text, bytes, sizeof(bytes));
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    buffer_fini(&text);
    return true;
}

/* Makes the key's name (RFC 7638): the SHA-256 of its required members, in the order of their names. */
static void name_key(struct signing_key *key)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct buffer text = BUFFER_INIT;
    json_begin_object(&text, NULL);
    json_add_text(&text, "crv", STR("P-256"));
    json_add_text(&text, "kty", STR("EC"));
    json_add_text(&text, "x", str_from(key->x));
    json_add_text(&text, "y", str_from(key->y));
    json_end_object(&text);
    SHA256((const unsigned char *)text.ptr, text.len, digest);
    buffer_fini(&text);
    base64url_encode(&text, digest, sizeof(digest));
    memcpy(key->kid, text.ptr, text.len);
    key->kid[text.len] = '\0';
    buffer_fini(&text);
}

/* Moves what was written to `bio` into a buffer that ends with a NUL. Frees `bio`. */
static void take_text(BIO *bio, struct buffer *out)
{
    char *text;
    long len = BIO_get_mem_data(bio, &text);
    buffer_append(out, (struct str){text, (size_t)len});
    *buffer_reserve(out, 1) = '\0';
    BIO_free(bio);
}

static enum err fill_in(EVP_PKEY *pkey, struct signing_key *out)
{
    char group[32];
    size_t len;
    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_EC || EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) != 1 ||
        strcmp(group, CURVE) != 0)
        return ERR_INVALID;
    struct signing_key key = {.private_pem = BUFFER_INIT, .public_pem = BUFFER_INIT};
    if (!read_coordinate(pkey, OSSL_PKEY_PARAM_EC_PUB_X, key.x) || !read_coordinate(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, key.y))
        return ERR_INVALID;
    BIO *private_bio = BIO_new(BIO_s_mem()), *public_bio = BIO_new(BIO_s_mem());
    if (private_bio == NULL || public_bio == NULL)
        abort();
    bool written = PEM_write_bio_PKCS8PrivateKey(private_bio, pkey, NULL, NULL, 0, NULL, NULL) == 1 &&
                   PEM_write_bio_PUBKEY(public_bio, pkey) == 1;
    take_text(private_bio, &key.private_pem);
    take_text(public_bio, &key.public_pem);
    if (!written) {
        signing_key_fini(&key);
        return ERR_INVALID;
    }
    name_key(&key);
    *out = key;
    return ERR_NONE;
}

void signing_key_make(struct signing_key *out)
{
    EVP_PKEY *pkey = EVP_EC_gen(CURVE);
    if (pkey == NULL || fill_in(pkey, out) != ERR_NONE)
        abort();
    EVP_PKEY_free(pkey);
}

/* Reads a private key as it stands in a PEM text. */
static enum err decode(const char *name, const char *header, const unsigned char *bytes, long len, struct signing_key *out)
{
    /* a header, and another name, say that it is encrypted */
    bool plain = header[0] == '\0' && (strcmp(name, "PRIVATE KEY") == 0 || strcmp(name, "EC PRIVATE KEY") == 0);
    EVP_PKEY *pkey = plain ? d2i_AutoPrivateKey(NULL, &bytes, len) : NULL;
    if (pkey == NULL)
        return ERR_INVALID;
    enum err err = fill_in(pkey, out);
    EVP_PKEY_free(pkey);
    return err;
}

/* Reads the next private key of a PEM text. ERR_INVALID: it can't be used. ERR_NO_SUCH: there is no other. */
static enum err read_next(BIO *bio, struct signing_key *out)
{
    enum err err = ERR_NO_SUCH;
    char *name, *header;
    unsigned char *bytes;
    long len;
    while (err == ERR_NO_SUCH && PEM_read_bio(bio, &name, &header, &bytes, &len) == 1) {
        if (strstr(name, "PRIVATE KEY") != NULL)
            err = decode(name, header, bytes, len, out);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(bytes, (size_t)len);
    }
    if (err == ERR_NO_SUCH && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        err = ERR_INVALID;
    ERR_clear_error();
    return err;
}

enum err signing_keys_read(struct str pem, struct signing_keys *out)
{
    struct signing_keys keys = {.count = 0};
    struct signing_key key;
    enum err err;
    if (pem.len == 0)
        return ERR_INVALID;
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    if (bio == NULL)
        abort();
    while ((err = read_next(bio, &key)) == ERR_NONE && keys.count < SIGNING_KEYS_MAX)
        keys.keys[keys.count++] = key;
    BIO_free(bio);
    if (err == ERR_NO_SUCH && keys.count > 0) {
        *out = keys;
        return ERR_NONE;
    }
    if (err == ERR_NONE)
        signing_key_fini(&key);
    while (keys.count > 0)
        signing_key_fini(&keys.keys[--keys.count]);
    return ERR_INVALID;
}

enum err signing_key_read(struct str pem, struct signing_key *out)
{
    struct signing_keys keys;
    if (pem.len > SIGNING_KEY_PEM_MAX || signing_keys_read(pem, &keys) != ERR_NONE)
        return ERR_INVALID;
    *out = keys.keys[0];
    while (keys.count > 1)
        signing_key_fini(&keys.keys[--keys.count]);
    return ERR_NONE;
}

void signing_key_fini(struct signing_key *key)
{
    buffer_wipe(&key->private_pem);
    buffer_fini(&key->public_pem);
}

void signing_key_write_jwk(struct buffer *out, const struct signing_key *key)
{
    json_begin_object(out, NULL);
    json_add_text(out, "kty", STR("EC"));
    json_add_text(out, "crv", STR("P-256"));
    json_add_text(out, "x", str_from(key->x));
    json_add_text(out, "y", str_from(key->y));
    json_add_text(out, "kid", str_from(key->kid));
    json_add_text(out, "use", STR("sig"));
    json_add_text(out, "alg", STR("ES256"));
    json_end_object(out);
}
