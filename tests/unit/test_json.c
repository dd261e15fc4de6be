#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT(literal)                                                                                                              \
    {                                                                                                                              \
        literal, sizeof(literal) - 1                                                                                               \
    }

/* Parses a copy that ends where the text ends, so that the sanitizers see a byte read too far. NULL when it is refused. */
static cJSON *parse(struct str text, const char **why)
{
    char *copy = malloc(text.len + 1);
    assert_non_null(copy);
    if (text.len > 0)
        memcpy(copy + 1, text.ptr, text.len);
    cJSON *document = NULL;
    *why = NULL;
    enum err err = json_parse_object((struct str){copy + 1, text.len}, &document, why);
    assert_true(err == ERR_NONE || err == ERR_BAD_REQUEST);
    assert_true((err == ERR_NONE) == (document != NULL));
    assert_true((err == ERR_NONE) == (*why == NULL));
    free(copy);
    return document;
}

static const struct str accepted[] = {
    TEXT("{}"),
    TEXT(" \t\r\n{ \t\r\n} \t\r\n"),
    TEXT("{\"a\":1}"),
    TEXT("{\"a\":[],\"b\":{},\"c\":[1,2 , 3],\"d\":{\"e\":null}}"),
    TEXT("{\"a\":true,\"b\":false,\"c\":null,\"d\":\"\"}"),
    TEXT("{\"\":\"\"}"),
    TEXT("{\"a\":0,\"b\":-0,\"c\":-1.5,\"d\":10.25e+3,\"e\":1E-5,\"f\":1e308,\"g\":1e-999}"),
    TEXT("{\"a\":-17976931348623157000000000000000000000000000000000000000000000}"),
    TEXT("{\"a\":123456789012345678901234567890123456789012345678901234567890123}"), /* 63 digits */
    TEXT("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\u00e9\\uFFFF\\ud7ff\\ue000\"}"),
    TEXT("{\"a\":\"\\ud83d\\ude00 \\uD800\\uDC00 \\uDBFF\\uDFFF\"}"),
    TEXT(
        "{\"a\":\"\x7f \xC2\x80 \xDF\xBF \xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xEF\xBF\xBF \xF0\x90\x80\x80 \xF4\x8F\xBF\xBF\"}"),
    TEXT("{\"caf\xC3\xA9\":1,\"a\":1,\"a\":2}"),
};

