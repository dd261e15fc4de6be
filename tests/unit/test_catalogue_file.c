#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/catalogue_file.h"
#include "model/id.h"

#include <stdio.h>
#include <stdlib.h>

static char *lookup(const char *variable)
{
    static char model[] = "llama \"3\"\n\xC3\xA9", empty[] = "", broken[] = "s3cret\xFF", dollar[] = "${MODEL}$", huge[20000];
    memset(huge, 'x', sizeof(huge) - 1);
    static const struct {
        const char *name;
        char *value;
    } variables[] = {{"MODEL", model}, {"EMPTY", empty}, {"BROKEN", broken}, {"DOLLAR", dollar}, {"HUGE", huge}};
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        if (strcmp(variables[i].name, variable) == 0)
            return variables[i].value;
    return NULL;
}

/* Parses a copy that ends where the text ends, so that the sanitizers see a byte read too far. */
static enum err parse(struct str text, struct catalogue_file *file, struct buffer *faults)
{
    char *copy = malloc(text.len + 1);
    assert_non_null(copy);
    memcpy(copy + 1, text.ptr, text.len);
    enum err err = catalogue_file_parse("c.json", (struct str){copy + 1, text.len}, lookup, file, faults);
    free(copy);
    assert_int_equal(err == ERR_NONE, faults->len == 0);
    return err;
}

static void expect_faults(struct str text, const char *expected)
{
    struct catalogue_file file;
    struct buffer faults = BUFFER_INIT;
    assert_int_equal(parse(text, &file, &faults), ERR_INVALID);
    buffer_append(&faults, (struct str){"", 1});
    assert_string_equal(faults.ptr, expected);
    buffer_fini(&faults);
    catalogue_file_fini(&file);
}

static void test_services_and_defaults(void **state)
{
    (void)state;
    struct catalogue_file file;
    struct buffer faults = BUFFER_INIT;
    assert_int_equal(parse(STR("{\"services\": [\n"
                               "{\"name\": \"z\", \"tier\": 2, \"image\": \"i\", \"port\": 1},\n"
                               "{\"port\": 65535, \"image\": \"ghcr.io/x/y@sha256:0\", \"tier\": 2.0, \"name\": \"a:b.c_d-E\","
                               " \"env\": {}, \"container\": \"box\", \"priority\": 1000},\n"
                               "{\"\\u006eame\": \"first\", \"tier\": 1, \"image\": \"i\", \"port\": 8e3, \"priority\": 7}]}"),
                           &file, &faults),
                     ERR_NONE);
    assert_int_equal(file.count, 3);
    const struct catalogue_service *services = file.services;
    assert_true(str_eq(services[0].name, STR("first")));
    assert_int_equal(services[0].tier, TIER_GPU);
    assert_int_equal(services[0].port, 8000);
    assert_int_equal(services[0].priority, 7);
    assert_true(str_eq(services[1].name, STR("z")));
    assert_true(str_eq(services[1].container, STR("rma-z-worker")));
    assert_true(str_eq(services[1].image, STR("i")));
    assert_int_equal(services[1].tier, TIER_SERVICE);
    assert_int_equal(services[1].port, 1);
    assert_int_equal(services[1].priority, 5);
    assert_int_equal(services[1].env.len, 0);
    assert_true(str_eq(services[2].name, STR("a:b.c_d-E")));
    assert_true(str_eq(services[2].container, STR("box")));
    assert_true(str_eq(services[2].image, STR("ghcr.io/x/y@sha256:0")));
    assert_int_equal(services[2].port, 65535);
    assert_int_equal(services[2].priority, 1000);
    assert_int_equal(services[2].env.len, 0);
    catalogue_file_fini(&file);
}

/* The text of a catalogue of one service with that env, which begins in line 2. */
static struct str with_env(const char *env, char room[1024])
{
    int len =
        snprintf(room, 1024, "{\"services\": [{\"name\": \"a\", \"tier\": 2, \"image\": \"i\", \"port\": 1,\n\"env\": %s}]}", env);
    return (struct str){room, (size_t)len};
}

