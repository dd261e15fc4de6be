/* Credentials apart from JWTs: base64, the Authorization header, opaque tokens, passwords, roles. */
#include "auth/authorization.h"
#include "auth/base64.h"
#include "auth/password.h"
#include "auth/role.h"
#include "auth/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_base64url(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } pairs[] = {{"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"}, {"foob", "Zm9vYg"}, {"\xff\xfe\xfd\xfc", "__79_A"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct buffer out = BUFFER_INIT;
        char room[16];
        size_t len = 99, size = strlen(pairs[i].bytes);
        base64url_encode(&out, pairs[i].bytes, size);
        assert_true(str_eq(buffer_str(&out), str_from(pairs[i].text)));
        assert_true(base64url_decode(str_from(pairs[i].text), room, sizeof(room), &len));
        assert_int_equal(len, size);
        assert_memory_equal(room, pairs[i].bytes, size);
        buffer_fini(&out);
    }
    static const char *const wrong[] = {"Z", "Zg==", "Zh", "Zm9", "Zm9v\n", "Zm 9v", "Zm+v", "Zm/v", "Zm9vYg=", "Zm9v."};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char room[16];
        size_t len;
        assert_false(base64url_decode(str_from(wrong[i]), room, sizeof(room), &len));
    }
    char room[2];
    size_t len;
    assert_false(base64url_decode(STR("Zm9v"), room, sizeof(room), &len));
}

static void test_authorization(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        enum authorization result;
        const char *token;
    } cases[] = {
        {NULL, AUTHORIZATION_NONE, NULL},
        {"", AUTHORIZATION_OTHER, NULL},
        {"Bearer abc", AUTHORIZATION_TOKEN, "abc"},
        {"bearer   abc  ", AUTHORIZATION_TOKEN, "abc"},
        {"BEARER a.b-c_d~e+f/g=", AUTHORIZATION_TOKEN, "a.b-c_d~e+f/g="},
        {"Bearer", AUTHORIZATION_BROKEN, NULL},
        {"Bearer ", AUTHORIZATION_BROKEN, NULL},
        {"Bearer a b", AUTHORIZATION_BROKEN, NULL},
        {"Bearer a\tb", AUTHORIZATION_BROKEN, NULL},
        {"Bearer \xc3\xa4", AUTHORIZATION_BROKEN, NULL},
        {"Bearerabc", AUTHORIZATION_OTHER, NULL},
        {"Digest username=\"a\"", AUTHORIZATION_OTHER, NULL},
        {"Basic d29ya2VyOnRva2Vu", AUTHORIZATION_TOKEN, "token"}, /* worker:token */
        {"basic OnRva2Vu", AUTHORIZATION_TOKEN, "token"},         /* :token */
        {"Basic d29ya2VyOmE6Yg==", AUTHORIZATION_TOKEN, "a:b"},   /* worker:a:b */
        {"Basic d29ya2Vy", AUTHORIZATION_BROKEN, NULL},           /* worker */
        {"Basic d29ya2VyOg==", AUTHORIZATION_BROKEN, NULL},       /* worker: */
        {"Basic d29ya2VyOmEgYg==", AUTHORIZATION_BROKEN, NULL},   /* worker:a b */
        {"Basic d29ya2VyOmEAYg==", AUTHORIZATION_BROKEN, NULL},   /* with a NUL */
        {"Basic d29ya2VyOnRva2V", AUTHORIZATION_BROKEN, NULL},    /* cut off */
        {"Basic !!!!", AUTHORIZATION_BROKEN, NULL},
        {"Basic", AUTHORIZATION_BROKEN, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char room[AUTHORIZATION_TOKEN_MAX];
        struct str token = {NULL, 0};
        assert_int_equal(authorization_parse(str_from(cases[i].value), room, &token), cases[i].result);
        if (cases[i].token != NULL)
            assert_true(str_eq(token, str_from(cases[i].token)));
    }
}

static void test_an_endless_authorization(void **state)
{
    (void)state;
    char room[AUTHORIZATION_TOKEN_MAX];
    struct str token;
    struct buffer value = BUFFER_INIT;
    buffer_append(&value, STR("Bearer "));
    for (int i = 0; i < AUTHORIZATION_TOKEN_MAX; i++)
        buffer_append(&value, STR("a"));
    assert_int_equal(authorization_parse(buffer_str(&value), room, &token), AUTHORIZATION_TOKEN);
    buffer_append(&value, STR("a"));
    assert_int_equal(authorization_parse(buffer_str(&value), room, &token), AUTHORIZATION_BROKEN);
    buffer_fini(&value);
}