static const struct {
    struct str text;
    const char *why; /* part of the sentence */
} refused[] = {
    {{NULL, 0}, "empty"},
    {TEXT(""), "empty"},
    {TEXT(" \n"), "empty"},
    {TEXT("\0"), "must be a JSON object"},
    {TEXT("[]"), "must be a JSON object"},
    {TEXT("[{}]"), "must be a JSON object"},
    {TEXT("1"), "must be a JSON object"},
    {TEXT("null"), "must be a JSON object"},
    {TEXT("\"x\""), "must be a JSON object"},
    {TEXT("a=b&c=d"), "must be a JSON object"},
    {TEXT("\xEF\xBB\xBF{}"), "byte order mark"},
    {TEXT("{}x"), "behind"},
    {TEXT("{}{}"), "behind"},
    {TEXT("{},"), "behind"},
    {TEXT("{}\0"), "behind"},
    {TEXT("{"), "ends"},
    {TEXT("{\"a"), "ends"},
    {TEXT("{\"a\\"), "ends"},
    {TEXT("{\"a\""), "ends"},
    {TEXT("{\"a\":"), "ends"},
    {TEXT("{\"a\":1"), "ends"},
    {TEXT("{\"a\":-"), "ends"},
    {TEXT("{\"a\":1."), "ends"},
    {TEXT("{\"a\":1e"), "ends"},
    {TEXT("{\"a\":1e+"), "ends"},
    {TEXT("{\"a\":tru"), "ends"},
    {TEXT("{\"a\":1,"), "ends"},
    {TEXT("{\"a\":["), "ends"},
    {TEXT("{\"a\":[1"), "ends"},
    {TEXT("{\"a\":[1,"), "ends"},
    {TEXT("{\"a\":{\"b\":1}"), "ends"},
    {TEXT("{,}"), "not valid JSON"},
    {TEXT("{\"a\":1,}"), "not valid JSON"},
    {TEXT("{\"a\":1 \"b\":2}"), "not valid JSON"},
    {TEXT("{\"a\" 1}"), "not valid JSON"},
    {TEXT("{\"a\"}"), "not valid JSON"},
    {TEXT("{\"a\":}"), "not valid JSON"},
    {TEXT("{a:1}"), "not valid JSON"},
    {TEXT("{'a':1}"), "not valid JSON"},
    {TEXT("{1:1}"), "not valid JSON"},
    {TEXT("{\"a\":[1,]}"), "not valid JSON"},
    {TEXT("{\"a\":[1 2]}"), "not valid JSON"},
    {TEXT("{\"a\":[1}"), "not valid JSON"},
    {TEXT("{\"a\":{]}"), "not valid JSON"},
    {TEXT("{\"a\":True}"), "not valid JSON"},
    {TEXT("{\"a\":nul}"), "not valid JSON"},
    {TEXT("{\"a\":nullx}"), "not valid JSON"},
    {TEXT("{\"a\":NaN}"), "not valid JSON"},
    {TEXT("{\"a\":Infinity}"), "not valid JSON"},
    {TEXT("{\"a\":-Infinity}"), "not valid JSON"},
    {TEXT("{\"a\":+1}"), "not valid JSON"},
    {TEXT("{\"a\":01}"), "not valid JSON"},
    {TEXT("{\"a\":-01}"), "not valid JSON"},
    {TEXT("{\"a\":1.}"), "not valid JSON"},
    {TEXT("{\"a\":.5}"), "not valid JSON"},
    {TEXT("{\"a\":-}"), "not valid JSON"},
    {TEXT("{\"a\":1e}"), "not valid JSON"},
    {TEXT("{\"a\":1e+-5}"), "not valid JSON"},
    {TEXT("{\"a\":0x10}"), "not valid JSON"},
    {TEXT("{\"a\":1_000}"), "not valid JSON"},
    {TEXT("{\"a\":1/*x*/}"), "not valid JSON"},
    {TEXT("{\"a\":\v1}"), "not valid JSON"},
    {TEXT("{\"a\":\xC2\xA0 1}"), "not valid JSON"},
    {TEXT("{\0}"), "not valid JSON"},
    {TEXT("{\"a\":1e999}"), "too large"},
    {TEXT("{\"a\":-1e999}"), "too large"},
    {TEXT("{\"a\":[{\"b\":1.8e308}]}"), "too large"},
    {TEXT("{\"a\":1234567890123456789012345678901234567890123456789012345678901234}"), "63 characters"},
    {TEXT("{\"a\":0.00000000000000000000000000000000000000000000000000000000000001}"), "63 characters"},
    {TEXT("{\"a\":\"x\0y\"}"), "control character"},
    {TEXT("{\"a\":\"x\ny\"}"), "control character"},
    {TEXT("{\"a\":\"\x1f\"}"), "control character"},
    {TEXT("{\"a\0\":1}"), "control character"},
    {TEXT("{\"a\":\"\\u0000\"}"), "NUL"},
    {TEXT("{\"a\\u0000\":1}"), "NUL"},
    {TEXT("{\"a\":\"\\x41\"}"), "unknown escape"},
    {TEXT("{\"a\":\"\\'\"}"), "unknown escape"},
    {TEXT("{\"a\":\"\\U0041\"}"), "unknown escape"},
    {TEXT("{\"a\":\"\\u12\"}"), "escape"},
    {TEXT("{\"a\":\"\\u12g4\"}"), "escape"},
    {TEXT("{\"a\":\"\\u 123\"}"), "escape"},
    {TEXT("{\"a\":\"\\u"), "escape"},
    {TEXT("{\"a\":\"\\ud800\"}"), "surrogate"},
    {TEXT("{\"a\":\"\\udc00\"}"), "surrogate"},
    {TEXT("{\"a\":\"\\udbff\"}"), "surrogate"},
    {TEXT("{\"a\":\"\\udfff\"}"), "surrogate"},
    {TEXT("{\"a\":\"\\udc00\\udc00\"}"), "surrogate"},
    {TEXT("{\"a\":\"\\ude00\\ud83d\"}"), "surrogate"},
    {TEXT("{\"a\":\"\\ud83d\\ud83d\"}"), "surrogate"},
    {TEXT("{\"a\":\"\\ud83dx\"}"), "surrogate"},
    {TEXT("{\"a\":\"\\ud83d\\n\"}"), "surrogate"},
    {TEXT("{\"a\":\"\\ud83d\\u0041\"}"), "surrogate"},
    {TEXT("{\"a\":\"\\ud83d\\ude"), "surrogate"},
    {TEXT("{\"a\":\"\\ud83d"), "surrogate"},
    {TEXT("{\"a\":\"\x80\"}"), "UTF-8"},
    {TEXT("{\"a\":\"\xBF\"}"), "UTF-8"},
    {TEXT("{\"a\":\"\xC0\x80\"}"), "UTF-8"},         /* an overlong NUL */
    {TEXT("{\"a\":\"\xC1\xBF\"}"), "UTF-8"},         /* overlong */
    {TEXT("{\"a\":\"\xE0\x9F\xBF\"}"), "UTF-8"},     /* overlong */
    {TEXT("{\"a\":\"\xF0\x8F\xBF\xBF\"}"), "UTF-8"}, /* overlong */
    {TEXT("{\"a\":\"\xED\xA0\x80\"}"), "UTF-8"},     /* a surrogate */
    {TEXT("{\"a\":\"\xED\xBF\xBF\"}"), "UTF-8"},     /* a surrogate */
    {TEXT("{\"a\":\"\xF4\x90\x80\x80\"}"), "UTF-8"}, /* above U+10FFFF */
    {TEXT("{\"a\":\"\xF5\x80\x80\x80\"}"), "UTF-8"},
    {TEXT("{\"a\":\"\xFF\"}"), "UTF-8"},
    {TEXT("{\"a\":\"\xC3\"}"), "UTF-8"},
    {TEXT("{\"a\":\"\xC3x\"}"), "UTF-8"},
    {TEXT("{\"a\":\"\xE2\x82\"}"), "UTF-8"},
    {TEXT("{\"a\":\"\xE2x\x82\"}"), "UTF-8"},
    {TEXT("{\"a\":\"\xF0\x9F\x98\"}"), "UTF-8"},
    {TEXT("{\"a\":\"\xF0\x9F\x98"), "UTF-8"},
    {TEXT("{\"a\":\"\xC3"), "UTF-8"},
    {TEXT("{\"\xFF\":1}"), "UTF-8"},
};

