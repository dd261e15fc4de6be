#include "model/address.h"

#include "base/ascii.h"
#include "model/placeholder.h"

#include <arpa/inet.h>
#include <math.h>

#define LABEL_MAX 63
#define NO_URL "must be a URL like \"https://host.example\""
#define NO_ADDRESS "must be an address that other machines can reach"

static struct str cut_front(struct str text, size_t len)
{
    return (struct str){text.ptr + len, text.len - len};
}

static struct str trim(struct str text)
{
    while (text.len > 0 && ascii_is_space(text.ptr[0]))
        text = cut_front(text, 1);
    while (text.len > 0 && ascii_is_space(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

int port_of_number(double number)
{
    return number >= 1 && number <= 65535 && floor(number) >= number ? (int)number : 0;
}

int port_of_text(struct str text)
{
    int port = 0;
    text = trim(text);
    for (size_t i = 0; i < text.len; i++) {
        if (!ascii_is_digit(text.ptr[i]) || port > 65535)
            return 0;
        port = port * 10 + (text.ptr[i] - '0');
    }
    return port <= 65535 ? port : 0;
}

static enum reach reach_of_ipv4(const unsigned char bytes[4])
{
    if (bytes[0] == 127)
        return REACH_SELF;
    bool is_link_local = bytes[0] == 169 && bytes[1] == 254;
    return bytes[0] == 0 || bytes[0] >= 224 || is_link_local ? REACH_NOWHERE : REACH_FAR;
}

static bool read_ipv4(const char *text, struct place *place)
{
    unsigned char bytes[4];
    if (inet_pton(AF_INET, text, bytes) != 1)
        return false;
    place->reach = reach_of_ipv4(bytes);
    return inet_ntop(AF_INET, bytes, place->host, sizeof(place->host)) != NULL;
}

/* Reads an IPv6 address, and drops its zone ("fe80::1%eth0"), which only means something on one machine. */
static bool read_ipv6(struct str text, struct place *place)
{
    char room[INET6_ADDRSTRLEN];
    static const unsigned char loopback[16] = {[15] = 1}, mapped[12] = {[10] = 0xff, [11] = 0xff}, unspecified[16] = {0};
    unsigned char bytes[16];
    struct str zone = text;
    struct str address = str_cut(&zone, '%');
    if (address.len >= sizeof(room) || (zone.ptr != NULL && zone.len == 0))
        return false;
    memcpy(room, address.ptr, address.len);
    room[address.len] = '\0';
    if (inet_pton(AF_INET6, room, bytes) != 1)
        return false;
    if (memcmp(bytes, mapped, sizeof(mapped)) == 0) {
        place->reach = reach_of_ipv4(bytes + sizeof(mapped));
        return inet_ntop(AF_INET, bytes + sizeof(mapped), place->host, sizeof(place->host)) != NULL;
    }
    place->reach = REACH_FAR;
    if (memcmp(bytes, loopback, sizeof(bytes)) == 0)
        place->reach = REACH_SELF;
    else if (memcmp(bytes, unspecified, sizeof(bytes)) == 0 || bytes[0] == 0xff || (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80))
        place->reach = REACH_NOWHERE;
    return inet_ntop(AF_INET6, bytes, place->host, sizeof(place->host)) != NULL;
}

static bool ends_with(struct str text, struct str end)
{
    return text.len >= end.len && memcmp(text.ptr + text.len - end.len, end.ptr, end.len) == 0;
}

/*
 * Reads a host name: labels of letters, digits, hyphens and underscores, with dots between. A name whose last label is a number is
 * refused, since it is an odd or broken address.
 */
static bool read_name(struct str text, struct place *place)
{
    if (text.len > 0 && text.ptr[text.len - 1] == '.')
        text.len--;
    if (text.len == 0 || text.len > ADDRESS_HOST_MAX)
        return false;
    size_t label = 0;
    bool is_number = true;
    for (size_t i = 0; i < text.len; i++) {
        char c = ascii_lower(text.ptr[i]);
        place->host[i] = c;
        if (c == '.') {
            if (label == 0)
                return false;
            label = 0;
            is_number = true;
            continue;
        }
        bool is_inner = c == '-' || c == '_';
        if ((!ascii_is_letter(c) && !ascii_is_digit(c) && !is_inner) || (label == 0 && c == '-') || ++label > LABEL_MAX)
            return false;
        bool is_hex =
            label >= 2 && text.ptr[i + 1 - label] == '0' && ascii_lower(text.ptr[i + 2 - label]) == 'x'; /* "0x7f000001" */
        is_number = is_number && (ascii_is_digit(c) || (is_hex && (label == 2 || (c >= 'a' && c <= 'f'))));
    }
    place->host[text.len] = '\0';
    struct str host = {place->host, text.len};
    bool is_self = str_eq(host, STR("localhost")) || str_eq(host, STR("localhost.localdomain")) ||
                   str_eq(host, STR("ip6-localhost")) || ends_with(host, STR(".localhost"));
    place->reach = is_self ? REACH_SELF : REACH_FAR;
    return label > 0 && !is_number;
}

static bool read_host(struct str text, struct place *place)
{
    char room[16];
    if (text.len == 0 || placeholder_is(text))
        return str_eq(text, STR("::")) && read_ipv6(text, place);
    if (memchr(text.ptr, ':', text.len) != NULL)
        return read_ipv6(text, place);
    if (text.len < sizeof(room)) {
        memcpy(room, text.ptr, text.len);
        room[text.len] = '\0';
        if (read_ipv4(room, place))
            return true;
    }
    return read_name(text, place);
}

/* Reads "host", "host:port", "[v6]", "[v6]:port" or "v6". */
static bool read_host_and_port(struct str text, struct place *place)
{
    struct str host = text, port = {NULL, 0};
    const char *colon = text.len > 0 ? memchr(text.ptr, ':', text.len) : NULL;
    if (text.len > 0 && text.ptr[0] == '[') {
        port = cut_front(text, 1);
        host = str_cut(&port, ']');
        if (port.ptr == NULL || (port.len > 0 && port.ptr[0] != ':') || memchr(host.ptr, ':', host.len) == NULL)
            return false;
        port = port.len > 0 ? cut_front(port, 1) : port;
    } else if (colon != NULL && memrchr(text.ptr, ':', text.len) == colon) {
        port = text;
        host = str_cut(&port, ':');
    }
    place->port = port.len > 0 ? port_of_text(port) : 0;
    return read_host(host, place) && (port.len == 0 || place->port > 0);
}

/* Whether a host is a public name: it has a dot, and not the ending of a local network's names. */
static bool is_public_name(const struct place *place)
{
    static const struct str own[] = {{".local", 6}, {".lan", 4},          {".internal", 9},
                                     {".home", 5},  {".localdomain", 12}, {".docker", 7}};
    struct str host = str_from(place->host);
    char last = host.ptr[host.len - 1];
    if (memchr(host.ptr, '.', host.len) == NULL || memchr(host.ptr, ':', host.len) != NULL || ascii_is_digit(last))
        return false;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (ends_with(host, own[i]))
            return false;
    return true;
}

static bool is_scheme(const struct place *place, const char *scheme)
{
    return strcmp(place->scheme, scheme) == 0;
}

bool place_is_web(const struct place *place)
{
    return is_scheme(place, "http") || is_scheme(place, "https");
}

/* Takes "scheme://" off the front of *text; without one, place->scheme is "". False if the scheme is malformed. */
static bool take_scheme(struct str *text, struct place *place)
{
    const char *mark = memmem(text->ptr, text->len, "://", 3);
    place->scheme[0] = '\0';
    if (mark == NULL)
        return true;
    size_t len = (size_t)(mark - text->ptr);
    if (len == 0 || len > ADDRESS_SCHEME_MAX || !ascii_is_letter(text->ptr[0]))
        return memchr(text->ptr, '/', len) != NULL || memchr(text->ptr, '?', len) != NULL; /* this "://" is in the path or query */
    for (size_t i = 0; i < len; i++) {
        char c = ascii_lower(text->ptr[i]);
        if (!ascii_is_letter(c) && !ascii_is_digit(c) && c != '+' && c != '-' && c != '.') {
            place->scheme[0] = '\0';
            return c == '/' || c == '?';
        }
        place->scheme[i] = c;
    }
    place->scheme[len] = '\0';
    *text = cut_front(*text, len + 3);
    return true;
}

static bool has_odd_character(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= ' ' || (unsigned char)text.ptr[i] >= 0x7f || strchr("\"<>\\^`{|}", text.ptr[i]) != NULL)
            return true;
    return false;
}

static void drop_default_port(struct place *place)
{
    int own = is_scheme(place, "http") || is_scheme(place, "ws")     ? 80
              : is_scheme(place, "https") || is_scheme(place, "wss") ? 443
                                                                     : 0;
    if (place->port == own)
        place->port = 0;
}

/* Returns the text without quotes or angle brackets around it. */
static struct str unquote(struct str text)
{
    static const char pairs[][2] = {{'"', '"'}, {'\'', '\''}, {'<', '>'}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (text.len > 2 && text.ptr[0] == pairs[i][0] && text.ptr[text.len - 1] == pairs[i][1])
            return trim((struct str){text.ptr + 1, text.len - 2});
    return text;
}

/* Whether the scheme lacks a slash or its colon: "https:/host" and "https//host" would otherwise name a host "https". */
static bool is_broken_scheme(struct str text)
{
    static const struct str schemes[] = {{"https", 5}, {"http", 4}};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = schemes[i].len;
        if (text.len > len + 1 && str_eq_nocase((struct str){text.ptr, len}, schemes[i]) &&
            (memcmp(text.ptr + len, ":/", 2) == 0 || memcmp(text.ptr + len, "//", 2) == 0))
            return memchr(text.ptr, ':', text.len) != text.ptr + len || text.len < len + 3 || text.ptr[len + 2] != '/';
    }
    return false;
}

const char *place_read_url(struct str text, struct place *place)
{
    memset(place, 0, sizeof(*place));
    text = unquote(trim(text));
    if (is_broken_scheme(text))
        return NO_URL;
    if (text.len > 2 && memcmp(text.ptr, "//", 2) == 0)
        text = cut_front(text, 2);
    if (placeholder_is(text) || has_odd_character(text) || !take_scheme(&text, place))
        return NO_URL;
    bool is_told = place->scheme[0] != '\0';
    if (is_told && place_is_web(place)) { /* "https://https://x" */
        struct place inner;
        struct str rest = text;
        if (take_scheme(&rest, &inner) && place_is_web(&inner)) {
            memcpy(place->scheme, inner.scheme, sizeof(place->scheme));
            text = rest;
        }
    }
    size_t len = 0;
    while (len < text.len && strchr("/?#", text.ptr[len]) == NULL)
        len++;
    struct str authority = {text.ptr, len};
    place->rest = cut_front(text, len);
    place->rest = str_cut(&(struct str){place->rest.ptr, place->rest.len}, '#');
    if (place->rest.len > 0 && memchr(place->rest.ptr, '?', place->rest.len) == NULL)
        while (place->rest.len > 0 && place->rest.ptr[place->rest.len - 1] == '/')
            place->rest.len--;
    const char *at = authority.len > 0 ? memrchr(authority.ptr, '@', authority.len) : NULL;
    if (at != NULL && is_told) {
        place->had_user = true;
        authority = cut_front(authority, (size_t)(at - authority.ptr) + 1);
    }
    if (!read_host_and_port(authority, place))
        return NO_URL;
    if (!is_told)
        memcpy(place->scheme, place->port == 443 || (place->port == 0 && is_public_name(place)) ? "https" : "http\0", 6);
    drop_default_port(place);
    return NULL;
}

static bool is_mark(char c)
{
    return ascii_is_space(c) || (c != '\0' && strchr(",;|\"'<>()", c) != NULL);
}

/* Reads one address of a text. `alone`: it is the only one, so it may be a name without a dot. */
static bool read_one_address(struct str text, bool alone, struct place *place)
{
    memset(place, 0, sizeof(*place));
    if (memmem(text.ptr, text.len, "://", 3) != NULL)
        return place_read_url(text, place) == NULL && place_is_web(place);
    const char *slash = memchr(text.ptr, '/', text.len);
    if (slash != NULL) { /* "192.168.1.5/24" */
        struct str bits = cut_front(text, (size_t)(slash - text.ptr) + 1);
        if (bits.len > 3 || (bits.len > 0 && port_of_text(bits) == 0))
            return false;
        text.len = (size_t)(slash - text.ptr);
    }
    if (!read_host_and_port(text, place))
        return false;
    return alone || strpbrk(place->host, ".:") != NULL;
}

/* Whether it is the address of the host in one of Docker's networks (172.17.0.1): only the same host can reach it. */
static bool is_bridge(const struct place *place)
{
    unsigned char bytes[4];
    return inet_pton(AF_INET, place->host, bytes) == 1 && bytes[0] == 172 && bytes[1] >= 17 && bytes[1] <= 31 && bytes[2] == 0 &&
           bytes[3] == 1;
}

const char *place_read_address(struct str text, struct place *place, size_t *others)
{
    bool found = false;
    text = trim(text);
    bool alone = true;
    for (size_t i = 0; i < text.len; i++)
        alone = alone && !is_mark(text.ptr[i]);
    *others = 0;
    while (text.len > 0) {
        size_t len = 0;
        while (len < text.len && !is_mark(text.ptr[len]))
            len++;
        struct place each;
        if (len > 0 && read_one_address((struct str){text.ptr, len}, alone, &each)) {
            *others += found;
            if (!found || each.reach < place->reach || (each.reach == place->reach && is_bridge(place) && !is_bridge(&each)))
                *place = each;
            found = true;
        }
        text = cut_front(text, len < text.len ? len + 1 : len);
    }
    return found ? NULL : NO_ADDRESS;
}

void place_write_url(struct buffer *out, const char *scheme, struct str host, int port, struct str rest)
{
    bool brackets = host.len > 0 && memchr(host.ptr, ':', host.len) != NULL && host.ptr[0] != '[';
    buffer_append(out, str_from(scheme));
    buffer_append(out, brackets ? STR("://[") : STR("://"));
    buffer_append(out, host);
    buffer_append(out, brackets ? STR("]") : STR(""));
    if (port > 0)
        buffer_printf(out, ":%d", port);
    buffer_append(out, rest);
}

void place_write(struct buffer *out, const struct place *place)
{
    if (place->scheme[0] == '\0')
        buffer_append(out, str_from(place->host));
    else
        place_write_url(out, place->scheme, str_from(place->host), place->port, place->rest);
}
