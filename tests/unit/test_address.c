#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/address.h"

static void test_urls(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"https://abc.trycloudflare.com", "https://abc.trycloudflare.com"},
        {"https://abc.trycloudflare.com/", "https://abc.trycloudflare.com"},
        {"HTTPS://ABC.TryCloudflare.COM//", "https://abc.trycloudflare.com"},
        {"abc.trycloudflare.com", "https://abc.trycloudflare.com"},
        {"abc.trycloudflare.com/", "https://abc.trycloudflare.com"},
        {" abc.trycloudflare.com\n", "https://abc.trycloudflare.com"},
        {"https://x.example:443", "https://x.example"},
        {"https://x.example:/", "https://x.example"},
        {"http://x.example:80/", "http://x.example"},
        {"https://x.example:80", "https://x.example:80"},
        {"x.example:443", "https://x.example"},
        {"x.example:8000", "http://x.example:8000"},
        {"192.168.1.5:8000", "http://192.168.1.5:8000"},
        {"192.168.1.5", "http://192.168.1.5"},
        {"worker1:8000", "http://worker1:8000"},
        {"worker.local", "http://worker.local"},
        {"http://worker_1:8000/", "http://worker_1:8000"},
        {"https://x.example/Path/", "https://x.example/Path"},
        {"https://x.example/a/?b=c/", "https://x.example/a/?b=c/"},
        {"https://x.example/a#b", "https://x.example/a"},
        {"https://x.example#b", "https://x.example"},
        {"https://x.example?q=http://y", "https://x.example?q=http://y"},
        {"https://x.example.", "https://x.example"},
        {"https://user:secret@x.example/", "https://x.example"},
        {"https://https://x.example", "https://x.example"},
        {"https://http://x.example", "http://x.example"},
        {"http://[2001:DB8::0:1]:8000/", "http://[2001:db8::1]:8000"},
        {"[2001:db8::1]:8000", "http://[2001:db8::1]:8000"},
        {"http://2001:db8::1", "http://[2001:db8::1]"},
        {"http://[::ffff:1.2.3.4]", "http://1.2.3.4"},
        {"http://localhost:8000", "http://localhost:8000"},
        {"http://0.0.0.0:8000", "http://0.0.0.0:8000"},
        {"postgres://db.example:5432/x", "postgres://db.example:5432/x"},
        {"wss://x.example:443", "wss://x.example"},
        {"//x.example/", "https://x.example"},
        {"\"https://x.example\"", "https://x.example"},
        {"<https://x.example>", "https://x.example"},
        {"http.example", "https://http.example"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct place place;
        struct buffer out = BUFFER_INIT;
        const char *why = place_read_url(str_from(cases[i][0]), &place);
        if (why != NULL)
            fail_msg("\"%s\" %s", cases[i][0], why);
        place_write(&out, &place);
        if (!str_eq(buffer_str(&out), str_from(cases[i][1])))
            fail_msg("\"%s\" became \"%.*s\"", cases[i][0], STR_PRINTF(buffer_str(&out)));
        struct str normal = buffer_str(&out);
        struct buffer again = BUFFER_INIT;
        assert_null(place_read_url(normal, &place));
        place_write(&again, &place);
        assert_true(str_eq(buffer_str(&again), normal)); /* the normal form stays as it is */
        buffer_fini(&out);
        buffer_fini(&again);
    }
}