static void test_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        const char *why;
        cJSON *document = parse(accepted[i], &why);
        if (document == NULL)
            fail_msg("%.*s: %s", STR_PRINTF(accepted[i]), why);
        assert_true(cJSON_IsObject(document));
        cJSON_Delete(document);
    }
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        const char *why;
        cJSON *document = parse(refused[i].text, &why);
        if (document != NULL)
            fail_msg("accepted: %.*s", STR_PRINTF(refused[i].text));
        if (strstr(why, refused[i].why) == NULL)
            fail_msg("%.*s: \"%s\" instead of \"%s\"", STR_PRINTF(refused[i].text), why, refused[i].why);
        assert_int_equal(why[strlen(why) - 1], '.');
    }
}

/* Every beginning of a valid text is refused, and no byte behind it is looked at. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    const struct str text = STR("{\"a\":[1.5e3,\"\\ud83d\\ude00\xF0\x9F\x98\x80\",{\"b\":null}],\"c\":true}");
    for (size_t len = 0; len < text.len; len++) {
        const char *why;
        assert_null(parse((struct str){text.ptr, len}, &why));
    }
}

static cJSON *parse_nested(size_t depth, const char *open, const char *close, const char **why)
{
    char text[JSON_DEPTH_MAX * 12 + 24] = "{\"a\":";
    size_t len = strlen(text);
    for (size_t i = 1; i < depth; i++) {
        memcpy(text + len, open, strlen(open));
        len += strlen(open);
    }
    text[len++] = '1';
    for (size_t i = 1; i < depth; i++)
        text[len++] = close[0];
    text[len++] = '}';
    return parse((struct str){text, len}, why);
}

static void test_depth(void **state)
{
    (void)state;
    const char *why;
    cJSON *document = parse_nested(JSON_DEPTH_MAX, "[", "]", &why);
    assert_non_null(document);
    cJSON_Delete(document);
    document = parse_nested(JSON_DEPTH_MAX, "{\"a\":", "}", &why);
    assert_non_null(document);
    cJSON_Delete(document);
    assert_null(parse_nested(JSON_DEPTH_MAX + 1, "[", "]", &why));
    assert_non_null(strstr(why, "nested"));
    assert_null(parse_nested(JSON_DEPTH_MAX + 1, "{\"a\":", "}", &why));
    assert_non_null(strstr(why, "nested"));
}

static void test_a_million_brackets(void **state)
{
    (void)state;
    size_t len = 1000000;
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, '[', len);
    memcpy(text, "{\"a\":", 5);
    const char *why;
    assert_null(parse((struct str){text, len}, &why));
    assert_non_null(strstr(why, "nested"));
    for (size_t i = 5; i + 5 <= len; i += 5)
        memcpy(text + i, "{\"a\":", 5);
    assert_null(parse((struct str){text, len}, &why));
    free(text);
}

static void test_many_neighbours_are_no_depth(void **state)
{
    (void)state;
    const char *why;
    cJSON *document =
        parse(STR("{\"a\":[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]],"
                  "\"b\":{\"c\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}}"),
              &why);
    assert_non_null(document);
    cJSON_Delete(document);
}

static void test_member_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *name;
        const char *expected; /* NULL: absent */
    } cases[] = {
        {"{}", "a", NULL},
        {"{\"a\":1}", "a", "1"},
        {"{\"a\":1}", "A", NULL},
        {"{\"a\":1}", "", NULL},
        {"{\"\":1}", "", "1"},
        {"{\"ab\":1}", "a", NULL},
        {"{\"a\":1}", "ab", NULL},
        {" { \"a\" : { \"b\" : [ 1 , 2 ] } , \"c\" : \"x\" } ", "a", "{ \"b\" : [ 1 , 2 ] }"},
        {" { \"a\" : { \"b\" : [ 1 , 2 ] } , \"c\" : \"x\" } ", "c", "\"x\""},
        {" { \"a\" : { \"b\" : [ 1 , 2 ] } , \"c\" : \"x\" } ", "b", NULL},
        {"{\"a\":1,\"a\":2}", "a", "1"},
        {"{\"x\":{\"a\":1},\"a\":2}", "a", "2"},
        {"{\"x\":\"\\\"a\\\":1\",\"a\":2}", "a", "2"},
        {"{\"x\":\"a\",\"a\":[\"}\",\"]\",\"\\\\\"]}", "a", "[\"}\",\"]\",\"\\\\\"]"},
        {"{\"a\":null}", "a", "null"},
        {"{\"a\":-1.5e3 ,\"b\":0}", "a", "-1.5e3"},
        {"{\"\\u0061\":1,\"a\":2}", "a", "1"},
        {"{\"\\u0061\\u0062\":1}", "ab", "1"},
        {"{\"\\u00e1\":1,\"a\":2}", "a", "2"},
        {"{\"\\b\":1,\"\\\\b\":2,\"b\":3}", "b", "3"},
        {"{\"\\/\":1}", "/", "1"},
        {"{\"\\b\\f\\n\\r\\t\\\\\\\"\":1}", "\b\f\n\r\t\\\"", "1"},
        {"{\"\\ud83d\\ude00\":1,\"a\":2}", "a", "2"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *why;
        cJSON *document = parse(str_from(cases[i].text), &why);
        assert_non_null(document);
        struct str found = json_member_text(str_from(cases[i].text), cases[i].name);
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(document, cases[i].name);
        if (!str_eq(found, str_from(cases[i].expected)) || (found.ptr == NULL) != (cases[i].expected == NULL))
            fail_msg("\"%s\" of %s: \"%.*s\"", cases[i].name, cases[i].text, STR_PRINTF(found));
        assert_true((item == NULL) == (found.ptr == NULL));
        if (cJSON_IsNumber(item))
            assert_true(strtod(found.ptr, NULL) == item->valuedouble);
        cJSON_Delete(document);
    }
}

