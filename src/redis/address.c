#include "redis/address.h"

#include "base/percent.h"

#include <stdio.h>
#include <strings.h>

#define DB_MAX 1000000

/*
 * Decodes a percent-encoded part of a URL into `room` of `size` bytes, and ends it with a NUL. Returns false if it is malformed,
 * does not fit, or has a NUL in it.
 */
static bool decode_part(struct str text, char *room, size_t size)
{
    struct str decoded;
    if (!percent_decode(text, false, room, size - 1, &decoded) || memchr(room, '\0', decoded.len) != NULL)
        return false;
    room[decoded.len] = '\0';
    return true;
}

/* Parses a decimal number of 0 to `max`; an absent or empty text is `otherwise`. */
static bool read_number(struct str text, int max, int otherwise, int *out)
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

static bool skip_prefix(struct str *text, struct str prefix)
{
    if (text->len < prefix.len || memcmp(text->ptr, prefix.ptr, prefix.len) != 0)
        return false;
    text->ptr += prefix.len;
    text->len -= prefix.len;
    return true;
}

/* Reads what follows a "?" into `out`: database, user and password; sentinels: also the user and password of the Sentinels. */
static bool parse_options(struct str rest, bool sentinels, struct address *out, const char **why)
{
    while (rest.ptr != NULL) {
        struct str option = str_cut(&rest, '&');
        bool good = skip_prefix(&option, STR("db=")) ? option.len > 0 && read_number(option, DB_MAX, 0, &out->db)
                    : skip_prefix(&option, STR("user=")) || skip_prefix(&option, STR("username="))
                        ? decode_part(option, out->user, sizeof(out->user))
                    : skip_prefix(&option, STR("password=")) ? decode_part(option, out->password, sizeof(out->password))
                    : sentinels && skip_prefix(&option, STR("sentinel_user="))
                        ? decode_part(option, out->sentinel_user, sizeof(out->sentinel_user))
                        : sentinels && skip_prefix(&option, STR("sentinel_password=")) &&
                              decode_part(option, out->sentinel_password, sizeof(out->sentinel_password));
        if (!good) {
            *why = sentinels
                       ? "only db=N, user=, password=, sentinel_user= and sentinel_password=, with & between, may follow the ?"
                       : "only db=N, user= and password=, with & between, may follow the ?";
            return false;
        }
    }
    return true;
}

/* Takes "user:password@" off the front of *authority. */
static enum err take_credentials(struct str *authority, struct address *out, const char **why)
{
    const char *at = authority->len > 0 ? memrchr(authority->ptr, '@', authority->len) : NULL;
    if (at == NULL)
        return ERR_NONE;
    struct str password = {authority->ptr, (size_t)(at - authority->ptr)};
    struct str user = str_cut(&password, ':');
    authority->len -= (size_t)(at + 1 - authority->ptr);
    authority->ptr = at + 1;
    if (decode_part(user, out->user, sizeof(out->user)) && decode_part(password, out->password, sizeof(out->password)))
        return ERR_NONE;
    *why = user.len > ADDRESS_SECRET_MAX || password.len > ADDRESS_SECRET_MAX
               ? "the user and the password may have at most 512 bytes each"
               : "a % in the user or password is written %25, other special characters likewise: / is %2F, @ is %40";
    return ERR_INVALID;
}

/* unix:///path, unix://user:password@/path */
static enum err parse_unix(struct str rest, struct address *out, const char **why)
{
    struct str path = str_cut(&rest, '?'), authority = path;
    if (path.len > 0 && path.ptr[0] != '/') { /* the user and the password stand before the last "@/" */
        const char *slash = NULL;
        for (size_t i = 0; i + 1 < path.len; i++)
            if (path.ptr[i] == '@' && path.ptr[i + 1] == '/')
                slash = path.ptr + i + 1;
        if (slash != NULL) {
            authority.len = (size_t)(slash - authority.ptr);
            path.len -= authority.len;
            path.ptr = slash;
            enum err err = take_credentials(&authority, out, why);
            if (err != ERR_NONE)
                return err;
        }
    }
    if (!decode_part(path, out->path, sizeof(out->path)) || out->path[0] != '/') {
        *why = "the path of the socket must be absolute and at most 107 bytes long: unix:///run/redis.sock, "
               "unix://user:password@/run/redis.sock";
        return ERR_INVALID;
    }
    return parse_options(rest, false, out, why) ? ERR_NONE : ERR_INVALID;
}

