/* Where a request may go: public addresses, and of the others those alone that the operator allows. */
#include "upstream/network.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct network_address address_of(const char *text)
{
    struct network_address address = {{0}};
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &ipv4.sin_addr) == 1)
        assert_true(network_address_read((const struct sockaddr *)(const void *)&ipv4, &address));
    else if (inet_pton(AF_INET6, text, &ipv6.sin6_addr) == 1)
        assert_true(network_address_read((const struct sockaddr *)(const void *)&ipv6, &address));
    else
        fail_msg("%s is no address", text);
    return address;
}

static void expect(const char *const *texts, enum network_verdict verdict)
{
    for (size_t i = 0; texts[i] != NULL; i++) {
        struct network_address address = address_of(texts[i]);
        if (network_classify(&address) != verdict)
            fail_msg("%s is taken for something else", texts[i]);
    }
}

static void test_public_addresses(void **state)
{
    (void)state;
    static const char *const texts[] = {"1.1.1.1",
                                        "8.8.8.8",
                                        "9.255.255.255",
                                        "11.0.0.0",
                                        "100.63.255.255",
                                        "100.128.0.0",
                                        "126.255.255.255",
                                        "128.0.0.0",
                                        "169.253.255.255",
                                        "169.255.0.0",
                                        "172.15.255.255",
                                        "172.32.0.0",
                                        "192.167.255.255",
                                        "192.169.0.0",
                                        "198.17.255.255",
                                        "198.20.0.0",
                                        "223.255.255.255",
                                        "2600::1",
                                        "2a00:1450::1",
                                        "2001:4860::8888",
                                        "2002:808:808::1",
                                        "64:ff9b::808:808",
                                        NULL};
    expect(texts, NETWORK_PUBLIC);
}

static void test_private_addresses(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "127.0.0.1", "127.255.255.255", "10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0",
        "192.168.255.255", "100.64.0.0", "100.127.255.255", "198.18.0.1", "::1", "fc00::1", "fd12:3456::1", "::ffff:127.0.0.1",
        "::ffff:10.1.2.3", "fdff:ffff::1", "2001:2::1",
        /* a network's own NAT64: nobody else knows where in the address it looks for the IPv4 address, here at 10.0.0.1 */
        "64:ff9b:1:a00:0:100:808:808", "64:ff9b:1::808:808", NULL};
    expect(texts, NETWORK_PRIVATE);
}

static void test_forbidden_addresses(void **state)
{
    (void)state;
    static const char *const texts[] = {"0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "224.0.0.1", "239.255.255.255",
                                        "240.0.0.1", "255.255.255.255", "192.0.0.192", "192.0.2.1", "198.51.100.1", "203.0.113.1",
                                        "100.100.100.200", "168.63.129.16", "::", "fe80::1", "febf::1", "fec0::1", "ff02::1",
                                        "2001:db8::1", "100::1", "100:0:0:1::1", "5f00::1", "fd00:ec2::254", "fd20:ce::254",
                                        "::ffff:169.254.169.254", "::ffff:0.0.0.0",
                                        /* IPv4 within IPv6 */
                                        "::127.0.0.1", "::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",
                                        "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:c0a8:101::1", "::ffff:0:127.0.0.1",
                                        "2001:0:0:0:0:0:80ff:fffe", "2001:0:1:2:3:4:5601:5601", NULL};
    expect(texts, NETWORK_FORBIDDEN);
}

static struct network_list list_of(const char *text)
{
    struct network_list list;
    struct str entry;
    const char *why;
    assert_int_equal(network_list_read(str_from(text), &list, &entry, &why), ERR_NONE);
    return list;
}

static bool allowed(const char *text, const struct network_list *list)
{
    struct network_address address = address_of(text);
    return network_is_allowed(&address, list);
}

static void test_what_the_operator_allows(void **state)
{
    (void)state;
    struct network_list none = list_of(""), some = list_of("10.1.0.0/16, 127.0.0.1 ,fd00:1::/32,"), all = list_of("::/0");
    assert_true(allowed("8.8.8.8", &none));
    assert_false(allowed("10.1.2.3", &none));
    assert_true(allowed("10.1.2.3", &some));
    assert_true(allowed("::ffff:10.1.2.3", &some));
    assert_false(allowed("10.2.0.0", &some));
    assert_true(allowed("127.0.0.1", &some));
    assert_false(allowed("127.0.0.2", &some));
    assert_true(allowed("fd00:1::9", &some));
    assert_false(allowed("fd00:2::9", &some));
    assert_true(allowed("10.2.0.0", &all) && allowed("::1", &all) && allowed("fd00::1", &all));
    /* what is never allowed */
    assert_false(allowed("169.254.169.254", &all) || allowed("0.0.0.0", &all) || allowed("64:ff9b::7f00:1", &all) ||
                 allowed("::", &all));
}

static void test_lists_that_are_none(void **state)
{
    (void)state;
    static const char *const texts[] = {"localhost",   "10.0.0.0/33", "10.0.0.0/",  "10.0.0.0/x",     "10.0.0.1/8",
                                        "fd00::1/64",  "10.0.0/8",    "/8",         "10.0.0.0/8/8",   "0x7f.1",
                                        "127.1",       "2130706433",  "::/129",     "169.254.0.0/16", "10.0.0.0/-1",
                                        "10.0.0.0/ 8", "fe80::%eth0", "224.0.0.0/4"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct network_list list;
        struct str entry;
        const char *why = NULL;
        if (network_list_read(str_from(texts[i]), &list, &entry, &why) != ERR_INVALID)
            fail_msg("\"%s\" was taken", texts[i]);
        assert_non_null(why);
        assert_true(str_eq(entry, str_from(texts[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public_addresses),    cmocka_unit_test(test_private_addresses),
        cmocka_unit_test(test_forbidden_addresses), cmocka_unit_test(test_what_the_operator_allows),
        cmocka_unit_test(test_lists_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
