/*
 * What redis/ does without a Redis: addresses, key names, commands.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <cmocka.h>

#include "redis/address.h"
#include "redis/command.h"
#include "redis/script.h"

static void test_tcp_address(void **state)
{
    (void)state;
    struct address address;
    const char *why;
    assert_int_equal(address_parse(STR("redis://localhost"), &address, &why), ERR_NONE);
    assert_string_equal(address.tcp.host, "localhost");
    assert_int_equal(address.tcp.port, 6379);
    assert_int_equal(address.db, 0);
    assert_string_equal(address.password, "");

    assert_int_equal(address_parse(STR("redis://me:p%40ss:w@rma.internal:7000/3"), &address, &why), ERR_NONE);
    assert_string_equal(address.user, "me");
    assert_string_equal(address.password, "p@ss:w");
    assert_string_equal(address.tcp.host, "rma.internal");
    assert_int_equal(address.tcp.port, 7000);
    assert_int_equal(address.db, 3);

    assert_int_equal(address_parse(STR("redis://:secret@[fdaa::3]:6380"), &address, &why), ERR_NONE);
    assert_string_equal(address.user, "");
    assert_string_equal(address.password, "secret");
    assert_string_equal(address.tcp.host, "fdaa::3");
    assert_int_equal(address.tcp.port, 6380);
}

static void test_unix_address(void **state)
{
    (void)state;
    struct address address;
    const char *why;
    assert_int_equal(address_parse(STR("unix:///run/redis.sock"), &address, &why), ERR_NONE);
    assert_string_equal(address.path, "/run/redis.sock");
    assert_string_equal(address.tcp.host, "");
    assert_int_equal(address_parse(STR("unix:///run/redis.sock?db=2"), &address, &why), ERR_NONE);
    assert_int_equal(address.db, 2);
}

#define TOO_LONG                                                                                                                   \
    "unix:///0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"

static void test_bad_addresses(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "",
        "localhost:6379",
        "http://localhost",
        "redis://",
        "redis://:6379",
        "redis://host:0",
        "redis://host:65536",
        "redis://host:6379x",
        "redis://host/one",
        "redis://[::1",
        "redis://[::1]6379",
        "redis://u:%zz@host",
        "redis://ho%00st",
        "unix://",
        "unix://relative/path",
        "unix:///a?db=x",
        "unix:///a?passwd=x",
        "unix://:pw@relative",
        "unix://u:%zz@/a",
        "redis://fdaa::3:6379",
        "redis://host/1?db=2",
        "redis://host?db=",
        "redis://host?tls=1",
        "rediss://host",
        "redis+sentinel://host",
        "redis+sentinel://host/",
        "redis+sentinel:///name",
        "redis+sentinel://a,,b/name",
        "redis+sentinel://a:0/name",
        "redis+sentinel://a/name?db=x",
        "redis+sentinel://a/name?db=1&passwd=x",
        "redis+sentinel://a/name?sentinel_password=%zz",
        "redis+sentinel://a,a,a,a,a,a,a,a,a,a/name",
        TOO_LONG,
    };
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct address address = {.tcp = {.port = 1234}};
        const char *why = NULL;
        print_message("%s\n", urls[i]);
        assert_int_equal(address_parse(str_from(urls[i]), &address, &why), ERR_INVALID);
        assert_non_null(why);
        assert_int_equal(address.tcp.port, 1234); /* untouched */
    }
}