/* What json_next gives of `text`, as name=value|… */
static void expect_items(const char *text, const char *expected)
{
    char found[256] = "";
    size_t len = 0;
    struct json_items items = json_items(str_from(text));
    struct json_item item;
    while (json_next(&items, &item))
        len += (size_t)snprintf(found + len, sizeof(found) - len, "%.*s%s%.*s|", STR_PRINTF(item.name),
                                item.name.ptr != NULL ? "=" : "", STR_PRINTF(item.value));
    assert_string_equal(found, expected);
    assert_false(json_next(&items, &item));
}

static void test_items(void **state)
{
    (void)state;
    expect_items("{}", "");
    expect_items(" [ ] ", "");
    expect_items("[1]", "1|");
    expect_items(" [ 1 , \"a,]\" , [ 2 , [ 3 ] ] , { \"b\" : 4 } , null ] ", "1|\"a,]\"|[ 2 , [ 3 ] ]|{ \"b\" : 4 }|null|");
    expect_items(" { \"a\" : 1 , \"b\" : [ { } , \"}\" ] , \"a\" : { \"c\" : 2 } } ", "a=1|b=[ { } , \"}\" ]|a={ \"c\" : 2 }|");
    expect_items("{\"\\u0061\\\"\":true,\"\":\"\"}", "\\u0061\\\"=true|=\"\"|");
    expect_items("1", "");
    expect_items("\"[1]\"", "");
    expect_items("", "");
}

