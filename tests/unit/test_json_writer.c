#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json_writer.h"

#include <cjson/cJSON.h>

/* That the buffer holds `text`, which is JSON. Empties the buffer. */
static void expect(struct buffer *out, const char *text)
{
    if (!str_eq(buffer_str(out), str_from(text)))
        fail_msg("\"%.*s\" instead of \"%s\"", STR_PRINTF(buffer_str(out)), text);
    cJSON *json = cJSON_ParseWithLength(out->ptr, out->len);
    assert_non_null(json);
    cJSON_Delete(json);
    buffer_fini(out);
}

static void test_members(void **state)
{
    (void)state;
    struct buffer out = BUFFER_INIT;
    json_begin_object(&out, NULL);
    json_add_text(&out, "text", STR("a\"b"));
    json_add_text(&out, "absent", (struct str){NULL, 0});
    json_add_text(&out, "empty", STR(""));
    json_add_integer(&out, "integer", 12);
    json_add_number(&out, "number", 0);
    json_add_bool(&out, "yes", true);
    json_add_bool(&out, "no", false);
    json_add_null(&out, "null");
    json_add_time(&out, "time", 1772366400000);
    json_add_raw(&out, "raw", STR("{\"x\":[]}"));
    json_add_text(&out, "last", STR("{"));
    json_end_object(&out);
    expect(&out, "{\"text\":\"a\\\"b\",\"absent\":null,\"empty\":\"\",\"integer\":12,\"number\":0.0,\"yes\":true,\"no\":false,"
                 "\"null\":null,\"time\":\"2026-03-01T12:00:00.000Z\",\"raw\":{\"x\":[]},\"last\":\"{\"}");
}

static void test_empty_ones(void **state)
{
    (void)state;
    struct buffer out = BUFFER_INIT;
    json_begin_array(&out, NULL);
    json_begin_object(&out, NULL);
    json_end_object(&out);
    json_begin_array(&out, NULL);
    json_end_array(&out);
    json_end_array(&out);
    expect(&out, "[{},[]]");
}

/* After a value of any kind comes a comma; after a key, and at the beginning, none. */
static void test_neighbours(void **state)
{
    (void)state;
    static const struct str values[] = {{"\"a\"", 3}, {"0", 1},     {"-1.5", 4}, {"1e9", 3},      {"true", 4}, {"false", 5},
                                        {"null", 4},  {"[]", 2},    {"{}", 2},   {"[[1]]", 5},    {"\"\"", 2}, {"\"[\"", 3},
                                        {"\":\"", 3}, {"\",\"", 3}, {"1E9", 3},  {"{\"a\":1}", 7}};
    struct buffer out = BUFFER_INIT, wanted = BUFFER_INIT;
    json_begin_array(&out, NULL);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        json_add_raw(&out, NULL, values[i]);
        json_begin_object(&out, NULL);
        json_add_key(&out, STR("k\n"));
        json_add_raw(&out, NULL, values[i]);
        json_add_raw(&out, "l", values[i]);
        json_end_object(&out);
        buffer_printf(&wanted, "%s%s,{\"k\\n\":%s,\"l\":%s}", i > 0 ? "," : "[", values[i].ptr, values[i].ptr, values[i].ptr);
    }
    json_end_array(&out);
    buffer_append(&wanted, (struct str){"]", 2}); /* with its NUL */
    expect(&out, wanted.ptr);
    buffer_fini(&wanted);
}

static void test_integers(void **state)
{
    (void)state;
    struct buffer out = BUFFER_INIT;
    json_begin_array(&out, NULL);
    json_add_integer(&out, NULL, 0);
    json_add_integer(&out, NULL, -1);
    json_add_integer(&out, NULL, 1234567890);
    json_add_integer(&out, NULL, INT64_MAX);
    json_add_integer(&out, NULL, INT64_MIN);
    json_end_array(&out);
    expect(&out, "[0,-1,1234567890,9223372036854775807,-9223372036854775808]");
}

static void test_behind_other_text(void **state)
{
    (void)state;
    struct buffer out = BUFFER_INIT;
    buffer_append(&out, STR("data: "));
    json_begin_object(&out, NULL);
    json_end_object(&out);
    buffer_append(&out, STR("\n"));
    json_add_integer(&out, NULL, 1);
    assert_true(str_eq(buffer_str(&out), STR("data: {}\n1")));
    buffer_fini(&out);
}

static void test_a_document_larger_than_any_step(void **state)
{
    (void)state;
    struct buffer out = BUFFER_INIT;
    json_begin_array(&out, NULL);
    for (int i = 0; i < 5000; i++) {
        json_begin_object(&out, NULL);
        json_add_integer(&out, "number", i);
        json_begin_array(&out, "list");
        json_add_text(&out, NULL, STR("x"));
        json_add_text(&out, NULL, STR("y"));
        json_end_array(&out);
        json_end_object(&out);
    }
    json_end_array(&out);
    cJSON *json = cJSON_ParseWithLength(out.ptr, out.len);
    assert_int_equal(cJSON_GetArraySize(json), 5000);
    const cJSON *last = cJSON_GetArrayItem(json, 4999);
    assert_int_equal(cJSON_GetObjectItem(last, "number")->valueint, 4999);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(last, "list")), 2);
    cJSON_Delete(json);
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),           cmocka_unit_test(test_empty_ones),
        cmocka_unit_test(test_neighbours),        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_behind_other_text), cmocka_unit_test(test_a_document_larger_than_any_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
