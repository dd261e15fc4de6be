#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/hosts.h"

static void test_lists(void **state)
{
    (void)state;
    static const char *const good[] = {"", "a", "a,b.example", " a , b ", "A.example:8080", "[::1]:80,127.0.0.1", "a,"};
    static const char *const bad[] = {",", "a,,b", "a b", "https://a", "a/b", "a,*", ":80", "a\tb", "caf\xC3\xA9"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!hosts_are_valid(str_from(good[i])))
            fail_msg("\"%s\" is refused", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (hosts_are_valid(str_from(bad[i])))
            fail_msg("\"%s\" is taken", bad[i]);
}

static void test_members(void **state)
{
    (void)state;
    struct str list = STR("api.example, WWW.Example:8443,[::1]:80,127.0.0.1");
    static const char *const members[] = {"api.example", "API.EXAMPLE:1", "api.example.", "www.example",
                                          "[::1]",       "[::1]:9",       "127.0.0.1:80"};
    static const char *const others[] = {"",     "api", "api.example.org", "xapi.example", "example", "[::2]",
                                         "[::1", "::1", "127.0.0.11",      ":80"};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (!hosts_have(list, str_from(members[i])))
            fail_msg("%s is not found", members[i]);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (hosts_have(list, str_from(others[i])))
            fail_msg("%s is found", others[i]);
    assert_false(hosts_have(list, (struct str){NULL, 0}));
    assert_false(hosts_have(STR(""), STR("a")));
    assert_false(hosts_have((struct str){NULL, 0}, STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