static void test_find_fault(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t place;
        const char *why;
    } cases[] = {
        {"", 0, "is empty; it must be a JSON object."},
        {"\n[]", 1, "must be a JSON object."},
        {"{\"a\":1,}", 7, "is not valid JSON."},
        {"{\"a\":\n 1", 8, "ends in the middle of its JSON."},
        {"{\"a\":\"x\ny\"}", 7, "has a control character in a string; write it as an escape."},
        {"{} {}", 3, "has something behind its JSON object."},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *place = NULL, *why = NULL;
        assert_true(json_find_fault(str_from(cases[i].text), &place, &why));
        assert_int_equal(place - cases[i].text, cases[i].place);
        assert_string_equal(why, cases[i].why);
    }
    const char *place = NULL, *why = NULL;
    assert_false(json_find_fault(STR(" {\"a\":1} "), &place, &why));
    assert_true(place == NULL && why == NULL);
}

static void test_is_utf8(void **state)
{
    (void)state;
    assert_true(json_is_utf8(STR("")));
    assert_true(json_is_utf8(STR("a\n\"\\ \xC3\xA9 \xF0\x9F\x98\x80")));
    assert_false(json_is_utf8(STR("a\xC3")));
    assert_false(json_is_utf8(STR("\xFF")));
    assert_false(json_is_utf8(STR("\xC0\x80")));
}

static const char members[] = "{\"string\":\"hello\",\"empty\":\"\",\"number\":2.5,\"zero\":-0.0,\"true\":true,\"false\":false,"
                              "\"null\":null,\"array\":[],\"object\":{},\"digits\":\"5\"}";

static cJSON *parse_members(void)
{
    const char *why;
    cJSON *document = parse(str_from(members), &why);
    assert_non_null(document);
    return document;
}

static void expect_fault(struct faults *faults, const char *field, const char *message)
{
    assert_int_equal(faults->count, 1);
    assert_string_equal(faults->items[0].field, field);
    assert_string_equal(faults->items[0].message, message);
    faults_fini(faults);
}

