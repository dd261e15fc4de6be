#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model_request.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A copy that ends where the text ends, so that the sanitizers see a byte read too far. */
static enum err read_copy(const char *body, struct model_request *out, char field[96])
{
    size_t len = strlen(body);
    char *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy + 1, body, len);
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    enum err err = model_request_read((struct str){copy + 1, len}, out, &faults, &why);
    field[0] = '\0';
    if (err == ERR_INVALID)
        memcpy(field, faults.items[0].field, 96);
    else if (err == ERR_BAD_REQUEST)
        assert_non_null(why);
    faults_fini(&faults);
    free(copy);
    return err;
}

static void test_models_and_sessions(void **state)
{
    (void)state;
    static const struct {
        const char *body, *model, *session;
    } cases[] = {
        {"{\"model\":\"llama3\"}", "llama3", ""},
        {"{\"messages\":[{\"model\":\"no\"}],\"model\" : \"Org/Llama3:latest\",\"stream\":true}", "org/llama3", ""},
        {"{\"model\":\"\\u006cla\\/ma\"}", "lla/ma", ""},
        {"\xef\xbb\xbf{\"model\":\"m\",\"user\":\"anna\"}", "m", "anna"},
        {"{\"user\":\"anna\",\"prompt_cache_key\":\"k\\u00e9\\n\",\"model\":\"m\"}", "m", "k\xc3\xa9\n"},
        {"{\"user\":5,\"prompt_cache_key\":\"\",\"model\":\"m\"}", "m", ""},
        {"{\"model\":\"m\",\"x\":\"\\ud800\",\"y\":1e999}", "m", ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct model_request out;
        char field[96];
        if (read_copy(cases[i].body, &out, field) != ERR_NONE)
            fail_msg("%s: %s", cases[i].body, field);
        assert_true(str_eq((struct str){out.model, out.model_len}, str_from(cases[i].model)));
        assert_true(str_eq((struct str){out.session, out.session_len}, str_from(cases[i].session)));
    }
}

static void test_a_long_session_is_cut(void **state)
{
    (void)state;
    char body[1024], field[96];
    struct model_request out;
    snprintf(body, sizeof(body), "{\"model\":\"m\",\"user\":\"%0500d\"}", 7);
    assert_int_equal(read_copy(body, &out, field), ERR_NONE);
    assert_int_equal(out.session_len, MODEL_SESSION_MAX);
}

static void test_bodies_that_name_no_model(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum err err;
    } cases[] = {
        {"", ERR_BAD_REQUEST},
        {"[]", ERR_BAD_REQUEST},
        {"{\"model\":\"m\"", ERR_BAD_REQUEST},
        {"{\"model\":\"m\"} x", ERR_BAD_REQUEST},
        {"{\"model\":\"\xff\"}", ERR_BAD_REQUEST},
        {"{}", ERR_INVALID},
        {"{\"model\":null}", ERR_INVALID},
        {"{\"model\":\"m\",\"model\":\"n\"}", ERR_INVALID},
        {"{\"model\":\"m\",\"mod\\u0065l\":\"m\"}", ERR_INVALID},
        {"{\"model\":\"m\\u0000z\"}", ERR_INVALID},
        {"{\"model\":5}", ERR_INVALID},
        {"{\"model\":\"\"}", ERR_INVALID},
        {"{\"model\":\"a b\"}", ERR_INVALID},
        {"{\"model\":\"a,b\"}", ERR_INVALID},
        {"{\"model\":[\"m\"]}", ERR_INVALID},
        {"{\"Model\":\"m\"}", ERR_INVALID},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct model_request out;
        char field[96];
        if (read_copy(cases[i].body, &out, field) != cases[i].err)
            fail_msg("%s", cases[i].body);
        if (cases[i].err == ERR_INVALID)
            assert_string_equal(field, "model");
    }
}

static void test_completions(void **state)
{
    (void)state;
    struct completion_request out;
    struct model_request model;
    struct faults faults = FAULTS_INIT;
    const char *why;
    assert_int_equal(completion_request_read(STR("{\"model\":\"M\",\"prompt\":\"a \\\"b\\\"\"}"), &out, &model, &faults, &why),
                     ERR_NONE);
    assert_true(str_eq(out.model, STR("\"M\"")) && str_eq(out.prompt, STR("\"a \\\"b\\\"\"")));
    assert_true(str_eq(out.max_tokens, STR("512")) && str_eq(out.temperature, STR("0.7")));
    assert_int_equal(completion_request_read(STR("{\"model\":\"M\",\"prompt\":\"\",\"max_tokens\":7,\"temperature\":null}"), &out,
                                             &model, &faults, &why),
                     ERR_NONE);
    assert_true(str_eq(out.max_tokens, STR("7")) && str_eq(out.temperature, STR("0.7")));
    assert_int_equal(
        completion_request_read(STR("{\"max_tokens\":\"7\",\"temperature\":[],\"prompt\":5}"), &out, &model, &faults, &why),
        ERR_INVALID);
    static const char *const fields[] = {"model", "prompt", "max_tokens", "temperature"};
    assert_int_equal(faults.count, COUNT(fields));
    for (size_t i = 0; i < COUNT(fields); i++)
        assert_string_equal(faults.items[i].field, fields[i]);
    faults_fini(&faults);
    assert_int_equal(completion_request_read(STR("{"), &out, &model, &faults, &why), ERR_BAD_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models_and_sessions),
        cmocka_unit_test(test_a_long_session_is_cut),
        cmocka_unit_test(test_bodies_that_name_no_model),
        cmocka_unit_test(test_completions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