static void test_env(void **state)
{
    (void)state;
    static const struct {
        const char *env;
        const char *expected;
    } cases[] = {
        {"{}", ""},
        {"{\"A\": \"b\"}", ",\"A\":\"b\""},
        {"{\"A\": \"\"}", ",\"A\":\"\""},
        {"{\"b\": \"1\", \"A_2\": \"x y\"}", ",\"b\":\"1\",\"A_2\":\"x y\""},
        {"{\"A\": \"\\\"\\n\\u0001\\\\\"}", ",\"A\":\"\\\"\\n\\u0001\\\\\""},
        {"{\"A\": \"${MODEL}\"}", ",\"A\":\"llama \\\"3\\\"\\n\xC3\xA9\""},
        {"{\"A\": \"<${EMPTY}${MODEL:-x}${EMPTY}>\"}", ",\"A\":\"<llama \\\"3\\\"\\n\xC3\xA9>\""},
        {"{\"A\": \"${EMPTY}\"}", ",\"A\":\"\""},
        {"{\"A\": \"${EMPTY:-x}${UNSET:-y:-{ z}${UNSET:-}!\"}", ",\"A\":\"xy:-{ z!\""},
        {"{\"A\": \"$$\"}", ",\"A\":\"$\""},
        {"{\"A\": \"$$$${MODEL}$$x$$\"}", ",\"A\":\"$${MODEL}$x$\""},
        {"{\"A\": \"${DOLLAR}\"}", ",\"A\":\"${MODEL}$\""}, /* what a variable holds is not looked at again */
        {"{\"A\": \"}{ %s\"}", ",\"A\":\"}{ %s\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char room[1024];
        struct catalogue_file file;
        struct buffer faults = BUFFER_INIT;
        if (parse(with_env(cases[i].env, room), &file, &faults) != ERR_NONE)
            fail_msg("%s: %.*s", cases[i].env, STR_PRINTF(buffer_str(&faults)));
        if (!str_eq(buffer_str(&file.services[0].env), str_from(cases[i].expected)))
            fail_msg("%s: %.*s", cases[i].env, STR_PRINTF(buffer_str(&file.services[0].env)));
        catalogue_file_fini(&file);
    }
}

#define BAD_DOLLAR "has a $ that is neither ${NAME} nor ${NAME:-default}; write $$ for a dollar sign"
#define BAD_VARIABLE "must be named by 1 to 128 characters of A-Z a-z 0-9 _, no digit first"

static void test_env_faults(void **state)
{
    (void)state;
    static const struct {
        const char *env;
        const char *expected; /* behind "c.json:2: services[0].env" */
    } cases[] = {
        {"[]", " must be an object"},
        {"null", " must be an object"},
        {"{\"A\": 1}", ".A must be a string"},
        {"{\"A\": null}", ".A must be a string"},
        {"{\"A\": \"x\", \"\\u0041\": \"y\"}", ".\\u0041 is given twice"},
        {"{\"\": \"x\"}", ". " BAD_VARIABLE},
        {"{\"1A\": \"x\"}", ".1A " BAD_VARIABLE},
        {"{\"A=B\": \"x\"}", ".A=B " BAD_VARIABLE},
        {"{\"\\u001b[2J\": \"x\"}", ".\\u001b[2J " BAD_VARIABLE},
        {"{\"WORKER_ID\": \"x\"}", ".WORKER_ID is set by the coordinator"},
        {"{\"COORDINATOR_URL\": \"x\"}", ".COORDINATOR_URL is set by the coordinator"},
        {"{\"A\": \"${UNSET}\"}", ".A needs the environment variable UNSET, which is not set"},
        {"{\"A\": \"${BROKEN}\"}", ".A needs the environment variable BROKEN, which is not UTF-8"},
        {"{\"A\": \"${BROKEN:-x}\"}", ".A needs the environment variable BROKEN, which is not UTF-8"},
        {"{\"A\": \"${HUGE}\"}", " must be at most 16384 bytes long with its variables replaced"},
        {"{\"A\": \"$\"}", ".A " BAD_DOLLAR},
        {"{\"A\": \"a $MODEL\"}", ".A " BAD_DOLLAR},
        {"{\"A\": \"${MODEL\"}", ".A " BAD_DOLLAR},
        {"{\"A\": \"${}\"}", ".A " BAD_DOLLAR},
        {"{\"A\": \"${ MODEL}\"}", ".A " BAD_DOLLAR},
        {"{\"A\": \"${MODEL-x}\"}", ".A " BAD_DOLLAR},
        {"{\"A\": \"${MODEL:x}\"}", ".A " BAD_DOLLAR},
        {"{\"A\": \"${1}\"}", ".A " BAD_DOLLAR},
        {"{\"A\": \"${UNSET:-${MODEL}}\"}", ".A " BAD_DOLLAR},
        {"{\"A\": \"${UNSET:-$$}\"}", ".A " BAD_DOLLAR},
        {"{\"A\": \"$$$\"}", ".A " BAD_DOLLAR},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char room[1024], expected[512];
        snprintf(expected, sizeof(expected), "c.json:2: services[0].env%s\n", cases[i].expected);
        expect_faults(with_env(cases[i].env, room), expected);
    }
}

static void test_every_fault_with_its_line(void **state)
{
    (void)state;
    expect_faults(STR("{\"service\": [],\n"
                      "\"services\": [\n"
                      "  {\"name\": \"rag\", \"tier\": 2, \"image\": \"i\", \"port\": 1},\n"
                      "  {\n"
                      "    \"name\": \"rag\",\n"
                      "    \"tier\": 5,\n"
                      "    \"Image\": \"i\",\n"
                      "    \"port\":\n"
                      "      65536,\n"
                      "    \"tier\": 1,\n"
                      "    \"env\": {\n"
                      "      \"OK\": \"${UNSET:-}\",\n"
                      "      \"A\": \"${UNSET} ${OTHER}\"\n"
                      "    }\n"
                      "  },\n"
                      "  17,\n"
                      "  {}\n"
                      "],\n"
                      "\"services\": [], \"x\\ny\": 1}"),
                  "c.json:1: the file has an unknown member \"service\"; there is services\n"
                  "c.json:7: services[1].Image is unknown; there are name, tier, container, image, port, priority, aliases, env, "
                  "pass_env, routes, proxy, spread, idempotent, pass_authorization, loads_models, set_cookie and timeouts\n"
                  "c.json:10: services[1].tier is given twice\n"
                  "c.json:4: services[1].image is missing\n"
                  "c.json:5: services[1].name is that of services[0], too\n"
                  "c.json:6: services[1].tier must be a whole number from 1 to 4\n"
                  "c.json:9: services[1].port must be a whole number from 1 to 65535\n"
                  "c.json:13: services[1].env.A needs the environment variable UNSET, which is not set\n"
                  "c.json:13: services[1].env.A needs the environment variable OTHER, which is not set\n"
                  "c.json:16: services[2] must be an object\n"
                  "c.json:17: services[3].name is missing\n"
                  "c.json:17: services[3].tier is missing\n"
                  "c.json:17: services[3].image is missing\n"
                  "c.json:17: services[3].port is missing\n"
                  "c.json:19: services is given twice\n"
                  "c.json:19: the file has an unknown member \"x\\ny\"; there is services\n");
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *member; /* comes before the good ones, which then are given twice */
        const char *expected;
    } cases[] = {
        {"\"name\": null", "name must be 1 to 128 characters of A-Z a-z 0-9 . _ : - and must not end in :online, nor be a - alone"},
        {"\"name\": \"a,b\"", "name must be 1 to 128"},
        {"\"name\": \"\"", "name must be 1 to 128"},
        {"\"name\": \"x:online\"", "name must be 1 to 128"},
        {"\"name\": \"-\"", "name must be 1 to 128"},
        {"\"tier\": 0", "tier must be a whole number from 1 to 4"},
        {"\"tier\": 1.5", "tier must be a whole number from 1 to 4"},
        {"\"tier\": \"2\"", "tier must be a whole number from 1 to 4"},
        {"\"tier\": null", "tier must be a whole number from 1 to 4"},
        {"\"port\": 0", "port must be a whole number from 1 to 65535"},
        {"\"port\": -1", "port must be a whole number from 1 to 65535"},
        {"\"port\": 1e300", "port must be a whole number from 1 to 65535"},
        {"\"port\": true", "port must be a whole number from 1 to 65535"},
        {"\"priority\": 0", "priority must be a whole number from 1 to 1000"},
        {"\"priority\": 1001", "priority must be a whole number from 1 to 1000"},
        {"\"priority\": null", "priority must be a whole number from 1 to 1000"},
        {"\"container\": \"\"", "container must be a string of 1 to 255 printable ASCII characters without blanks"},
        {"\"container\": \"a b\"", "container must be a string of 1 to 255"},
        {"\"container\": 5", "container must be a string of 1 to 255"},
        {"\"image\": \"a\\u007f\"", "image must be a string of 1 to 512"},
        {"\"image\": \"caf\xC3\xA9\"", "image must be a string of 1 to 512"},
        {"\"image\": []", "image must be a string of 1 to 512"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512], expected[256];
        int len = snprintf(text, sizeof(text),
                           "{\"services\": [{%s, \"name\": \"a\",\n\"tier\": 2, \"image\": \"i\", \"port\": 1}]}", cases[i].member);
        int expected_len = snprintf(expected, sizeof(expected), "c.json:1: services[0].%s", cases[i].expected);
        struct catalogue_file file;
        struct buffer faults = BUFFER_INIT;
        assert_int_equal(parse((struct str){text, (size_t)len}, &file, &faults), ERR_INVALID);
        if (memmem(faults.ptr, faults.len, expected, (size_t)expected_len) == NULL)
            fail_msg("%s: %.*s", cases[i].member, STR_PRINTF(buffer_str(&faults)));
        buffer_fini(&faults);
        catalogue_file_fini(&file);
    }
}

