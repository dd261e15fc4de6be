#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/built_in.h"
#include "model/health.h"

#include <cjson/cJSON.h>

static enum health read(const char *json)
{
    cJSON *value = cJSON_Parse(json);
    assert_non_null(value);
    enum health health = health_read(value);
    cJSON_Delete(value);
    return health;
}

static void expect(enum health health, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (read(texts[i]) != health)
            fail_msg("%s is %d instead of %d", texts[i], read(texts[i]), health);
}

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void test_well(void **state)
{
    (void)state;
    static const char *const well[] = {
        "true",
        "\"healthy\"",
        "\"running\"",
        "\"OK\"",
        "\"Up 3 hours (healthy)\"",
        "\"online\"",
        "\"ready\"",
        "\"serving\"",
        "\"flurgl\"",
        "\"busy\"",
        "\"idle\"",
        "\"unknown\"",
        "\"N/A\"",
        "\"1\"",
        "\"yes\"",
        "\"no errors\"",
        "\"downloads done\"",
        "\"200\"",
        "\"1/1\"",
        "\"0 errors\"",
        "\"active (running)\"",
        "{\"up\": 1}",
        "{\"status\": \"running\"}",
        "{\"healthy\": true}",
        "{\"state\": \"running\", \"health\": null}",
        "{\"name\": \"down\", \"port\": 1, \"health\": \"healthy\", \"version\": \"dead\"}",
        "{\"State\": {\"Status\": \"running\", \"Health\": {\"Status\": \"healthy\"}}}",
    };
    expect(HEALTH_WELL, well, COUNT(well));
}

static void test_unwell(void **state)
{
    (void)state;
    static const char *const unwell[] = {
        "false",
        "\"unhealthy\"",
        "\"UNHEALTHY\"",
        "\" down \"",
        "\"error: connection refused\"",
        "\"Exited (1) 3 minutes ago\"",
        "\"Up 2 minutes (unhealthy)\"",
        "\"Up 5 seconds (health: starting)\"",
        "\"not running\"",
        "\"not_ready\"",
        "\"NotReady\"",
        "\"stopped\"",
        "\"failed\"",
        "\"degraded\"",
        "\"loading model\"",
        "\"CrashLoopBackOff\"",
        "\"OOMKilled\"",
        "\"false\"",
        "\"no\"",
        "\"0\"",
        "503",
        "\"503\"",
        "\"HTTP 502\"",
        "\"0/1\"",
        "\"CreateContainerConfigError\"",
        "\"Init:0/1 PodInitializing\"",
        "\"Completed\"",
        "\"Removal In Progress\"",
        "\"activating (auto-restart)\"",
        "\"deactivating\"",
        "\"masked\"",
        "\"OUT_OF_SERVICE\"",
        "\"ECONNREFUSED\"",
        "\"unready\"",
        "\"shutdown\"",
        "{\"up\": 0}",
        "{\"healthy\": 0}",
        "{\"phase\": \"Failed\"}",
        "{\"status_code\": 503}",
        "{\"is_running\": false}",
        "{\"ActiveState\": \"failed\"}",
        "{\"status\": \"down\"}",
        "{\"health\": \"unhealthy\"}",
        "{\"state\": \"exited\"}",
        "{\"healthy\": false}",
        "{\"ok\": false}",
        "{\"running\": false}",
        "{\"status\": \"running\", \"healthy\": false}",
        "{\"status\": 502}",
        "{\"status\": \"down\", \"healthy\": true}",
        "{\"State\": {\"Status\": \"running\", \"Health\": {\"Status\": \"unhealthy\"}}}",
        "{\"name\": \"rag\", \"port\": 1, \"health\": \"unhealthy\"}",
    };
    expect(HEALTH_UNWELL, unwell, COUNT(unwell));
}

static void test_untold(void **state)
{
    (void)state;
    static const char *const untold[] = {
        "null",
        "\"\"",
        "\"  \"",
        "{}",
        "[]",
        "[\"down\"]",
        "0",
        "1",
        "200",
        "{\"name\": \"rag\", \"port\": 1}",
        "{\"status\": null}",
        "{\"status\": []}",
        "{\"status\":{\"status\":{\"status\":{\"status\":\"down\"}}}}",
    };
    expect(HEALTH_UNTOLD, untold, COUNT(untold));
    assert_int_equal(health_read(NULL), HEALTH_UNTOLD);
}

static void expect_written(const char *json, const char *expected)
{
    cJSON *status = json != NULL ? cJSON_Parse(json) : NULL;
    struct buffer out = BUFFER_INIT;
    struct health_list list = {.count = 0};
    health_add_all(&list, status);
    health_write(&out, &list);
    if (!str_eq(buffer_str(&out), str_from(expected)))
        fail_msg("%s is %.*s", json, STR_PRINTF(buffer_str(&out)));
    buffer_fini(&out);
    cJSON_Delete(status);
}

static void test_written(void **state)
{
    (void)state;
    expect_written(NULL, "");
    expect_written("{}", "");
    expect_written("{\"ocr\": \"down\", \"rag\": \"ok\", \"x\": null}", "!ocr,rag");
    expect_written("{\"llm-inference\": false, \"rma-rag-worker\": {\"status\": \"exited\"}, \"ner-service\": true}",
                   "!vllm,!rag,ner");
    expect_written("{\"rag\": \"down\", \"rag-embeddings\": \"ok\"}", "rag");
    expect_written("{\"rag-embeddings\": \"ok\", \"rag\": \"down\"}", "rag");
    expect_written("{\"a b\": false, \"a,b\": false, \"!a\": false, \"\": false}", "");
}

static void test_many(void **state)
{
    (void)state;
    struct buffer json = BUFFER_INIT, out = BUFFER_INIT;
    for (int i = 0; i < 500; i++)
        buffer_printf(&json, "%s\"s%d\":false", i > 0 ? "," : "{", i);
    buffer_append(&json, STR("}"));
    cJSON *status = cJSON_ParseWithLength(json.ptr, json.len);
    struct health_list list = {.count = 0};
    health_add_all(&list, status);
    health_write(&out, &list);
    size_t commas = 0;
    for (size_t i = 0; i < out.len; i++)
        commas += out.ptr[i] == ',';
    assert_int_equal(commas, 127);
    cJSON_Delete(status);
    buffer_fini(&json);
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_well),    cmocka_unit_test(test_unwell), cmocka_unit_test(test_untold),
        cmocka_unit_test(test_written), cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, use_built_in_catalogue, NULL);
}
