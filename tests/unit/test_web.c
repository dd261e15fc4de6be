#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "instance/web.h"

#include <string.h>

/* A setting, and what it becomes; NULL: it is refused. */
struct one {
    const char *text, *becomes;
};

static const struct one public_urls[] = {
    {"https://c.example", "https://c.example"},
    {"https://c.example/", "https://c.example"},
    {"https://c.example///", "https://c.example"},
    {" https://c.example\t", "https://c.example"},
    {"HTTPS://C.Example:443/", "https://c.example"},
    {"http://c.example:80", "http://c.example"},
    {"http://c.example:443", "http://c.example:443"},
    {"http://c.example:8080/rma/", "http://c.example:8080/rma"},
    {"https://c.example/Path/x", "https://c.example/Path/x"},
    {"http://192.0.2.1:8080", "http://192.0.2.1:8080"},
    {"http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080"},
    {"http://localhost:8080", "http://localhost:8080"},
    {"http://coordinator:8080", "http://coordinator:8080"},
    {"not a url", NULL},
    {"c.example", NULL},
    {"c.example:8080", NULL},
    {"//c.example", NULL},
    {"://c.example", NULL},
    {"javascript:alert(1)", NULL},
    {"javascript://c.example/%0aalert(1)", NULL},
    {"ftp://c.example", NULL},
    {"wss://c.example", NULL},
    {"data:text/html,x", NULL},
    {"https://", NULL},
    {"https:///x", NULL},
    {"https:c.example", NULL},
    {"https://user@c.example", NULL},
    {"https://user:pw@c.example", NULL},
    {"https://@c.example", NULL},
    {"https://c.example?x=1", NULL},
    {"https://c.example/?", NULL},
    {"https://c.example/#top", NULL},
    {"https://c.example#", NULL},
    {"https://c .example", NULL},
    {"https://c.example/a b", NULL},
    {"https://c.example/\"", NULL},
    {"https://c.example\n", NULL},
    {"https://c.example:0", NULL},
    {"https://c.example:70000", NULL},
    {"https://c.example:65536", NULL},
    {"https://c.example:-1", NULL},
    {"https://c.example:8o", NULL},
    {"https://c.example:80:80", NULL},
    {"https://0.0.0.0:8080", NULL},
    {"https://[::]", NULL},
    {"https://[::1", NULL},
    {"https://[fe80::1%eth0]", NULL},
    {"https://-c.example", NULL},
    {"https://c..example", NULL},
    {"https://*.example", NULL},
    {"https://1.2.3", NULL},
    {"https://https://c.example", NULL},
    {"https://\xc3\xa4.example", NULL},
    {"null", NULL},
    {"None", NULL},
    {"https://a.example,https://b.example", NULL},
};

static const struct one origins[] = {
    {"*", "*"},
    {"https://a.example", "https://a.example"},
    {"https://a.example/", "https://a.example"},
    {"https://A.Example:443", "https://a.example"},
    {"http://a.example:80,https://a.example:8443", "http://a.example,https://a.example:8443"},
    {" https://a.example , https://b.example ", "https://a.example,https://b.example"},
    {"https://a.example,,", "https://a.example"},
    {",", ""},
    {"https://a.example, *", "*"},
    {"https://*.example", "https://*.example"},
    {"https://*.Example.org:8443/", "https://*.example.org:8443"},
    {"https://*.a.example,http://localhost:3000", "https://*.a.example,http://localhost:3000"},
    {"http://[::1]:3000", "http://[::1]:3000"},
    {"http://[2001:DB8:0::1]", "http://[2001:db8::1]"},
    {"capacitor://localhost", "capacitor://localhost"},
    {"chrome-extension://abcdefghij", "chrome-extension://abcdefghij"},
    {"a.example", NULL},
    {"*.example", NULL},
    {"//a.example", NULL},
    {"https://a.example/path", NULL},
    {"https://a.example/*", NULL},
    {"https://a.example?x", NULL},
    {"https://a.example#x", NULL},
    {"https://user@a.example", NULL},
    {"https://a.example https://b.example", NULL},
    {"https://a.example;https://b.example", NULL},
    {"https://a.example:0", NULL},
    {"https://a.example:70000", NULL},
    {"https://a.*.example", NULL},
    {"https://*", NULL},
    {"https://*.", NULL},
    {"https://**.example", NULL},
    {"https://*.*.example", NULL},
    {"https://*a.example", NULL},
    {"https://*.192.0.2.1", NULL},
    {"https://*.[::1]", NULL},
    {"*://a.example", NULL},
    {"https://a.example:*", NULL},
    {"null", NULL},
    {"https://a.example,null", NULL},
    {"NULL", NULL},
    {"javascript:alert(1)", NULL},
};

static void check(const struct one *cases, size_t count, enum err (*read)(struct str, struct buffer *, char[256]), const char *name)
{
    for (size_t i = 0; i < count; i++) {
        struct buffer out = BUFFER_INIT;
        char why[256] = "";
        enum err err = read(str_from(cases[i].text), &out, why);
        print_message("%s: %s\n", cases[i].text, why);
        assert_int_equal(err, cases[i].becomes != NULL ? ERR_NONE : ERR_INVALID);
        if (cases[i].becomes != NULL)
            assert_true(str_eq(buffer_str(&out), str_from(cases[i].becomes)));
        else
            assert_non_null(strstr(why, name));
        buffer_fini(&out);
    }
}

static void test_public_urls(void **state)
{
    (void)state;
    check(public_urls, sizeof(public_urls) / sizeof(public_urls[0]), web_read_public_url, "PUBLIC_URL");
}

static void test_origins(void **state)
{
    (void)state;
    check(origins, sizeof(origins) / sizeof(origins[0]), web_read_origins, "ALLOWED_ORIGINS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public_urls),
        cmocka_unit_test(test_origins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
