#include "auth/authorization.h"

#include "auth/base64.h"

/* Removes the scheme and the blanks after it from the front of *value. */
static bool take_scheme(struct str *value, struct str scheme)
{
    if (value->len <= scheme.len || !str_eq_nocase((struct str){value->ptr, scheme.len}, scheme) || value->ptr[scheme.len] != ' ')
        return false;
    *value = str_trim((struct str){value->ptr + scheme.len, value->len - scheme.len});
    return true;
}

static bool is_visible(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
            return false;
    return text.len > 0;
}

/* Decodes "user:password" and takes the password as the token. */
static bool decode_basic(struct str value, char room[AUTHORIZATION_TOKEN_MAX], struct str *token)
{
    size_t len;
    if (!base64_decode(value, room, AUTHORIZATION_TOKEN_MAX, &len))
        return false;
    struct str rest = {room, len};
    str_cut(&rest, ':');
    *token = rest;
    return rest.ptr != NULL;
}

static bool has_mark(struct str text)
{
    /* the last mark is the beginning of the header of our JWTs, see jwt.c */
    static const char *const marks[] = {"rmaj_", "rmaa_", "eyJhbGciOiJFUzI1NiIsImtpZCI6I"};
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (text.len > 0 && memmem(text.ptr, text.len, marks[i], strlen(marks[i])) != NULL)
            return true;
    return false;
}

bool authorization_may_hold_ours(struct str value)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct str text = str_trim(value);
    char room[AUTHORIZATION_TOKEN_MAX];
    size_t len = 0;
    if (has_mark(text))
        return true;
    if (!take_scheme(&text, STR("Basic")))
        return false;
    while (len < text.len && memchr(letters, text.ptr[len], sizeof(letters) - 1) != NULL)
        len++;
    /* decodes the valid beginning alone: another server may accept a value that we refuse for what follows it */
    return !base64_decode((struct str){text.ptr, len - len % 4}, room, sizeof(room), &len) || has_mark((struct str){room, len});
}

enum authorization authorization_parse(struct str value, char room[AUTHORIZATION_TOKEN_MAX], struct str *token)
{
    struct str found = str_trim(value);
    if (value.ptr == NULL)
        return AUTHORIZATION_NONE;
    if (take_scheme(&found, STR("Basic"))) {
        if (!decode_basic(found, room, &found))
            return AUTHORIZATION_BROKEN;
    } else if (!take_scheme(&found, STR("Bearer"))) {
        bool bare = str_eq_nocase(found, STR("Bearer")) || str_eq_nocase(found, STR("Basic"));
        return bare ? AUTHORIZATION_BROKEN : AUTHORIZATION_OTHER;
    }
    if (found.len > AUTHORIZATION_TOKEN_MAX || !is_visible(found))
        return AUTHORIZATION_BROKEN;
    *token = found;
    return AUTHORIZATION_TOKEN;
}
