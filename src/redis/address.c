#include "redis/address.h"

#include "base/percent.h"

#include <stdio.h>

/* Copies a percent-encoded part of a URL into `room` of `size` bytes, decoded and terminated; false when it does not fit or is none. */
static bool decode(struct str text, char *room, size_t size)
{
    struct str decoded;
    if (!percent_decode(text, false, room, size - 1, &decoded) || memchr(room, '\0', decoded.len) != NULL)
        return false;
    room[decoded.len] = '\0';
    return true;
}

/* Parses a decimal number of 0 to `max`; an absent or empty text is `otherwise`. */
static bool number(struct str text, int max, int otherwise, int *out)
{
    int value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (text.ptr[i] - '0');
        if (value > max)
            return false;
    }
    *out = text.len > 0 ? value : otherwise;
    return true;
}

static bool skip(struct str *text, struct str prefix)
{
    if (text->len < prefix.len || memcmp(text->ptr, prefix.ptr, prefix.len) != 0)
        return false;
    text->ptr += prefix.len;
    text->len -= prefix.len;
    return true;
}

static enum err parse_unix(struct str rest, struct address *out, const char **why)
{
    struct str path = str_cut(&rest, '?');
    if (!decode(path, out->path, sizeof(out->path)) || out->path[0] != '/') {
        *why = "the path of the socket must be absolute and at most 107 bytes long: unix:///run/redis.sock";
        return ERR_INVALID;
    }
    if (rest.ptr != NULL && (!skip(&rest, STR("db=")) || !number(rest, 1000000, 0, &out->db))) {
        *why = "only ?db=N may follow the path of the socket";
        return ERR_INVALID;
    }
    return ERR_NONE;
}

static enum err parse_tcp(struct str rest, struct address *out, const char **why)
{
    struct str authority = str_cut(&rest, '/');
    const char *at = authority.len > 0 ? memrchr(authority.ptr, '@', authority.len) : NULL;
    if (at != NULL) {
        struct str password = {authority.ptr, (size_t)(at - authority.ptr)};
        struct str user = str_cut(&password, ':');
        authority.len -= (size_t)(at + 1 - authority.ptr);
        authority.ptr = at + 1;
        if (!decode(user, out->user, sizeof(out->user)) || !decode(password, out->password, sizeof(out->password))) {
            *why = "the user or password is too long or badly percent-encoded";
            return ERR_INVALID;
        }
    }
    struct str host;
    if (skip(&authority, STR("["))) { /* an IPv6 address */
        host = str_cut(&authority, ']');
        if (authority.ptr == NULL || (authority.len > 0 && !skip(&authority, STR(":")))) {
            *why = "an IPv6 address stands in brackets: redis://[fdaa::3]:6379";
            return ERR_INVALID;
        }
    } else {
        host = str_cut(&authority, ':');
    }
    if (host.len == 0 || !decode(host, out->host, sizeof(out->host))) {
        *why = "the host is missing: redis://[user:password@]host:port/db";
        return ERR_INVALID;
    }
    if (!number(authority, 65535, 6379, &out->port) || out->port == 0) {
        *why = "the port must be 1 to 65535";
        return ERR_INVALID;
    }
    if (!number(rest, 1000000, 0, &out->db)) {
        *why = "the database after the last / must be a number";
        return ERR_INVALID;
    }
    return ERR_NONE;
}

enum err address_parse(struct str url, struct address *out, const char **why)
{
    struct address address = {.port = 0};
    enum err err;
    if (skip(&url, STR("redis://"))) {
        err = parse_tcp(url, &address, why);
    } else if (skip(&url, STR("unix://"))) {
        err = parse_unix(url, &address, why);
    } else {
        *why = "it must begin with redis:// or unix://";
        err = ERR_INVALID;
    }
    if (err == ERR_NONE)
        *out = address;
    return err;
}

const char *address_place(const struct address *address, char room[ADDRESS_PLACE_MAX])
{
    bool is_unix = address->path[0] != '\0';
    int len;
    if (is_unix)
        len = snprintf(room, ADDRESS_PLACE_MAX, "%s", address->path);
    else if (strchr(address->host, ':') != NULL)
        len = snprintf(room, ADDRESS_PLACE_MAX, "[%s]:%d", address->host, address->port);
    else
        len = snprintf(room, ADDRESS_PLACE_MAX, "%s:%d", address->host, address->port);
    if (address->db != 0)
        snprintf(room + len, ADDRESS_PLACE_MAX - (size_t)len, is_unix ? "?db=%d" : "/%d", address->db);
    return room;
}
