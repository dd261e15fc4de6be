/*
 * Workers' URLs: the good ones are read, and those that mean a forbidden place, or that two readers could understand differently,
 * are refused before anybody is connected to.
 */
#include "upstream/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct good {
    const char *url, *authority, *base;
    bool tls, is_address;
    int port;
};

static const struct good goods[] = {
    {"http://worker.example", "worker.example", "", false, false, 80},
    {"https://worker.example", "worker.example", "", true, false, 443},
    {"HTTP://Worker.Example:8000/", "worker.example:8000", "", false, false, 8000},
    {"https://worker.example:443/a/b/", "worker.example", "/a/b", true, false, 443},
    {"http://worker.example:443//", "worker.example:443", "", false, false, 443},
    {"https://worker.example:80", "worker.example:80", "", true, false, 80},
    {"http://a_b-c.1d.example/x%20y;v=1@2:3", "a_b-c.1d.example", "/x%20y;v=1@2:3", false, false, 80},
    {"http://upload", "upload", "", false, false, 80},
    {"http://xn--bcher-kva.example:65535", "xn--bcher-kva.example:65535", "", false, false, 65535},
    {"http://192.0.2.7:8001", "192.0.2.7:8001", "", false, true, 8001},
    {"http://[2001:DB8:0::7]:1", "[2001:db8::7]:1", "", false, true, 1},
    {"https://[::ffff:192.0.2.7]", "[::ffff:192.0.2.7]", "", true, true, 443},
};

static void test_good_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
        const struct good *good = &goods[i];
        struct target target;
        char room[TARGET_AUTHORITY_MAX];
        const char *fault = target_read(str_from(good->url), &target);
        if (fault != NULL)
            fail_msg("%s %s", good->url, fault);
        struct str authority = target_authority(&target, room);
        if (!str_eq(authority, str_from(good->authority)) || !str_eq(target.base, str_from(good->base)) ||
            target.tls != good->tls || target.is_address != good->is_address || target.port != good->port)
            fail_msg("%s is taken for %.*s%.*s", good->url, STR_PRINTF(authority), STR_PRINTF(target.base));
    }
}