static void test_secrets(void **state)
{
    (void)state;
    for (enum secret_kind kind = SECRET_JOIN; kind <= SECRET_API; kind++) {
        struct buffer text = BUFFER_INIT, other = BUFFER_INIT;
        struct secret secret, second;
        secret_make(kind, &text);
        secret_make(kind, &other);
        assert_int_equal(text.len, SECRET_TEXT_LEN);
        assert_true(secret_parse(buffer_str(&text), &secret));
        assert_true(secret_parse(buffer_str(&other), &second));
        assert_int_equal(secret.kind, kind);
        assert_int_equal(secret.id.len, SECRET_ID_LEN);
        assert_false(str_eq(secret.id, second.id));
        assert_false(secret_digests_are_equal(secret.digest, second.digest));
        assert_true(secret_digests_are_equal(secret.digest, secret.digest));
        static const size_t places[] = {0, 3, 4, 5, 5 + SECRET_ID_LEN, SECRET_TEXT_LEN - 1};
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
            char before = text.ptr[places[i]];
            text.ptr[places[i]] = '!';
            assert_false(secret_parse(buffer_str(&text), &second));
            text.ptr[places[i]] = before;
        }
        assert_false(secret_parse((struct str){text.ptr, text.len - 1}, &second));
        buffer_append(&text, STR("A"));
        assert_false(secret_parse(buffer_str(&text), &second));
        buffer_fini(&text);
        buffer_fini(&other);
    }
}

static void test_a_digest_is_sha_256(void **state)
{
    (void)state;
    char digest[SECRET_DIGEST_LEN + 1];
    secret_digest(STR("abc"), digest); /* FIPS 180-2, appendix B.1 */
    assert_string_equal(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_passwords(void **state)
{
    (void)state;
    char hash[PASSWORD_HASH_MAX], other[PASSWORD_HASH_MAX];
    assert_int_equal(password_hash(STR("correct horse"), hash), ERR_NONE);
    assert_int_equal(password_hash(STR("correct horse"), other), ERR_NONE);
    assert_int_equal(strncmp(hash, "$y$", 3), 0);
    assert_string_not_equal(hash, other);
    assert_true(password_matches(STR("correct horse"), hash));
    assert_true(password_matches(STR("correct horse"), other));
    assert_false(password_matches(STR("correct horsf"), hash));
    assert_false(password_matches(STR(""), hash));
    assert_false(password_matches(STR("correct horse\0"), hash));
    assert_false(password_matches(STR("nobody's password, never used"), NULL));
    assert_false(password_matches(STR("correct horse"), ""));
    assert_false(password_matches(STR("correct horse"), "$1$abc$xyz"));
    assert_false(password_matches(STR("correct horse"), "correct horse"));
}

static void test_bad_passwords(void **state)
{
    (void)state;
    char hash[PASSWORD_HASH_MAX], longest[PASSWORD_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    const struct str bad[] = {STR(""),
                              STR("short"),
                              STR("admin123"),
                              STR("change-this-secret-key-in-production"),
                              STR("with\0a NUL in it"),
                              {longest, PASSWORD_MAX + 1},
                              STR("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4")};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_non_null(password_fault(bad[i]));
        assert_int_equal(password_hash(bad[i], hash), ERR_INVALID);
    }
    assert_null(password_fault((struct str){longest, PASSWORD_MAX}));
}

static void test_roles(void **state)
{
    (void)state;
    assert_int_equal(role_from_name(STR("operator")), ROLE_OPERATOR);
    assert_int_equal(role_from_name(STR("Operator")), ROLE_NONE);
    assert_int_equal(role_from_name(STR("none")), ROLE_NONE);
    assert_int_equal(role_from_name(STR("worker")), ROLE_NONE);
    assert_string_equal(role_name(ROLE_ADMIN), "admin");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64url),
        cmocka_unit_test(test_authorization),
        cmocka_unit_test(test_an_endless_authorization),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_a_digest_is_sha_256),
        cmocka_unit_test(test_passwords),
        cmocka_unit_test(test_bad_passwords),
        cmocka_unit_test(test_roles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