static void test_aliases(void **state)
{
    (void)state;
    struct catalogue_file file;
    struct buffer faults = BUFFER_INIT;
    assert_int_equal(parse(STR("{\"services\": [{\"aliases\": [\"b\", \"c\"], \"name\": \"a\", \"tier\": 2, \"image\": \"i\", "
                               "\"port\": 1}, {\"name\": \"d\", \"aliases\": [], \"tier\": 2, \"image\": \"i\", \"port\": 1}]}"),
                           &file, &faults),
                     ERR_NONE);
    assert_int_equal(file.services[0].alias_count, 2);
    assert_true(catalogue_has_alias(&file.services[0], STR("b")) && catalogue_has_alias(&file.services[0], STR("c")));
    assert_false(catalogue_has_alias(&file.services[0], STR("a")) || catalogue_has_alias(&file.services[1], STR("b")));
    catalogue_file_fini(&file);
    expect_faults(STR("{\"services\": [\n"
                      "{\"name\": \"a\", \"tier\": 2, \"image\": \"i\", \"port\": 1, \"aliases\": [\"b\",\n"
                      "  \"a\", \"b\",\n"
                      "  \"c d\", 5]},\n"
                      "{\"name\": \"b\", \"tier\": 2, \"image\": \"i\", \"port\": 1, \"aliases\": \"x\"},\n"
                      "{\"name\": \"e\", \"tier\": 2, \"image\": \"i\", \"port\": 1, \"aliases\": [\"a\", \"b\"]},\n"
                      "{\"name\": \"f\", \"tier\": 2, \"image\": \"i\", \"port\": 1, \"aliases\":\n"
                      "  [\"1\", \"2\", \"3\", \"4\", \"5\", \"6\", \"7\", \"8\", \"9\"]}]}"),
                  "c.json:3: services[0].aliases[1] is that of services[0], too\n"
                  "c.json:3: services[0].aliases[2] is that of services[0].aliases, too\n"
                  "c.json:4: services[0].aliases[3] " ID_RULE ", nor be a - alone\n"
                  "c.json:4: services[0].aliases[4] " ID_RULE ", nor be a - alone\n"
                  "c.json:5: services[1].name is that of services[0].aliases, too\n"
                  "c.json:5: services[1].aliases must be an array of at most 8 names\n"
                  "c.json:6: services[2].aliases[0] is that of services[0], too\n"
                  "c.json:6: services[2].aliases[1] is that of services[0].aliases, too\n"
                  "c.json:8: services[3].aliases must be an array of at most 8 names\n");
}