/* None of these is read at all. */
static const char *const bads[] = {
    "",
    "http",
    "http:",
    "http:/",
    "http://",
    "http:///path",
    "http://:80",
    "//worker.example",
    "worker.example",
    "worker.example:8000",
    "ftp://worker.example",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "unix:///run/redis.sock",
    "redis://127.0.0.1:6379",
    "ws://worker.example",
    "http+unix://%2Frun%2Fredis.sock",
    "javascript:alert(1)",
    " http://worker.example",
    "http://worker.example ",
    "http:\\\\worker.example",
    "http:/\\worker.example",
    "http://worker.example\\@127.0.0.1",
    "http://worker.example\\.evil",
    "http://worker.example/\\..",
    /* a user */
    "http://user@worker.example",
    "http://user:password@worker.example",
    "http://worker.example@127.0.0.1",
    "http://worker.example:80@127.0.0.1:6379",
    "http://@127.0.0.1",
    "http://127.0.0.1@",
    "http://worker.example%40127.0.0.1",
    "http://[::1]@worker.example",
    /* what ends an authority elsewhere */
    "http://worker.example?@127.0.0.1",
    "http://worker.example#@127.0.0.1",
    "http://worker.example?",
    "http://worker.example#",
    "http://worker.example/?q=1",
    "http://worker.example/a#b",
    "http://worker.example;127.0.0.1",
    "http://worker.example,127.0.0.1",
    "http://worker.example|127.0.0.1",
    /* control bytes, in the place of which something may be smuggled */
    "http://worker.example\r\nHost: x",
    "http://worker.example/a\r\nX: y",
    "http://worker.example/a b",
    "http://worker.example/a\tb",
    "http://worker.example/\x7f",
    "http://worker.example/\xc3\xa4",
    "http://w\xc3\xb6rker.example",
    "http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1",
    "http://\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1",
    "http://127\343\200\2020.0.1",
    "http://wor\tker.example",
    "http://worker.example/<a>",
    "http://worker.example/\"a\"",
    "http://worker.example/{a}",
    "http://worker.example/a|b",
    /* ports */
    "http://worker.example:",
    "http://worker.example:/",
    "http://worker.example:0",
    "http://worker.example:00080",
    "http://worker.example:65536",
    "http://worker.example:99999",
    "http://worker.example:4294967376",
    "http://worker.example:+80",
    "http://worker.example:-80",
    "http://worker.example:0x50",
    "http://worker.example:80a",
    "http://worker.example: 80",
    "http://worker.example:80:80",
    /* numbers that some resolvers take for 127.0.0.1 */
    "http://2130706433",
    "http://0x7f000001",
    "http://017700000001",
    "http://0x7f.1",
    "http://0x7f.0.0.1",
    "http://0X7F.0.0.0X1",
    "http://0177.0.0.1",
    "http://0177.0.0.01",
    "http://127.1",
    "http://127.0.1",
    "http://127.0.0.1.",
    "http://127.0.0.1.1",
    "http://127.0.0.01",
    "http://127.0.0.256",
    "http://127.00.0.1",
    "http://127..0.1",
    "http://.127.0.0.1",
    "http://0",
    "http://00",
    "http://0x",
    "http://localhost.0x7f",
    "http://worker.1",
    "http://127%2e0%2e0%2e1",
    "http://%31%32%37.0.0.1",
    "http://127.0.0.1%00.worker.example",
    /* addresses in brackets */
    "http://[",
    "http://[]",
    "http://[::1",
    "http://::1",
    "http://::1]:80",
    "http://[::1]80",
    "http://[::1]x:80",
    "http://[::1]]:80",
    "http://[[::1]]",
    "http://[127.0.0.1]",
    "http://[worker.example]",
    "http://[fe80::1%25eth0]",
    "http://[fe80::1%eth0]",
    "http://[::1%25lo]",
    "http://[v1.fe80::1]",
    "http://[::ffff:127.1]",
    "http://[::ffff:0x7f.0.0.1]",
    "http://[1:2:3:4:5:6:7:8:9]",
    "http://[::1:::2]",
    /* names that are none */
    "http://-worker.example",
    "http://worker-.example",
    "http://worker..example",
    "http://.worker.example",
    "http://worker.example.",
    "http://localhost.",
    "http://*.example",
    "http://work%65r.example",
    "http://worker!.example",
    "http://worker$.example",
    "http://(worker).example",
    "http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example",
    /* paths that lead out of themselves */
    "http://worker.example/..",
    "http://worker.example/a/../b",
    "http://worker.example/./a",
    "http://worker.example/a/.",
};

static void test_bad_ones(void **state)
{
    (void)state;
    assert_true(sizeof(bads) / sizeof(bads[0]) >= 60);
    struct target target;
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++)
        if (target_read(str_from(bads[i]), &target) == NULL)
            fail_msg("%s is read as %s, port %d", bads[i], target.host, target.port);
    assert_non_null(target_read((struct str){"http://worker.example/\0", 23}, &target));
    assert_non_null(target_read((struct str){"http://worker\0.example", 22}, &target));
    assert_non_null(target_read((struct str){"http://[::1\0]", 13}, &target));
    assert_non_null(target_read((struct str){NULL, 0}, &target));
}

static void test_long_ones(void **state)
{
    (void)state;
    char url[TARGET_URL_MAX + 2] = "http://", room[TARGET_AUTHORITY_MAX];
    struct target target;
    for (size_t i = 0; i < TARGET_HOST_MAX + 1; i++)
        url[7 + i] = i % 64 == 63 ? '.' : 'a';
    assert_non_null(target_read((struct str){url, 7 + TARGET_HOST_MAX + 1}, &target));
    memcpy(url + 7 + TARGET_HOST_MAX, ":65535", 6);
    assert_null(target_read((struct str){url, 7 + TARGET_HOST_MAX + 6}, &target));
    assert_int_equal(target_authority(&target, room).len, TARGET_HOST_MAX + 6);
    memset(url + 7 + TARGET_HOST_MAX, '/', sizeof(url) - 7 - TARGET_HOST_MAX);
    assert_null(target_read((struct str){url, TARGET_URL_MAX}, &target));
    assert_non_null(target_read((struct str){url, TARGET_URL_MAX + 1}, &target));
}