/* Passwords as people have them, and as other programs write such URLs. */
static void test_secrets(void **state)
{
    (void)state;
    static const struct {
        const char *url, *user, *password, *path;
        int db;
    } good[] = {
        {"redis://me@host", "me", "", "", 0},
        {"redis://me:@host/3", "me", "", "", 3},
        {"redis://host?db=2", "", "", "", 2},
        {"redis://host/?db=2", "", "", "", 2},
        {"redis://host/2?db=2", "", "", "", 2},
        {"redis://host:6379?user=me&password=a%2Fb", "me", "a/b", "", 0},
        {"redis://host/1?password=a/b@c", "", "a/b@c", "", 1},
        {"REDIS://:pw@host", "", "pw", "", 0},
        {"redis://:a?b#c@host/1", "", "a?b#c", "", 1},
        {"redis://:a@b@host", "", "a@b", "", 0},
        {"redis://:%2F%3A%40%25@host", "", "/:@%", "", 0},
        {"unix://:pw@/run/redis.sock", "", "pw", "/run/redis.sock", 0},
        {"unix://me@/run/redis.sock", "me", "", "/run/redis.sock", 0},
        {"unix://me:p@w@/run/redis.sock?db=4", "me", "p@w", "/run/redis.sock", 4},
        {"unix:///run/redis.sock?password=p%26w&db=1", "", "p&w", "/run/redis.sock", 1},
        {"unix:///run/redis.sock?username=me&password=pw", "me", "pw", "/run/redis.sock", 0},
        {"unix:///run/a@/redis.sock", "", "", "/run/a@/redis.sock", 0},
    };
    const char *why;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct address address;
        print_message("%s\n", good[i].url);
        assert_int_equal(address_parse(str_from(good[i].url), &address, &why), ERR_NONE);
        assert_string_equal(address.user, good[i].user);
        assert_string_equal(address.password, good[i].password);
        assert_string_equal(address.path, good[i].path);
        assert_string_equal(address.tcp.host, good[i].path[0] != '\0' ? "" : "host");
        assert_int_equal(address.db, good[i].db);
        assert_true(address_has_secret(&address) == (good[i].user[0] != '\0' || good[i].password[0] != '\0'));
    }
}

static void test_misleading_urls(void **state)
{
    (void)state;
    static const char *const misleading[][2] = {
        {"redis://me:pa/ss@host:6379", "%2F"},      {"redis://:/@host", "%2F"},         {"redis://:pa%ss@host", "%25"},
        {"redis+sentinel://:p/w@a,b/fleet", "%2F"}, {"redis://fdaa::3", "brackets"},    {"redis://host/one", "database"},
        {"redis://host?database=1", "db=N"},        {"redis://host:65536", "the port"},
    };
    const char *why;
    for (size_t i = 0; i < sizeof(misleading) / sizeof(misleading[0]); i++) {
        struct address address;
        print_message("%s\n", misleading[i][0]);
        assert_int_equal(address_parse(str_from(misleading[i][0]), &address, &why), ERR_INVALID);
        assert_non_null(strstr(why, misleading[i][1]));
    }
}

static void test_places(void **state)
{
    (void)state;
    static const char *const places[][2] = {
        {"redis://localhost", "localhost:6379"},
        {"redis://127.0.0.1:7000/0", "127.0.0.1:7000"},
        {"redis://me:s3cret@127.0.0.1:6379/2", "127.0.0.1:6379/2"},
        {"redis://:s3cret@[fdaa::3]:6380/1000000", "[fdaa::3]:6380/1000000"},
        {"unix:///run/redis.sock", "/run/redis.sock"},
        {"unix:///run/redis.sock?db=2", "/run/redis.sock?db=2"},
        {"redis+sentinel://:s3cret@a,b/fleet?db=2&sentinel_password=s3cret", "sentinel:fleet/2"},
    };
    struct address address;
    const char *why;
    char room[ADDRESS_PLACE_MAX];
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        assert_int_equal(address_parse(str_from(places[i][0]), &address, &why), ERR_NONE);
        assert_string_equal(address_place(&address, room), places[i][1]);
    }

    /* the longest */
    address = (struct address){.tcp = {.port = 65535}, .db = 1000000};
    memset(address.tcp.host, ':', ADDRESS_HOST_MAX);
    assert_int_equal(strlen(address_place(&address, room)), ADDRESS_PLACE_MAX - 1);
    assert_string_equal(room + 1 + ADDRESS_HOST_MAX, "]:65535/1000000");
}