/* The text of a catalogue of two services with those members, which begin in line 2 and 3. */
static struct str with_members(const char *first, const char *second, char room[4096])
{
    int len = snprintf(room, 4096,
                       "{\"services\": [{\"name\": \"a\", \"tier\": 2, \"image\": \"i\", \"port\": 1,\n%s}, "
                       "{\"name\": \"b\", \"tier\": 3, \"image\": \"i\", \"port\": 1,\n%s}]}",
                       first, second);
    return (struct str){room, (size_t)len};
}

static void test_how_requests_are_passed_on(void **state)
{
    (void)state;
    char room[4096];
    struct catalogue_file file;
    struct buffer faults = BUFFER_INIT;
    assert_int_equal(parse(with_members("\"routes\": {\"/api/x\": \"/\", \"/y\": \"/a/b\"}, \"spread\": \"random\", "
                                        "\"idempotent\": true, \"timeouts\": {\"silence\": 5, \"head\": 3600}",
                                        "\"pass_authorization\": true, \"set_cookie\": true, \"loads_models\": true", room),
                           &file, &faults),
                     ERR_NONE);
    const struct catalogue_passing *a = &file.services[0].passing, *b = &file.services[1].passing;
    assert_true(!a->closed && a->random && a->idempotent && !a->pass_authorization && !a->set_cookie);
    assert_int_equal(a->head_timeout_s, 3600);
    assert_int_equal(a->silence_timeout_s, 5);
    assert_int_equal(a->route_count, 2);
    assert_true(str_eq(a->routes[0].from, STR("/api/x")) && str_eq(a->routes[0].to, STR("")));
    assert_true(str_eq(a->routes[1].from, STR("/y")) && str_eq(a->routes[1].to, STR("/a/b")));
    assert_true(b->closed && !b->random && !b->idempotent && b->pass_authorization && b->set_cookie);
    assert_true(!a->loads_models && b->loads_models);
    assert_int_equal(b->head_timeout_s, CATALOGUE_TIMEOUT_S);
    assert_int_equal(b->silence_timeout_s, CATALOGUE_TIMEOUT_S);
    catalogue_file_fini(&file);
}