static void test_get_string(void **state)
{
    (void)state;
    cJSON *document = parse_members();
    struct faults faults = FAULTS_INIT;
    const struct str before = STR("before");
    struct str out = before;
    json_get_string(document, "missing", 5, "f", &out, &faults);
    json_get_string(document, "null", 5, "f", &out, &faults);
    json_get_string(document, "String", 5, "f", &out, &faults);
    assert_ptr_equal(out.ptr, before.ptr);
    json_get_string(document, "string", 5, "f", &out, &faults);
    assert_true(str_eq(out, STR("hello")));
    json_get_string(document, "empty", 0, "f", &out, &faults);
    assert_true(out.ptr != NULL && out.len == 0);
    assert_int_equal(faults.count, 0);

    out = before;
    json_get_string(document, "string", 4, "over.max", &out, &faults);
    expect_fault(&faults, "over.max", "must be at most 4 bytes long");
    const char *others[] = {"number", "true", "false", "array", "object"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        json_get_string(document, others[i], 5, "x.y", &out, &faults);
        expect_fault(&faults, "x.y", "must be a string");
    }
    assert_ptr_equal(out.ptr, before.ptr);
    cJSON_Delete(document);
}

static void test_get_number(void **state)
{
    (void)state;
    cJSON *document = parse_members();
    struct faults faults = FAULTS_INIT;
    double out = 42;
    json_get_number(document, "missing", 0, 1, "f", &out, &faults);
    json_get_number(document, "null", 0, 1, "f", &out, &faults);
    assert_true(out == 42);
    json_get_number(document, "number", 2.5, 2.5, "f", &out, &faults);
    assert_true(out == 2.5);
    json_get_number(document, "zero", 0, INFINITY, "f", &out, &faults);
    assert_true(out == 0 && !signbit(out));
    assert_int_equal(faults.count, 0);

    out = 42;
    json_get_number(document, "number", 0, 2.4, "n", &out, &faults);
    expect_fault(&faults, "n", "must be from 0 to 2.4");
    json_get_number(document, "number", 2.6, 1000000000, "n", &out, &faults);
    expect_fault(&faults, "n", "must be from 2.6 to 1000000000");
    json_get_number(document, "number", 3, INFINITY, "n", &out, &faults);
    expect_fault(&faults, "n", "must be 3 or more");
    const char *others[] = {"string", "digits", "empty", "true", "array", "object"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        json_get_number(document, others[i], 0, 10, "n", &out, &faults);
        expect_fault(&faults, "n", "must be a number");
    }
    assert_true(out == 42);
    cJSON_Delete(document);
}

static void test_get_bool(void **state)
{
    (void)state;
    cJSON *document = parse_members();
    struct faults faults = FAULTS_INIT;
    bool out = true;
    json_get_bool(document, "missing", "f", &out, &faults);
    json_get_bool(document, "null", "f", &out, &faults);
    assert_true(out);
    json_get_bool(document, "false", "f", &out, &faults);
    assert_false(out);
    json_get_bool(document, "true", "f", &out, &faults);
    assert_true(out);
    assert_int_equal(faults.count, 0);
    const char *others[] = {"string", "number", "zero", "array", "object"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        json_get_bool(document, others[i], "b", &out, &faults);
        expect_fault(&faults, "b", "must be true or false");
    }
    assert_true(out);
    cJSON_Delete(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),           cmocka_unit_test(test_refused),
        cmocka_unit_test(test_cut_anywhere),       cmocka_unit_test(test_depth),
        cmocka_unit_test(test_a_million_brackets), cmocka_unit_test(test_many_neighbours_are_no_depth),
        cmocka_unit_test(test_member_text),        cmocka_unit_test(test_items),
        cmocka_unit_test(test_find_fault),         cmocka_unit_test(test_is_utf8),
        cmocka_unit_test(test_get_string),         cmocka_unit_test(test_get_number),
        cmocka_unit_test(test_get_bool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
