#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/proxy.h"

#include <stdio.h>
#include <unistd.h>

#define VARIABLES_MAX 3

/* The variables of an environment, the URL of a coordinator, and the variable that names its proxy; NULL: none. */
static const struct {
    const char *environment[VARIABLES_MAX][2];
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

/* Makes these variables the whole environment. */
static void set_environment(const char *const variables[][2], size_t count)
{
    static char texts[VARIABLES_MAX][64];
    static char *list[VARIABLES_MAX + 1];
    assert_in_range(count, 0, VARIABLES_MAX);
    for (size_t i = 0; i < count; i++) {
        assert_in_range(snprintf(texts[i], sizeof(texts[i]), "%s=%s", variables[i][0], variables[i][1]), 1, sizeof(texts[i]) - 1);
        list[i] = texts[i];
    }
    list[count] = NULL;
    environ = list;
}

static void test_which(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct proxy proxy;
        size_t count = 0;
        while (count < VARIABLES_MAX && cases[i].environment[count][0] != NULL)
            count++;
        set_environment(cases[i].environment, count);
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
        const char *const variables[1][2] = {{"http_proxy", shown[i][0]}};
        set_environment(variables, 1);
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
