#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/proxy.h"

#include <stdlib.h>

static const char *const variables[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
                                        "all_proxy",  "ALL_PROXY",  "no_proxy",    "NO_PROXY"};

/* The environment, a URL, and the variable that names its proxy; NULL: none. */
static const struct {
    const char *environment[3][2];
    const char *url, *variable;
} cases[] = {
    {{{NULL}}, "http://c.example", NULL},
    {{{"http_proxy", "http://p:1"}}, "http://c.example", "http_proxy"},
    {{{"http_proxy", "http://p:1"}}, "https://c.example", NULL},
    {{{"HTTP_PROXY", "http://p:1"}}, "http://c.example", NULL},
    {{{"http_proxy", ""}}, "http://c.example", NULL},
    {{{"HTTPS_PROXY", "http://p:1"}}, "https://c.example", "HTTPS_PROXY"},
    {{{"https_proxy", "http://p:1"}, {"HTTPS_PROXY", "http://q:1"}}, "https://c.example", "https_proxy"},
    {{{"ALL_PROXY", "socks5://p:1"}}, "http://c.example", "ALL_PROXY"},
    {{{"all_proxy", "p:1"}, {"http_proxy", "http://q:1"}}, "http://c.example", "http_proxy"},
    {{{"all_proxy", "p:1"}}, "https://c.example", "all_proxy"},
    {{{"http_proxy", "http://p:1"}}, "http://127.0.0.1:8080", NULL},
    {{{"http_proxy", "http://p:1"}}, "http://127.9.8.7", NULL},
    {{{"http_proxy", "http://p:1"}}, "http://localhost:8080/x", NULL},
    {{{"http_proxy", "http://p:1"}}, "http://LOCALHOST", NULL},
    {{{"http_proxy", "http://p:1"}}, "http://a.localhost", NULL},
    {{{"http_proxy", "http://p:1"}}, "http://[::1]:8080", NULL},
    {{{"http_proxy", "http://p:1"}}, "http://[::ffff:127.0.0.1]", NULL},
    {{{"ALL_PROXY", "http://p:1"}}, "https://user:pw@localhost", NULL},
    {{{"http_proxy", "http://p:1"}}, "http://localhost.example", "http_proxy"},
    {{{"http_proxy", "http://p:1"}}, "http://128.0.0.1", "http_proxy"},
    {{{"http_proxy", "http://p:1"}, {"no_proxy", "*"}}, "http://c.example", NULL},
    {{{"http_proxy", "http://p:1"}, {"NO_PROXY", "c.example"}}, "http://c.example:8080", NULL},
    {{{"http_proxy", "http://p:1"}, {"NO_PROXY", "x, .Example"}}, "http://c.example", NULL},
    {{{"http_proxy", "http://p:1"}, {"NO_PROXY", "x example"}}, "http://c.example", NULL},
    {{{"http_proxy", "http://p:1"}, {"NO_PROXY", "xample"}}, "http://c.example", "http_proxy"},
    {{{"http_proxy", "http://p:1"}, {"NO_PROXY", ",, ,."}}, "http://c.example", "http_proxy"},
    {{{"http_proxy", "http://p:1"}, {"no_proxy", "x"}, {"NO_PROXY", "*"}}, "http://c.example", "http_proxy"},
    {{{"http_proxy", "http://p:1"}, {"NO_PROXY", "10.0.0.0/8"}}, "http://10.1.2.3", NULL},
    {{{"http_proxy", "http://p:1"}, {"NO_PROXY", "10.0.0.0/9"}}, "http://10.128.2.3", "http_proxy"},
    {{{"http_proxy", "http://p:1"}, {"NO_PROXY", "10.1.2.3"}}, "http://10.1.2.3", NULL},
    {{{"http_proxy", "http://p:1"}, {"NO_PROXY", "10.1.2.3/33"}}, "http://10.1.2.3", "http_proxy"},
    {{{"http_proxy", "http://p:1"}, {"NO_PROXY", "10.1.2.3/"}}, "http://10.1.2.3", "http_proxy"},
    {{{"http_proxy", "http://p:1"}, {"NO_PROXY", "0.0.0.0/0"}}, "http://10.1.2.3", NULL},
    {{{"http_proxy", "http://p:1"}, {"NO_PROXY", "2001:db8::/32"}}, "http://[2001:db8::1]", NULL},
    {{{"http_proxy", "http://p:1"}, {"NO_PROXY", "[2001:db8::1]"}}, "http://[2001:db8::1]", NULL},
};

static void test_which(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct proxy proxy;
        for (size_t j = 0; j < sizeof(variables) / sizeof(variables[0]); j++)
            unsetenv(variables[j]);
        for (size_t j = 0; j < 3 && cases[i].environment[j][0] != NULL; j++)
            setenv(cases[i].environment[j][0], cases[i].environment[j][1], 1);
        proxy_find(str_from(cases[i].url), &proxy);
        print_message("%zu %s: %s\n", i, cases[i].url, proxy.variable != NULL ? proxy.variable : "none");
        assert_true(str_eq(str_from(proxy.variable), str_from(cases[i].variable)));
    }
}

static void test_no_password_is_shown(void **state)
{
    (void)state;
    static const char *const shown[][2] = {{"http://user:pw@p.example:1", "http://p.example:1"},
                                           {"http://us@er:p@w@p.example", "http://p.example"},
                                           {"user:pw@p.example", "p.example"},
                                           {"p.example:3128", "p.example:3128"},
                                           {"socks5h://p.example", "socks5h://p.example"}};
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        struct proxy proxy;
        setenv("http_proxy", shown[i][0], 1);
        unsetenv("no_proxy");
        unsetenv("NO_PROXY");
        proxy_find(STR("http://c.example"), &proxy);
        assert_string_equal(proxy.url, shown[i][0]);
        assert_string_equal(proxy.place, shown[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which),
        cmocka_unit_test(test_no_password_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
