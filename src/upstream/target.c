#include "upstream/target.h"

#include "base/ascii.h"
#include "base/digits.h"

#include <arpa/inet.h>

#define LABEL_MAX 63

/* Reads "http://" or "https://". */
static bool read_scheme(struct str *rest, bool *tls)
{
    static const struct str schemes[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < 2; i++) {
        struct str start = {rest->ptr, schemes[i].len};
        if (rest->len < schemes[i].len || !str_eq_nocase(start, schemes[i]))
            continue;
        *tls = i == 1;
        *rest = (struct str){rest->ptr + schemes[i].len, rest->len - schemes[i].len};
        return true;
    }
    return false;
}

/* Reads a port of 1 to 65535 without leading zeros; 0 for anything else. */
static uint16_t read_port(struct str text)
{
    unsigned port = 0;
    if (text.len == 0 || text.len > 5 || text.ptr[0] == '0')
        return 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!ascii_is_digit(text.ptr[i]))
            return 0;
        port = port * 10 + (unsigned)(text.ptr[i] - '0');
    }
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

static const char *take_address(struct target *target, int family, const void *address)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    const void *name = family == AF_INET ? (const void *)&ipv4 : (const void *)&ipv6;
    if (family == AF_INET)
        memcpy(&ipv4.sin_addr, address, sizeof(ipv4.sin_addr));
    else
        memcpy(&ipv6.sin6_addr, address, sizeof(ipv6.sin6_addr));
    target->is_address = true;
    /* target->host has an IPv4 address already: inet_pton takes only the form that inet_ntop writes */
    if (!network_address_read(name, &target->address) ||
        (family == AF_INET6 && inet_ntop(family, address, target->host, sizeof(target->host)) == NULL))
        return "has a host that is none";
    return NULL;
}