static void test_sentinel_address(void **state)
{
    (void)state;
    struct address address;
    const char *why;
    assert_int_equal(address_parse(STR("redis+sentinel://localhost/fleet"), &address, &why), ERR_NONE);
    assert_string_equal(address.primary, "fleet");
    assert_int_equal(address.sentinel_count, 1);
    assert_string_equal(address.sentinels[0].host, "localhost");
    assert_int_equal(address.sentinels[0].port, 26379);
    assert_string_equal(address.tcp.host, "");
    assert_string_equal(address.sentinel_password, "");

    static const char *const url = "redis+sentinel://me:p%40ss@10.0.0.1:5000,[fdaa::3]:5001,c/my%2ffleet?db=3&sentinel_user=s&"
                                   "sentinel_password=%26x";
    assert_int_equal(address_parse(str_from(url), &address, &why), ERR_NONE);
    assert_string_equal(address.user, "me");
    assert_string_equal(address.password, "p@ss");
    assert_string_equal(address.primary, "my/fleet");
    assert_int_equal(address.sentinel_count, 3);
    assert_string_equal(address.sentinels[1].host, "fdaa::3");
    assert_int_equal(address.sentinels[1].port, 5001);
    assert_int_equal(address.sentinels[2].port, 26379);
    assert_int_equal(address.db, 3);
    assert_string_equal(address.sentinel_user, "s");
    assert_string_equal(address.sentinel_password, "&x");
}

static void test_endpoints(void **state)
{
    (void)state;
    struct endpoint endpoint = {"before", 1}, other = {"before", 7};
    assert_true(endpoint_read(STR("10.0.0.1:7000"), &endpoint));
    assert_string_equal(endpoint.host, "10.0.0.1");
    assert_int_equal(endpoint.port, 7000);
    assert_true(endpoint_read(STR("fdaa::3:7001"), &endpoint));
    assert_string_equal(endpoint.host, "fdaa::3");
    assert_true(endpoint_read(STR(":7"), &endpoint)); /* where it was */
    assert_string_equal(endpoint.host, "fdaa::3");
    assert_false(endpoint_eq(&endpoint, &other));
    snprintf(endpoint.host, sizeof(endpoint.host), "before");
    assert_true(endpoint_eq(&endpoint, &other));
    static const char *const bad[] = {"", "host", "host:", "host:0", "host:65536", "host:x", "7000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(endpoint_read(str_from(bad[i]), &endpoint));
    assert_true(endpoint_eq(&endpoint, &other));
}

static void test_keys(void **state)
{
    (void)state;
    char room[KEY_MAX];
    char longest[128];
    memset(longest, 'a', sizeof(longest));
    keys_init(STR("{rma}"));
    assert_true(str_eq(key_name(KEY_workers), STR("{rma}:workers")));
    assert_true(str_eq(key_worker(room, STR("w-1")), STR("{rma}:worker:w-1")));
    assert_true(str_eq(key_worker_online(room, STR("w-1")), STR("{rma}:worker:w-1:online")));
    assert_int_equal(key_worker_online(room, (struct str){longest, sizeof(longest)}).len, 13 + 128 + 7);
}

static void test_commands(void **state)
{
    (void)state;
    struct buffer command = BUFFER_INIT;
    command_begin(&command, 3);
    command_add(&command, STR("SET"));
    command_add(&command, STR("a\r\nb"));
    command_add_number(&command, -12);
    assert_true(str_eq(buffer_str(&command), STR("*3\r\n$3\r\nSET\r\n$4\r\na\r\nb\r\n$3\r\n-12\r\n")));
    buffer_fini(&command);
}

static void test_script_command(void **state)
{
    (void)state;
    keys_init(STR("p"));
    scripts_init();
    struct str args[UNREGISTER_ARGS] = {[UNREGISTER_worker_id] = STR("w-1")};
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_unregister, args, 0);
    size_t strings = 3 + script_texts[SCRIPT_unregister].key_count + UNREGISTER_ARGS;
    char begin[64];
    snprintf(begin, sizeof(begin), "*%zu\r\n$7\r\nEVALSHA\r\n$40\r\n", strings);
    assert_memory_equal(command.ptr, begin, strlen(begin));
    assert_non_null(memmem(command.ptr, command.len, "$8\r\np:ledger\r\n", 14));
    assert_memory_equal(command.ptr + command.len - 15, "$3\r\nw-1\r\n$0\r\n\r\n", 15);
    buffer_fini(&command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp_address),
        cmocka_unit_test(test_unix_address),
        cmocka_unit_test(test_bad_addresses),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_misleading_urls),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_script_command),
        cmocka_unit_test(test_sentinel_address),
        cmocka_unit_test(test_endpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
