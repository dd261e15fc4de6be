#include "upstream/network.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define IPV4_AT 12 /* the place of the IPv4 address in a mapped one */

/* The special networks (IANA's registries of special-purpose addresses, RFC 6890). IPv4 in the mapped form. */
static const struct {
    const char *address;
    int bits;
    enum network_verdict verdict;
} special[] = {
    {"::ffff:0.0.0.0", 96 + 8, NETWORK_FORBIDDEN},          /* this network */
    {"::ffff:10.0.0.0", 96 + 8, NETWORK_PRIVATE},           /* RFC 1918 */
    {"::ffff:100.64.0.0", 96 + 10, NETWORK_PRIVATE},        /* shared, RFC 6598 */
    {"::ffff:127.0.0.0", 96 + 8, NETWORK_PRIVATE},          /* loopback */
    {"::ffff:169.254.0.0", 96 + 16, NETWORK_FORBIDDEN},     /* link-local: cloud metadata */
    {"::ffff:172.16.0.0", 96 + 12, NETWORK_PRIVATE},        /* RFC 1918 */
    {"::ffff:192.0.0.0", 96 + 24, NETWORK_FORBIDDEN},       /* protocol assignments; 192.0.0.192 is a metadata service */
    {"::ffff:192.0.2.0", 96 + 24, NETWORK_FORBIDDEN},       /* documentation */
    {"::ffff:192.88.99.0", 96 + 24, NETWORK_FORBIDDEN},     /* 6to4 relays */
    {"::ffff:192.168.0.0", 96 + 16, NETWORK_PRIVATE},       /* RFC 1918 */
    {"::ffff:198.18.0.0", 96 + 15, NETWORK_PRIVATE},        /* benchmarks */
    {"::ffff:198.51.100.0", 96 + 24, NETWORK_FORBIDDEN},    /* documentation */
    {"::ffff:203.0.113.0", 96 + 24, NETWORK_FORBIDDEN},     /* documentation */
    {"::ffff:224.0.0.0", 96 + 4, NETWORK_FORBIDDEN},        /* multicast */
    {"::ffff:240.0.0.0", 96 + 4, NETWORK_FORBIDDEN},        /* reserved, broadcast */
    {"::ffff:168.63.129.16", 96 + 32, NETWORK_FORBIDDEN},   /* a cloud's host */
    {"::ffff:100.100.100.200", 96 + 32, NETWORK_FORBIDDEN}, /* a cloud's metadata within the shared network */
    {"::1", 128, NETWORK_PRIVATE},                          /* loopback */
    {"::", 128, NETWORK_FORBIDDEN},                         /* unspecified */
    {"64:ff9b:1::", 48, NETWORK_PRIVATE},                   /* a network's own NAT64, RFC 8215 */
    {"100::", 64, NETWORK_FORBIDDEN},                       /* discard */
    {"100:0:0:1::", 64, NETWORK_FORBIDDEN},                 /* dummy */
    {"2001:2::", 48, NETWORK_PRIVATE},                      /* benchmarks */
    {"2001:db8::", 32, NETWORK_FORBIDDEN},                  /* documentation */
    {"3fff::", 20, NETWORK_FORBIDDEN},                      /* documentation */
    {"5f00::", 16, NETWORK_FORBIDDEN},                      /* identifiers of segment routing */
    {"fc00::", 7, NETWORK_PRIVATE},                         /* unique local */
    {"fd00:ec2::", 32, NETWORK_FORBIDDEN},                  /* a cloud's metadata within it */
    {"fd20:ce::", 32, NETWORK_FORBIDDEN},                   /* likewise */
    {"fe80::", 10, NETWORK_FORBIDDEN},                      /* link-local */
    {"fec0::", 10, NETWORK_FORBIDDEN},                      /* site-local, deprecated */
    {"ff00::", 8, NETWORK_FORBIDDEN},                       /* multicast */
};

/* IPv6 networks whose addresses have an IPv4 address in them. */
static const struct {
    const char *address;
    int bits;
    size_t at;     /* the place of the IPv4 address */
    bool inverted; /* all its bits are inverted */
} embedding[] = {
    {"::", 96, 12, false},           /* IPv4-compatible, deprecated */
    {"64:ff9b::", 96, 12, false},    /* NAT64, RFC 6052 */
    {"64:ff9b:1::", 48, 12, false},  /* a network's own NAT64, RFC 8215; it may look elsewhere, so all of it is private */
    {"2002::", 16, 2, false},        /* 6to4, RFC 3056 */
    {"2001::", 32, 12, true},        /* Teredo, RFC 4380 */
    {"::ffff:0:0:0", 96, 12, false}, /* SIIT, RFC 2765 */
};

#define SPECIALS (sizeof(special) / sizeof(special[0]))
#define EMBEDDINGS (sizeof(embedding) / sizeof(embedding[0]))

/* The tables' addresses, parsed once, since every request needs them. */
static struct network_address special_at[SPECIALS], embedding_at[EMBEDDINGS], mapped, loopback, loopback_ipv4;

static struct network_address parse_literal(const char *text)
{
    struct network_address address;
    if (inet_pton(AF_INET6, text, address.bytes) != 1)
        abort();
    return address;
}

static void parse_tables(void)
{
    for (size_t i = 0; i < SPECIALS; i++)
        special_at[i] = parse_literal(special[i].address);
    for (size_t i = 0; i < EMBEDDINGS; i++)
        embedding_at[i] = parse_literal(embedding[i].address);
    mapped = parse_literal("::ffff:0.0.0.0");
    loopback = parse_literal("::1");
    loopback_ipv4 = parse_literal("::ffff:127.0.0.0");
}

static void need_tables(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, parse_tables);
}

