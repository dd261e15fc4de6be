#include "cli/proxy.h"

#include "model/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

/* Returns the first of the variables that is set and not empty, with its value in *value; NULL: none is. */
static const char *find_variable(const char *const names[], const char **value)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        *value = getenv(names[i]);
        if (*value != NULL && (*value)[0] != '\0')
            return names[i];
    }
    *value = "";
    return NULL;
}

/* Reads an IPv4 or IPv6 address. Returns how many bytes it has; 0: the text is no address. */
static size_t read_address(struct str text, unsigned char bytes[16])
{
    char room[INET6_ADDRSTRLEN];
    if (text.len >= sizeof(room) || text.len == 0)
        return 0;
    memcpy(room, text.ptr, text.len);
    room[text.len] = '\0';
    return inet_pton(AF_INET, room, bytes) == 1 ? 4 : inet_pton(AF_INET6, room, bytes) == 1 ? 16 : 0;
}

/* Whether `entry`, an address or "address/bits", contains the address `host`. */
static bool network_has(struct str entry, struct str host)
{
    unsigned char network[16], address[16];
    struct str bits_text = entry;
    struct str prefix = str_cut(&bits_text, '/');
    size_t size = read_address(prefix, network);
    if (size == 0 || size != read_address(host, address))
        return false;
    size_t bits = size * 8;
    if (bits_text.ptr != NULL) {
        bits = bits_text.len > 0 ? 0 : bits + 1;
        for (size_t i = 0; i < bits_text.len && bits <= size * 8; i++)
            bits = bits_text.ptr[i] >= '0' && bits_text.ptr[i] <= '9' ? bits * 10 + (size_t)(bits_text.ptr[i] - '0') : 1000;
    }
    if (bits > size * 8 || memcmp(network, address, bits / 8) != 0)
        return false;
    unsigned mask = 0xff00u >> bits % 8 & 0xffu;
    return bits % 8 == 0 || (network[bits / 8] & mask) == (address[bits / 8] & mask);
}

/* Whether an entry of NO_PROXY covers the host: its name, a domain above it, its address or network, or "*". */
static bool entry_means(struct str entry, struct str host)
{
    if (str_eq(entry, STR("*")))
        return true;
    if (entry.len > 2 && entry.ptr[0] == '[' && entry.ptr[entry.len - 1] == ']')
        entry = (struct str){entry.ptr + 1, entry.len - 2};
    if (network_has(entry, host))
        return true;
    while (entry.len > 0 && entry.ptr[0] == '.')
        entry = (struct str){entry.ptr + 1, entry.len - 1};
    if (entry.len == 0 || entry.len > host.len)
        return false;
    struct str end = {host.ptr + host.len - entry.len, entry.len};
    return str_eq_nocase(end, entry) && (entry.len == host.len || end.ptr[-1] == '.');
}

static bool is_exempt(struct str list, struct str host)
{
    while (list.len > 0) {
        struct str entry = str_cut(&list, ',');
        while (entry.len > 0) {
            struct str word = str_trim(str_cut(&entry, ' '));
            if (word.len > 0 && entry_means(word, host))
                return true;
        }
    }
    return false;
}

void proxy_find(struct str url, struct proxy *proxy)
{
    static const char *const for_http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    static const char *const for_https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
    static const char *const exempt[] = {"no_proxy", "NO_PROXY", NULL};
    struct place place;
    *proxy = (struct proxy){.variable = NULL};
    if (place_read_url(url, &place) != NULL || place.reach == REACH_SELF)
        return;
    const char *list, *value;
    if (find_variable(exempt, &list) != NULL && is_exempt(str_from(list), str_from(place.host)))
        return;
    proxy->variable = find_variable(strcmp(place.scheme, "https") == 0 ? for_https : for_http, &value);
    if (proxy->variable == NULL)
        return;
    proxy->url = value;
    const char *scheme_end = strstr(value, "://"), *user_end = strrchr(value, '@');
    size_t scheme = scheme_end != NULL ? (size_t)(scheme_end - value) + 3 : 0;
    const char *host = user_end != NULL ? user_end + 1 : value + scheme;
    snprintf(proxy->place, sizeof(proxy->place), "%.*s%.200s", scheme < 16 ? (int)scheme : 0, value, host);
}