static void test_what_is_no_url(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "None",
        "null",
        "N/A",
        "-",
        "https://",
        "https:/x.example",
        "HTTPS//x.example",
        "http:/",
        "http//",
        "0x7f000001",
        "https://1.0x7f",
        "https:///path",
        "https://None",
        "http://null:8000",
        "https://undefined/",
        "javascript:alert(1)",
        "data:text/html,x",
        "mailto:a@b.example",
        "not a url",
        "https://a b.example",
        "https://x.example:70000",
        "https://x.example:0",
        "https://x.example:http",
        "https://-x.example",
        "https://x..example",
        "https://.x",
        "https://300.1.1.1",
        "https://1.2.3",
        "https://x.example\\a",
        "https://<script>",
        "https://\"x\"",
        "https://\xc3\xa4.example",
        "://x",
        "1http://x",
        "h_p://x.example",
        "https://[::1",
        "https://[x]",
        "https://[1.2.3.4]",
        "https://user@",
        "https://a@b@",
    };
    struct place place;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (place_read_url(str_from(bad[i]), &place) == NULL)
            fail_msg("\"%s\" was taken for a URL of %s", bad[i], place.host);
    assert_non_null(place_read_url((struct str){NULL, 0}, &place));
    assert_non_null(place_read_url((struct str){"https://x\0y", 11}, &place));
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        int port;
        enum reach reach;
        size_t others;
    } cases[] = {
        {"192.168.1.5", "192.168.1.5", 0, REACH_FAR, 0},
        {"192.168.1.5:8000", "192.168.1.5", 8000, REACH_FAR, 0},
        {"192.168.1.5 172.17.0.1 ", "192.168.1.5", 0, REACH_FAR, 1},
        {"192.168.1.5 172.17.0.1 \n", "192.168.1.5", 0, REACH_FAR, 1},
        {"192.168.1.5, 172.17.0.1;10.0.0.1", "192.168.1.5", 0, REACH_FAR, 2},
        {"127.0.0.1 192.168.1.5", "192.168.1.5", 0, REACH_FAR, 1},
        {"0.0.0.0,::1,10.0.0.1:9", "10.0.0.1", 9, REACH_FAR, 2},
        {"fe80::1%eth0 2001:db8::7", "2001:db8::7", 0, REACH_FAR, 1},
        {"169.254.1.1 127.0.0.1", "127.0.0.1", 0, REACH_SELF, 1},
        {"192.168.1.5/24", "192.168.1.5", 0, REACH_FAR, 0},
        {"2001:DB8::5", "2001:db8::5", 0, REACH_FAR, 0},
        {"[2001:db8::5]", "2001:db8::5", 0, REACH_FAR, 0},
        {"[2001:db8::5]:8000", "2001:db8::5", 8000, REACH_FAR, 0},
        {"[::1]:8000", "::1", 8000, REACH_SELF, 0},
        {"::ffff:192.0.2.1", "192.0.2.1", 0, REACH_FAR, 0},
        {"0.0.0.0", "0.0.0.0", 0, REACH_NOWHERE, 0},
        {"0.0.0.0:8000", "0.0.0.0", 8000, REACH_NOWHERE, 0},
        {"::", "::", 0, REACH_NOWHERE, 0},
        {"255.255.255.255", "255.255.255.255", 0, REACH_NOWHERE, 0},
        {"fe80::1%eth0", "fe80::1", 0, REACH_NOWHERE, 0},
        {"127.0.0.1", "127.0.0.1", 0, REACH_SELF, 0},
        {"localhost:8000", "localhost", 8000, REACH_SELF, 0},
        {"GPU-Box", "gpu-box", 0, REACH_FAR, 0},
        {"gpu-box.lan:80", "gpu-box.lan", 80, REACH_FAR, 0},
        {"Failed to get 10.1.2.3", "10.1.2.3", 0, REACH_FAR, 0},
        {"https://x.example/", "https://x.example", 0, REACH_FAR, 0},
        {"None 10.0.0.1", "10.0.0.1", 0, REACH_FAR, 0},
        {"172.17.0.1 172.18.0.1 192.168.1.5 10.8.0.2", "192.168.1.5", 0, REACH_FAR, 3},
        {"172.17.0.1 127.0.0.1", "172.17.0.1", 0, REACH_FAR, 1},
        {"172.17.0.2 192.168.1.5", "172.17.0.2", 0, REACH_FAR, 1},
        {"['192.168.1.5', '10.0.0.1']", "192.168.1.5", 0, REACH_FAR, 1},
        {"\"192.168.1.5\"", "192.168.1.5", 0, REACH_FAR, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct place place;
        size_t others;
        struct buffer out = BUFFER_INIT;
        const char *why = place_read_address(str_from(cases[i].text), &place, &others);
        if (why != NULL)
            fail_msg("\"%s\" %s", cases[i].text, why);
        place_write(&out, &place);
        if (!str_eq(buffer_str(&out), str_from(cases[i].host)) || place.port != cases[i].port || place.reach != cases[i].reach ||
            others != cases[i].others)
            fail_msg("\"%s\" became \"%.*s\" port %d reach %d others %zu", cases[i].text, STR_PRINTF(buffer_str(&out)), place.port,
                     place.reach, others);
        buffer_fini(&out);
    }
}

static void test_what_is_no_address(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      " ",
                                      "N/A",
                                      "None",
                                      "None:8000",
                                      "null",
                                      "1.2.3",
                                      "300.1.2.3",
                                      "192.168.1.5:0",
                                      "1.2.3.4:70000",
                                      "1.2.3.4:x",
                                      "no address found",
                                      "ftp://a.b",
                                      "a/b",
                                      "1.2.3.4/x",
                                      ":8000",
                                      "[::1",
                                      ":::",
                                      "a@b",
                                      "1.2.3.4/33/2",
                                      "fe80::1%",
                                      "x:y:z"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct place place;
        size_t others;
        if (place_read_address(str_from(bad[i]), &place, &others) == NULL)
            fail_msg("\"%s\" was taken for %s", bad[i], place.host);
    }
}

static void test_ports(void **state)
{
    (void)state;
    assert_int_equal(port_of_text(STR("8000")), 8000);
    assert_int_equal(port_of_text(STR(" 8000 ")), 8000);
    assert_int_equal(port_of_text(STR("65535")), 65535);
    assert_int_equal(port_of_text(STR("65536")), 0);
    assert_int_equal(port_of_text(STR("99999999999999999999")), 0);
    assert_int_equal(port_of_text(STR("0")), 0);
    assert_int_equal(port_of_text(STR("-1")), 0);
    assert_int_equal(port_of_text(STR("8000/tcp")), 0);
    assert_int_equal(port_of_text(STR("")), 0);
    assert_int_equal(port_of_number(8000), 8000);
    assert_int_equal(port_of_number(8000.5), 0);
    assert_int_equal(port_of_number(70000), 0);
    assert_int_equal(port_of_number(-1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),      cmocka_unit_test(test_what_is_no_url),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_what_is_no_address),
        cmocka_unit_test(test_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