/* Reads the text between the brackets. inet_pton refuses a zone. */
static const char *read_ipv6(struct str text, struct target *target)
{
    char room[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (text.len == 0 || text.len >= sizeof(room) || memchr(text.ptr, '\0', text.len) != NULL)
        return "has a host that is none";
    memcpy(room, text.ptr, text.len);
    room[text.len] = '\0';
    return inet_pton(AF_INET6, room, &address) == 1 ? take_address(target, AF_INET6, &address) : "has a host that is none";
}

static bool is_label(struct str label)
{
    for (size_t i = 0; i < label.len; i++) {
        char c = label.ptr[i];
        bool inner = c == '-' && i > 0 && i + 1 < label.len;
        if (!inner && !ascii_is_digit(c) && !(c >= 'a' && c <= 'z') && c != '_')
            return false;
    }
    return label.len > 0 && label.len <= LABEL_MAX;
}

/* Whether resolvers could take a host for a number ("2130706433", "0x7f.1"): its last label looks like one. */
static bool ends_in_number(struct str last)
{
    size_t digits = 0;
    while (digits < last.len && ascii_is_digit(last.ptr[digits]))
        digits++;
    return digits == last.len || (last.len >= 2 && last.ptr[0] == '0' && last.ptr[1] == 'x');
}

/* Reads a name or an IPv4 address, which target->host has in lower case. */
static const char *read_name(struct target *target)
{
    struct in_addr ipv4;
    if (inet_pton(AF_INET, target->host, &ipv4) == 1)
        return take_address(target, AF_INET, &ipv4);
    struct str rest = str_from(target->host), label = rest;
    while (rest.ptr != NULL) {
        label = str_cut(&rest, '.');
        if (!is_label(label))
            return "has a host that is none";
    }
    return ends_in_number(label) ? "has a number as its host that is no IPv4 address in dotted decimal form" : NULL;
}

static const char *read_authority(struct str text, struct target *target)
{
    if (memchr(text.ptr, '@', text.len) != NULL)
        return "has a user";
    struct str host, port = {NULL, 0};
    bool bracket = text.len > 0 && text.ptr[0] == '[';
    if (bracket) {
        const char *end = memchr(text.ptr, ']', text.len);
        if (end == NULL)
            return "has a host that is none";
        host = (struct str){text.ptr + 1, (size_t)(end - text.ptr) - 1};
        struct str behind = {end + 1, text.len - host.len - 2};
        if (behind.len > 0 && behind.ptr[0] != ':')
            return "has a host that is none";
        if (behind.len > 0)
            port = (struct str){behind.ptr + 1, behind.len - 1};
    } else {
        port = text;
        host = str_cut(&port, ':');
    }
    if (port.ptr != NULL && (target->port = read_port(port)) == 0)
        return "has a port that is none";
    if (bracket)
        return read_ipv6(host, target);
    if (host.len == 0 || host.len > TARGET_HOST_MAX || memchr(host.ptr, '\0', host.len) != NULL)
        return "has a host that is none";
    for (size_t i = 0; i < host.len; i++)
        target->host[i] = ascii_lower(host.ptr[i]);
    target->host[host.len] = '\0';
    return read_name(target);
}

/* Reads the path: visible ASCII without characters that a URL must encode, and without the segments "." and "..". */
static const char *read_base(struct str path, struct target *target)
{
    while (path.len > 0 && path.ptr[path.len - 1] == '/')
        path.len--;
    target->base = path;
    for (size_t i = 0; i < path.len; i++)
        if (path.ptr[i] <= ' ' || path.ptr[i] > '~' || strchr("\"<>\\^`{|}", path.ptr[i]) != NULL)
            return "has characters that no URL has";
    while (path.ptr != NULL) {
        struct str segment = str_cut(&path, '/');
        if (str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
            return "has a path with dots that lead elsewhere";
    }
    return NULL;
}

const char *target_read(struct str url, struct target *target)
{
    *target = (struct target){.port = 0};
    if (url.len > TARGET_URL_MAX)
        return "is too long";
    if (!read_scheme(&url, &target->tls))
        return "is no http or https URL";
    for (size_t i = 0; i < url.len; i++)
        if (url.ptr[i] == '?' || url.ptr[i] == '#')
            return "has a query or a fragment";
    target->port = target->tls ? 443 : 80;
    const char *slash = memchr(url.ptr, '/', url.len);
    size_t authority = slash != NULL ? (size_t)(slash - url.ptr) : url.len;
    const char *fault = read_authority((struct str){url.ptr, authority}, target);
    return fault != NULL ? fault : read_base((struct str){url.ptr + authority, url.len - authority}, target);
}

bool target_pin(struct target *target, struct str hex)
{
    unsigned char read[TARGET_FINGERPRINT_SIZE];
    size_t count = 0, at = 0;
    for (; count < sizeof(read) && at + 2 <= hex.len; count++) {
        int high = ascii_hex_value(hex.ptr[at]), low = ascii_hex_value(hex.ptr[at + 1]);
        if (high < 0 || low < 0)
            return false;
        read[count] = (unsigned char)(high << 4 | low);
        at += 2;
        if (count + 1 < sizeof(read) && at < hex.len && hex.ptr[at] == ':')
            at++;
    }
    if (count != sizeof(read) || at != hex.len)
        return false;
    memcpy(target->fingerprint, read, sizeof(read));
    target->pinned = true;
    return true;
}

struct str target_authority(const struct target *target, char room[TARGET_AUTHORITY_MAX])
{
    struct str host = str_from(target->host);
    bool bracket = memchr(host.ptr, ':', host.len) != NULL;
    char *at = room;
    if (bracket)
        *at++ = '[';
    memcpy(at, host.ptr, host.len);
    at += host.len;
    if (bracket)
        *at++ = ']';
    if (target->port != (target->tls ? 443 : 80)) {
        char digits[DIGITS_MAX];
        size_t len = digits_decimal(target->port, digits);
        *at++ = ':';
        memcpy(at, digits, len);
        at += len;
    }
    return (struct str){room, (size_t)(at - room)};
}