static bool has_prefix(const struct network_address *address, const struct network_address *network, int bits)
{
    size_t whole = (size_t)bits / 8;
    int rest = bits % 8;
    return memcmp(address->bytes, network->bytes, whole) == 0 &&
           (rest == 0 || (address->bytes[whole] ^ network->bytes[whole]) >> (8 - rest) == 0);
}

bool network_address_read(const struct sockaddr *sockaddr, struct network_address *out)
{
    if (sockaddr->sa_family == AF_INET6) {
        memcpy(out->bytes, &((const struct sockaddr_in6 *)(const void *)sockaddr)->sin6_addr, sizeof(out->bytes));
        return true;
    }
    if (sockaddr->sa_family != AF_INET)
        return false;
    need_tables();
    *out = mapped;
    memcpy(out->bytes + IPV4_AT, &((const struct sockaddr_in *)(const void *)sockaddr)->sin_addr, 4);
    return true;
}

static bool is_ipv4(const struct network_address *address)
{
    need_tables();
    return has_prefix(address, &mapped, 96);
}

socklen_t network_address_write(const struct network_address *address, uint16_t port, struct sockaddr_storage *out)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (is_ipv4(address)) {
        memcpy(&ipv4.sin_addr, address->bytes + IPV4_AT, 4);
        memcpy(out, &ipv4, sizeof(ipv4));
        return sizeof(ipv4);
    }
    memcpy(&ipv6.sin6_addr, address->bytes, sizeof(address->bytes));
    memcpy(out, &ipv6, sizeof(ipv6));
    return sizeof(ipv6);
}

bool network_is_loopback(const struct network_address *address)
{
    need_tables();
    return has_prefix(address, &loopback_ipv4, 96 + 8) || has_prefix(address, &loopback, 128);
}

static enum network_verdict look_up(const struct network_address *address)
{
    enum network_verdict worst = NETWORK_PUBLIC;
    for (size_t i = 0; i < SPECIALS; i++)
        if (special[i].verdict > worst && has_prefix(address, &special_at[i], special[i].bits))
            worst = special[i].verdict;
    return worst;
}

enum network_verdict network_classify(const struct network_address *address)
{
    need_tables();
    enum network_verdict worst = look_up(address);
    for (size_t i = 0; i < EMBEDDINGS; i++) {
        struct network_address inner = mapped;
        if (!has_prefix(address, &embedding_at[i], embedding[i].bits) || memcmp(address, &loopback, sizeof(loopback)) == 0)
            continue;
        for (size_t byte = 0; byte < 4; byte++)
            inner.bytes[IPV4_AT + byte] = address->bytes[embedding[i].at + byte] ^ (embedding[i].inverted ? 0xff : 0);
        enum network_verdict verdict = look_up(&inner);
        if (verdict != NETWORK_PUBLIC)
            return NETWORK_FORBIDDEN; /* an honest worker never writes a private address in this form */
    }
    return worst;
}

bool network_is_allowed(const struct network_address *address, const struct network_list *allowed)
{
    enum network_verdict verdict = network_classify(address);
    if (verdict != NETWORK_PRIVATE)
        return verdict == NETWORK_PUBLIC;
    for (size_t i = 0; i < allowed->count; i++)
        if (has_prefix(address, &allowed->networks[i].address, allowed->networks[i].bits))
            return true;
    return false;
}

/* Reads the number of a prefix's bits; -1 if the text is no such number. */
static int read_bits(struct str text, int most)
{
    int bits = 0;
    if (text.len == 0 || text.len > 3)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -1;
        bits = bits * 10 + (text.ptr[i] - '0');
    }
    return bits <= most ? bits : -1;
}

/* Whether all of a network is forbidden, so that allowing it would have no effect. */
static bool lies_in_forbidden(const struct network *network)
{
    need_tables();
    for (size_t i = 0; i < SPECIALS; i++)
        if (special[i].verdict == NETWORK_FORBIDDEN && special[i].bits <= network->bits &&
            has_prefix(&network->address, &special_at[i], special[i].bits))
            return true;
    return false;
}

static const char *read_network(struct str entry, struct network *out)
{
    char text[INET6_ADDRSTRLEN + 8];
    struct str bits = entry, address = str_cut(&bits, '/');
    if (address.len == 0 || address.len >= sizeof(text))
        return "is no address";
    memcpy(text, address.ptr, address.len);
    text[address.len] = '\0';
    struct in_addr ipv4;
    bool is_ipv4 = inet_pton(AF_INET, text, &ipv4) == 1;
    need_tables();
    out->address = mapped;
    if (is_ipv4)
        memcpy(out->address.bytes + IPV4_AT, &ipv4, 4);
    else if (inet_pton(AF_INET6, text, out->address.bytes) != 1)
        return "is no address";
    int most = is_ipv4 ? 32 : 128, count = bits.ptr == NULL ? most : read_bits(bits, most);
    if (count < 0)
        return "has no number of bits behind the slash";
    out->bits = count + (is_ipv4 ? 96 : 0);
    for (int bit = out->bits; bit < 128; bit++)
        if (out->address.bytes[bit / 8] >> (7 - bit % 8) & 1)
            return "has bits behind its prefix: it is an address within a network";
    return lies_in_forbidden(out) ? "lies where requests never go" : NULL;
}

enum err network_list_read(struct str text, struct network_list *out, struct str *entry, const char **why)
{
    struct network_list list = {.count = 0};
    while (text.ptr != NULL) {
        *entry = str_trim(str_cut(&text, ','));
        if (entry->len == 0)
            continue;
        *why = list.count == NETWORKS_MAX ? "is one too many: 64 may be named" : read_network(*entry, &list.networks[list.count]);
        if (*why != NULL)
            return ERR_INVALID;
        list.count++;
    }
    *out = list;
    return ERR_NONE;
}