/* Parses "host", "host:port", "[address]" or "[address]:port". */
static enum err parse_endpoint(struct str text, int default_port, struct endpoint *out, const char **why)
{
    struct str host;
    if (skip_prefix(&text, STR("["))) { /* an IPv6 address */
        host = str_cut(&text, ']');
        if (text.ptr == NULL || (text.len > 0 && !skip_prefix(&text, STR(":")))) {
            *why = "an IPv6 address stands in brackets: redis://[fdaa::3]:6379";
            return ERR_INVALID;
        }
    } else {
        host = str_cut(&text, ':');
    }
    if (host.len == 0 || !decode_part(host, out->host, sizeof(out->host))) {
        *why = "the host is missing: redis://[user:password@]host:port/db";
        return ERR_INVALID;
    }
    if (text.len > 0 && memchr(text.ptr, ':', text.len) != NULL) {
        *why = "an IPv6 address stands in brackets: redis://[fdaa::3]:6379";
        return ERR_INVALID;
    }
    if (!read_number(text, 65535, default_port, &out->port) || out->port == 0) {
        *why = "the port must be 1 to 65535";
        return ERR_INVALID;
    }
    return ERR_NONE;
}

/*
 * Finds where the options begin: at the first ? that is followed by an option, or by no @. A ? may also be part of a password.
 * NULL: there are no options.
 */
static const char *find_options(struct str text)
{
    for (struct str rest = text; rest.len > 0; rest.ptr++, rest.len--) {
        struct str option = {rest.ptr + 1, rest.len - 1};
        if (rest.ptr[0] == '?' &&
            (skip_prefix(&option, STR("db=")) || skip_prefix(&option, STR("user")) || skip_prefix(&option, STR("password=")) ||
             skip_prefix(&option, STR("sentinel_")) || memchr(rest.ptr, '@', rest.len) == NULL))
            return rest.ptr;
    }
    return NULL;
}

/* Takes "user:password@host" off the front of *rest. Leaves "/path?options", each of which may be missing. */
static enum err cut_authority(struct str *rest, struct str *authority, const char **why)
{
    const char *options = find_options(*rest), *last = options != NULL ? options : rest->ptr + rest->len;
    const char *slash = memchr(rest->ptr, '/', (size_t)(last - rest->ptr)), *end = slash != NULL ? slash : last;
    *authority = (struct str){rest->ptr, (size_t)(end - rest->ptr)};
    rest->len -= authority->len;
    rest->ptr = end;
    if (memchr(end, '@', (size_t)(last - end)) == NULL)
        return ERR_NONE;
    *why = "a / in the user or password is written %2F, a ? is %3F, an @ is %40 and a % is %25";
    return ERR_INVALID;
}

static enum err parse_tcp(struct str rest, struct address *out, const char **why)
{
    struct str authority;
    enum err err = cut_authority(&rest, &authority, why);
    if (err == ERR_NONE)
        err = take_credentials(&authority, out, why);
    if (err == ERR_NONE)
        err = parse_endpoint(authority, 6379, &out->tcp, why);
    if (err != ERR_NONE)
        return err;
    (void)skip_prefix(&rest, STR("/"));
    struct str db = str_cut(&rest, '?');
    if (!read_number(db, DB_MAX, 0, &out->db)) {
        *why = "the database after the last / must be a number";
        return ERR_INVALID;
    }
    int in_path = out->db;
    if (!parse_options(rest, false, out, why))
        return ERR_INVALID;
    if (db.len > 0 && in_path != out->db) {
        *why = "the database after the last / and that of ?db= differ";
        return ERR_INVALID;
    }
    return ERR_NONE;
}

