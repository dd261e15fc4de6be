#include "instance/web.h"

#include "base/inet.h"
#include "model/address.h"

#include <stdio.h>

/* Whether `text` has only visible ASCII, without a query, a fragment, and characters that no URL has. */
static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~' || strchr("\"<>\\^`{|}?#", text.ptr[i]) != NULL)
            return false;
    return true;
}

/* Reads "scheme://host[:port][/path]". On an error *why says what is wrong. */
static enum err read_place(struct str text, struct place *place, const char **why)
{
    *why = "it must be a URL like https://host.example";
    if (text.len == 0 || memmem(text.ptr, text.len, "://", 3) == NULL)
        return ERR_INVALID;
    *why = "it has blanks, a query, a fragment or characters that no URL has";
    if (!is_plain(text))
        return ERR_INVALID;
    *why = "its scheme, host or port is none";
    const char *scheme_end = (const char *)memmem(text.ptr, text.len, "://", 3) + 3;
    if (memmem(scheme_end, text.len - (size_t)(scheme_end - text.ptr), "://", 3) != NULL || place_read_url(text, place) != NULL ||
        place->scheme[0] == '\0' || place->reach == REACH_NOWHERE)
        return ERR_INVALID;
    *why = "it must not hold a user";
    return place->had_user ? ERR_INVALID : ERR_NONE;
}

enum err web_read_public_url(struct str text, struct buffer *out, char why[256])
{
    struct place place;
    const char *fault;
    text = str_trim(text);
    if (text.len == 0)
        return ERR_NONE;
    enum err err = read_place(text, &place, &fault);
    if (err == ERR_NONE && !place_is_web(&place)) {
        fault = "it must be an http or https URL";
        err = ERR_INVALID;
    }
    if (err != ERR_NONE) {
        snprintf(why, 256, "PUBLIC_URL: %s, not \"%.*s\"", fault, text.len < 64 ? (int)text.len : 64, text.ptr);
        return err;
    }
    while (place.rest.len > 0 && place.rest.ptr[place.rest.len - 1] == '/')
        place.rest.len--;
    place_write(out, &place);
    return ERR_NONE;
}

/* Appends one origin in its normal form. */
static enum err read_origin(struct str text, struct buffer *out, const char **why)
{
    char room[ADDRESS_SCHEME_MAX + ADDRESS_HOST_MAX + 16]; /* without "*." */
    struct place place;
    const char *star = memmem(text.ptr, text.len, "://*.", 5);
    size_t before = star != NULL ? (size_t)(star - text.ptr) + 3 : 0;
    if (star != NULL && text.len < sizeof(room)) {
        memcpy(room, text.ptr, before);
        memcpy(room + before, text.ptr + before + 2, text.len - before - 2);
        text = (struct str){room, text.len - 2};
    }
    enum err err = read_place(text, &place, why);
    if (err != ERR_NONE)
        return err;
    *why = "an origin has no path";
    if (place.rest.len > 0 && !str_eq(place.rest, STR("/")))
        return ERR_INVALID;
    *why = "only names have subdomains";
    if (star != NULL && inet_is_address(str_from(place.host)))
        return ERR_INVALID;
    place.rest = STR("");
    size_t start = out->len;
    place_write(out, &place);
    if (star != NULL) { /* puts the "*." back after the scheme */
        size_t at = start + strlen(place.scheme) + 3;
        buffer_reserve(out, 2);
        memmove(out->ptr + at + 2, out->ptr + at, out->len - at);
        out->ptr[at] = '*';
        out->ptr[at + 1] = '.';
        out->len += 2;
    }
    return ERR_NONE;
}

enum err web_read_origins(struct str text, struct buffer *out, char why[256])
{
    while (text.ptr != NULL) {
        struct str each = str_trim(str_cut(&text, ','));
        const char *fault = "list real origins, or * for any; null is every page without one";
        if (each.len == 0)
            continue;
        if (str_eq(each, STR("*"))) {
            out->len = 0;
            buffer_append(out, STR("*"));
            return ERR_NONE;
        }
        if (out->len > 0)
            buffer_append(out, STR(","));
        if (str_eq_nocase(each, STR("null")) || read_origin(each, out, &fault) != ERR_NONE) {
            snprintf(why, 256, "ALLOWED_ORIGINS: %s, not \"%.*s\"", fault, each.len < 64 ? (int)each.len : 64, each.ptr);
            return ERR_INVALID;
        }
    }
    return ERR_NONE;
}
