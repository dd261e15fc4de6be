#include "auth/password.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#define PREFIX "$y$"
/* Stands in for a hash that is missing or invalid, so that the check takes as long as with a real one. */
#define NOBODY "$y$j9T$4kkJfrO.VdTuBVU3089/z/$i02MotqwfB/pnYlIMS2g0g.UHzR9NB7Mf8j8mnsvP34"

const char *password_fault(struct str password)
{
    static const char *const defaults[] = {"admin123", "password", "change-this-secret-key-in-production", "12345678"};
    size_t characters = 0;
    for (size_t i = 0; i < password.len; i++)
        characters += ((unsigned char)password.ptr[i] & 0xc0) != 0x80;
    if (characters < PASSWORD_MIN)
        return "the password must have at least 8 characters";
    if (password.len > PASSWORD_MAX)
        return "the password must have at most 256 bytes";
    if (memchr(password.ptr, '\0', password.len) != NULL)
        return "the password must not contain a NUL";
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
        if (str_eq_nocase(password, str_from(defaults[i])))
            return "this password is known to everybody: choose another one";
    return NULL;
}

/* Hashes `password` with the salt and parameters in `setting`. Returns false if crypt_r fails. */
static bool run_crypt(struct str password, const char *setting, char hash[PASSWORD_HASH_MAX])
{
    char phrase[PASSWORD_MAX + 1];
    struct crypt_data *data = calloc(1, sizeof(*data)); /* 32 KB: too much for a small stack */
    if (data == NULL)
        abort();
    memcpy(phrase, password.ptr, password.len);
    phrase[password.len] = '\0';
    const char *result = crypt_r(phrase, setting, data);
    bool fine = result != NULL && result[0] == '$' && strlen(result) < PASSWORD_HASH_MAX;
    if (fine)
        memcpy(hash, result, strlen(result) + 1);
    OPENSSL_cleanse(phrase, sizeof(phrase));
    OPENSSL_cleanse(data, sizeof(*data));
    free(data);
    return fine;
}

enum err password_hash(struct str password, char hash[PASSWORD_HASH_MAX])
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    if (password_fault(password) != NULL)
        return ERR_INVALID;
    if (crypt_gensalt_rn(PREFIX, 0, NULL, 0, setting, sizeof(setting)) == NULL || !run_crypt(password, setting, hash))
        abort();
    return ERR_NONE;
}

bool password_matches(struct str password, const char *hash)
{
    char again[PASSWORD_HASH_MAX];
    bool can_be = hash != NULL && strncmp(hash, PREFIX, sizeof(PREFIX) - 1) == 0 && strlen(hash) < PASSWORD_HASH_MAX &&
                  password.len <= PASSWORD_MAX && (password.len == 0 || memchr(password.ptr, '\0', password.len) == NULL);
    if (!can_be) {
        password = STR("");
        hash = NOBODY;
    }
    bool same = run_crypt(password, hash, again) && strlen(again) == strlen(hash) && CRYPTO_memcmp(again, hash, strlen(hash)) == 0;
    return can_be && same;
}

void password_tag(const char *hash, char tag[PASSWORD_TAG_LEN + 1])
{
    unsigned char digest[SHA_DIGEST_LENGTH];
    SHA1((const unsigned char *)hash, strlen(hash),
         digest); /* Redis's scripts have no other digest; it need only change when the hash does */
    for (int i = 0; i < PASSWORD_TAG_LEN / 2; i++)
        snprintf(tag + 2 * i, 3, "%02x", digest[i]);
}