/* These are read, and the address itself is what no request goes to, loopback being allowed. */
static const char *const forbidden[] = {
    "http://0.0.0.0",
    "http://0.0.0.0:6379",
    "http://0.1.2.3",
    "http://10.0.0.1",
    "http://172.16.0.1",
    "http://172.31.255.255",
    "http://192.168.1.1",
    "http://100.64.0.1",
    "http://100.100.100.200",
    "http://169.254.169.254/latest/meta-data",
    "http://168.63.129.16",
    "http://192.0.0.192",
    "http://224.0.0.1",
    "http://239.255.255.250",
    "http://240.0.0.1",
    "http://255.255.255.255",
    "http://[::]",
    "http://[::]:6379",
    "http://[fe80::1]",
    "http://[febf::1]",
    "http://[fec0::1]",
    "http://[fc00::1]",
    "http://[fdaa::3]",
    "http://[fd00:ec2::254]",
    "http://[fd20:ce::254]",
    "http://[ff02::1]",
    "http://[100::1]",
    "http://[::10.0.0.1]",
    "http://[::ffff:10.0.0.1]",
    "http://[::ffff:a9fe:a9fe]",
    "http://[::ffff:0:169.254.169.254]",
    "http://[0:0:0:0:0:ffff:169.254.169.254]",
    "http://[64:ff9b::169.254.169.254]",
    "http://[64:ff9b::7f00:1]",
    "http://[64:ff9b:1::127.0.0.1]",
    "http://[2002:7f00:1::]",
    "http://[2002:a9fe:a9fe::1]",
    "http://[2001::80ff:fffe]",
    "http://[::127.0.0.1]",
    "http://[::169.254.169.254]",
};

static struct upstream_rules rules;

static void test_forbidden_addresses(void **state)
{
    (void)state;
    struct str entry;
    const char *why;
    assert_int_equal(network_list_read(STR("127.0.0.0/8,::1"), &rules.allowed, &entry, &why), ERR_NONE);
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        struct target target;
        const char *fault = target_read(str_from(forbidden[i]), &target);
        if (fault != NULL)
            fail_msg("%s %s", forbidden[i], fault);
        if (!target.is_address || rules_check_address(&rules, &target, &target.address) == NULL)
            fail_msg("%s is allowed", forbidden[i]);
    }
}

/* Why a request may not go to the URL, by the rules; NULL: it may. */
static const char *check(const char *url)
{
    struct target target;
    assert_null(target_read(str_from(url), &target));
    const char *why = rules_check_target(&rules, &target);
    return why != NULL ? why : rules_check_address(&rules, &target, &target.address);
}

static void test_our_own_places(void **state)
{
    (void)state;
    assert_null(check("http://127.0.0.1:8080"));
    assert_null(check("http://1.1.1.1:6379"));
    rules.own_ports[0] = 8080;
    rules.own_ports[1] = 9091;
    rules.own_port_count = 2;
    rules.redis_ports[0] = 6379;
    rules.redis_port_count = 1;
    rules.redis_port_now = 6390;
    rules.own_host_port = 8443;
    snprintf(rules.own_host, sizeof(rules.own_host), "2.2.2.2");
    static const char *const own[] = {
        "http://127.0.0.1:8080",          "http://127.9.9.9:9091", "http://[::1]:8080",     "https://127.0.0.1:8080",
        "http://[::ffff:127.0.0.1]:9091", "http://1.1.1.1:6379",   "http://127.0.0.1:6379", "http://1.1.1.1:6390",
        "https://2.2.2.2:8443/x"};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (check(own[i]) == NULL)
            fail_msg("%s is allowed", own[i]);
    assert_null(check("http://127.0.0.1:8081"));
    assert_null(check("http://1.1.1.1:8080")); /* another machine */
    assert_null(check("https://2.2.2.2"));
}

static void test_fingerprints(void **state)
{
    (void)state;
    struct target target;
    assert_null(target_read(STR("https://worker.example"), &target));
    static const char *const none[] = {
        "",
        "00",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f:",
        ":000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "00::0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "0g0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "00 0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    };
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_false(target_pin(&target, str_from(none[i])));
    assert_false(target.pinned);
    assert_true(target_pin(&target,
                           STR("00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F")));
    for (int i = 0; i < TARGET_FINGERPRINT_SIZE; i++)
        assert_int_equal(target.fingerprint[i], i);
    assert_true(target_pin(&target, STR("ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")));
    assert_true(target.pinned && target.fingerprint[0] == 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_ones),           cmocka_unit_test(test_bad_ones),       cmocka_unit_test(test_long_ones),
        cmocka_unit_test(test_forbidden_addresses), cmocka_unit_test(test_our_own_places), cmocka_unit_test(test_fingerprints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