static enum err parse_sentinels(struct str rest, struct address *out, const char **why)
{
    struct str authority;
    enum err err = cut_authority(&rest, &authority, why);
    (void)skip_prefix(&rest, STR("/"));
    struct str name = str_cut(&rest, '?');
    if (err == ERR_NONE)
        err = take_credentials(&authority, out, why);
    while (err == ERR_NONE && authority.ptr != NULL) {
        if (out->sentinel_count == ADDRESS_SENTINELS_MAX) {
            *why = "it names more than 9 Sentinels";
            return ERR_INVALID;
        }
        err = parse_endpoint(str_cut(&authority, ','), 26379, &out->sentinels[out->sentinel_count++], why);
    }
    if (err != ERR_NONE)
        return err;
    if (name.len == 0 || !decode_part(name, out->primary, sizeof(out->primary))) {
        *why = "the name that the Sentinels know the primary by is missing: redis+sentinel://host:port,host:port/name";
        return ERR_INVALID;
    }
    return parse_options(rest, true, out, why) ? ERR_NONE : ERR_INVALID;
}

/* Takes a scheme, in letters of either case, off the front of *url. */
static bool skip_scheme(struct str *url, const char *scheme)
{
    size_t len = strlen(scheme);
    if (url->len < len || strncasecmp(url->ptr, scheme, len) != 0)
        return false;
    url->ptr += len;
    url->len -= len;
    return true;
}

enum err address_parse(struct str url, struct address *out, const char **why)
{
    struct address address = {.db = 0};
    enum err err;
    if (skip_scheme(&url, "redis://")) {
        err = parse_tcp(url, &address, why);
    } else if (skip_scheme(&url, "unix://")) {
        err = parse_unix(url, &address, why);
    } else if (skip_scheme(&url, "redis+sentinel://")) {
        err = parse_sentinels(url, &address, why);
    } else if (skip_scheme(&url, "rediss://")) {
        *why = "this coordinator speaks no TLS to Redis; docs/redis.md says how to put a tunnel in between";
        err = ERR_INVALID;
    } else {
        *why = "it must begin with redis://, redis+sentinel:// or unix://";
        err = ERR_INVALID;
    }
    if (err == ERR_NONE)
        *out = address;
    return err;
}

const char *endpoint_place(const struct endpoint *endpoint, char room[ADDRESS_PLACE_MAX])
{
    snprintf(room, ADDRESS_PLACE_MAX, strchr(endpoint->host, ':') != NULL ? "[%s]:%d" : "%s:%d", endpoint->host, endpoint->port);
    return room;
}

bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

bool endpoint_read(struct str text, struct endpoint *out)
{
    const char *colon = text.len > 0 ? memrchr(text.ptr, ':', text.len) : NULL;
    if (colon == NULL || (size_t)(colon - text.ptr) > ADDRESS_HOST_MAX)
        return false;
    size_t host_len = (size_t)(colon - text.ptr);
    int port;
    if (!read_number((struct str){colon + 1, text.len - host_len - 1}, 65535, 0, &port) || port == 0)
        return false;
    if (host_len > 0) {
        memcpy(out->host, text.ptr, host_len);
        out->host[host_len] = '\0';
    }
    out->port = port;
    return true;
}

const char *address_place(const struct address *address, char room[ADDRESS_PLACE_MAX])
{
    bool is_unix = address->path[0] != '\0';
    if (is_unix)
        snprintf(room, ADDRESS_PLACE_MAX, "%s", address->path);
    else if (address->primary[0] != '\0')
        snprintf(room, ADDRESS_PLACE_MAX, "sentinel:%s", address->primary);
    else
        endpoint_place(&address->tcp, room);
    size_t len = strlen(room);
    if (address->db != 0)
        snprintf(room + len, ADDRESS_PLACE_MAX - len, is_unix ? "?db=%d" : "/%d", address->db);
    return room;
}

bool address_has_secret(const struct address *address)
{
    return address->user[0] != '\0' || address->password[0] != '\0';
}