static void test_a_data_store_is_closed_unless_it_is_opened(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second;
        bool closed[2];
    } cases[] = {{"\"env\": {}", "\"env\": {}", {false, true}}, {"\"proxy\": false", "\"proxy\": true", {true, false}}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char room[4096];
        struct catalogue_file file;
        struct buffer faults = BUFFER_INIT;
        assert_int_equal(parse(with_members(cases[i].first, cases[i].second, room), &file, &faults), ERR_NONE);
        for (size_t j = 0; j < 2; j++)
            assert_int_equal(file.services[j].passing.closed, cases[i].closed[j]);
        catalogue_file_fini(&file);
    }
    struct catalogue_file file;
    struct buffer faults = BUFFER_INIT;
    assert_int_equal(
        parse(STR("{\"services\": [{\"name\": \"mysql\", \"tier\": 2, \"image\": \"i\", \"port\": 1}]}"), &file, &faults),
        ERR_NONE);
    assert_true(file.services[0].passing.closed);
    catalogue_file_fini(&file);
}

#define PREFIX "1 to 128 characters of segments that begin with a slash, of letters, digits and -_~!$&'()*+,;=:@."
#define TARGET "routes./a must lead to / or to a path: " PREFIX

static void test_faults_of_how_requests_are_passed_on(void **state)
{
    (void)state;
    static const struct {
        const char *member, *expected;
    } cases[] = {
        {"\"routes\": []", "routes must be an object"},
        {"\"routes\": {\"a\": \"/\"}", "routes.a must be a path: " PREFIX},
        {"\"routes\": {\"/\": \"/\"}", "routes./ must be a path: " PREFIX},
        {"\"routes\": {\"/a/\": \"/\"}", "routes./a/ must be a path: " PREFIX},
        {"\"routes\": {\"//a\": \"/\"}", "routes.//a must be a path: " PREFIX},
        {"\"routes\": {\"/a/../b\": \"/\"}", "routes./a/../b must be a path: " PREFIX},
        {"\"routes\": {\"/a/.\": \"/\"}", "routes./a/. must be a path: " PREFIX},
        {"\"routes\": {\"/a%2f\": \"/\"}", "routes./a%2f must be a path: " PREFIX},
        {"\"routes\": {\"/{a}\": \"/\"}", "routes./{a} must be a path: " PREFIX},
        {"\"routes\": {\"/a?b\": \"/\"}", "routes./a?b must be a path: " PREFIX},
        {"\"routes\": {\"/a\": \"\"}", TARGET},
        {"\"routes\": {\"/a\": \"b\"}", TARGET},
        {"\"routes\": {\"/a\": \"/b c\"}", TARGET},
        {"\"routes\": {\"/a\": 5}", TARGET},
        {"\"routes\": {\"/a\": \"/\", \"/a\": \"/b\"}", "routes./a is a route of services[0], too"},
        {"\"routes\": "
         "{\"/1\":\"/\",\"/2\":\"/\",\"/3\":\"/\",\"/4\":\"/\",\"/5\":\"/\",\"/6\":\"/\",\"/7\":\"/\",\"/8\":\"/\",\"/9\":\"/\"}",
         "routes./9 is one too many: a service has at most 8 routes, all have at most 32"},
        {"\"proxy\": 1", "proxy must be true or false"},
        {"\"idempotent\": \"yes\"", "idempotent must be true or false"},
        {"\"pass_authorization\": null", "pass_authorization must be true or false"},
        {"\"set_cookie\": {}", "set_cookie must be true or false"},
        {"\"spread\": \"even\"", "spread must be \"load\" or \"random\""},
        {"\"timeouts\": 5", "timeouts must be an object"},
        {"\"timeouts\": {\"head\": 0}", "timeouts.head must be a whole number from 1 to 3600"},
        {"\"timeouts\": {\"silence\": 1.5}", "timeouts.silence must be a whole number from 1 to 3600"},
        {"\"timeouts\": {\"connect\": 1}", "timeouts.connect is unknown; there are head and silence"},
        {"\"timeouts\": {\"head\": 1, \"head\": 1}", "timeouts.head is given twice"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char room[4096], expected[512];
        snprintf(expected, sizeof(expected), "c.json:2: services[0].%s\n", cases[i].expected);
        expect_faults(with_members(cases[i].member, "\"env\": {}", room), expected);
    }
    char room[4096];
    expect_faults(with_members("\"routes\": {\"/a\": \"/\"}", "\"routes\": {\"/b\": \"/\", \"/a\": \"/\"}", room),
                  "c.json:3: services[1].routes./a is a route of services[0], too\n");
}

static void test_variables_passed_on(void **state)
{
    (void)state;
    char room[1024];
    struct catalogue_file file;
    struct buffer faults = BUFFER_INIT;
    assert_int_equal(parse(with_env("{\"X\": \"y\"}, \"pass_env\": [\"MODEL\", \"EMPTY\", \"UNSET\"]", room), &file, &faults),
                     ERR_NONE);
    assert_true(str_eq(buffer_str(&file.services[0].env), STR(",\"X\":\"y\",\"MODEL\":\"llama \\\"3\\\"\\n\xC3\xA9\"")));
    catalogue_file_fini(&file);
    expect_faults(
        with_env("{\"A\": \"\"}, \"pass_env\": [\"BROKEN\", \"WORKER_ID\", \"A\", \"B\",\n\"B\", 5, \"a b\", \"1A\"]", room),
        "c.json:2: services[0].pass_env[0] needs the environment variable BROKEN, which is not UTF-8\n"
        "c.json:2: services[0].pass_env[1] is set by the coordinator\n"
        "c.json:2: services[0].pass_env[2] is given twice\n"
        "c.json:3: services[0].pass_env[4] is given twice\n"
        "c.json:3: services[0].pass_env[5] " BAD_VARIABLE "\n"
        "c.json:3: services[0].pass_env[6] " BAD_VARIABLE "\n"
        "c.json:3: services[0].pass_env[7] " BAD_VARIABLE "\n");
    expect_faults(with_env("{}, \"pass_env\": \"MODEL\"", room), "c.json:2: services[0].pass_env must be an array of names\n");
}

static void test_built_in(void **state)
{
    (void)state;
    struct catalogue_file file;
    struct buffer faults = BUFFER_INIT;
    assert_int_equal(catalogue_file_built_in(lookup, &file, &faults), ERR_NONE);
    assert_int_equal(faults.len, 0);
    for (size_t i = 0; i < file.count; i++)
        assert_int_equal(file.services[i].env.len, 0);
    catalogue_file_fini(&file);
}

static void test_whole_file(void **state)
{
    (void)state;
    expect_faults(STR(""), "c.json:1:1: the file is empty; it must be a JSON object.\n");
    expect_faults(STR("\n \n"), "c.json:3:1: the file is empty; it must be a JSON object.\n");
    expect_faults(STR("[]"), "c.json:1:1: the file must be a JSON object.\n");
    expect_faults(STR("{\n  \"services\": [\n    {\"name\" \"rag\"}\n]}"), "c.json:3:13: the file is not valid JSON.\n");
    expect_faults(STR("{\"services\": [\n"), "c.json:2:1: the file ends in the middle of its JSON.\n");
    expect_faults(STR("{}\n{}"), "c.json:2:1: the file has something behind its JSON object.\n");
    expect_faults(STR("{}"), "c.json:1: services is missing\n");
    expect_faults(STR("\n{\n\"services\":\n[]}"), "c.json:4: services must be an array of 1 to 256 services\n");
    expect_faults(STR("{\"services\": {}}"), "c.json:1: services must be an array of 1 to 256 services\n");
    expect_faults(STR("{\"services\": null}"), "c.json:1: services must be an array of 1 to 256 services\n");
    expect_faults(STR("{\"Services\": null}"), "c.json:1: the file has an unknown member \"Services\"; there is services\n"
                                               "c.json:1: services is missing\n");
}

static void test_number_of_services(void **state)
{
    (void)state;
    for (int count = CATALOGUE_SERVICES_MAX; count <= CATALOGUE_SERVICES_MAX + 1; count++) {
        struct buffer text = BUFFER_INIT;
        buffer_append(&text, STR("{\"services\":["));
        for (int i = 0; i < count; i++)
            buffer_printf(&text, "%s{\"name\":\"s%d\",\"tier\":2,\"image\":\"i\",\"port\":1}", i > 0 ? "," : "", i);
        buffer_append(&text, STR("]}"));
        struct catalogue_file file;
        struct buffer faults = BUFFER_INIT;
        enum err err = parse(buffer_str(&text), &file, &faults);
        assert_int_equal(err, count > CATALOGUE_SERVICES_MAX ? ERR_INVALID : ERR_NONE);
        buffer_fini(&faults);
        buffer_fini(&text);
        catalogue_file_fini(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_services_and_defaults),
        cmocka_unit_test(test_env),
        cmocka_unit_test(test_env_faults),
        cmocka_unit_test(test_every_fault_with_its_line),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_whole_file),
        cmocka_unit_test(test_number_of_services),
        cmocka_unit_test(test_how_requests_are_passed_on),
        cmocka_unit_test(test_a_data_store_is_closed_unless_it_is_opened),
        cmocka_unit_test(test_faults_of_how_requests_are_passed_on),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_variables_passed_on),
        cmocka_unit_test(test_built_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
