#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/model_name.h"

static void test_normal_forms(void **state)
{
    (void)state;
    static const struct {
        const char *name, *normal; /* NULL: it is no name */
    } cases[] = {
        {"llama3", "llama3"},
        {"llama3:latest", "llama3"},
        {"Llama3:LATEST", "llama3"},
        {"llama3:8b", "llama3:8b"},
        {"Qwen/Qwen2.5-7B", "qwen/qwen2.5-7b"},
        {":latest", ":latest"},
        {"x:latest:latest", "x:latest"},
        {"registry.ollama.ai/library/llama3:latest", "llama3"},
        {"library/llama3", "llama3"},
        {"library/", "library/"},
        {"library/-", NULL},
        {"registry.example/library/llama3", "registry.example/library/llama3"},
        {"-:latest", NULL},
        {"-", NULL},
        {"=", NULL},
        {"", NULL},
        {"a b", NULL},
        {"a,b", NULL},
        {"caf\xC3\xA9", NULL},
        {"a\x7f", NULL},
    };
    char room[MODEL_NAME_MAX];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str normal = model_name_normal(str_from(cases[i].name), room);
        if (!str_eq(normal, str_from(cases[i].normal)) || (normal.ptr == NULL) != (cases[i].normal == NULL))
            fail_msg("%s becomes %.*s", cases[i].name, STR_PRINTF(normal));
    }
    char longest[MODEL_NAME_MAX + 1];
    memset(longest, 'X', sizeof(longest));
    assert_int_equal(model_name_normal((struct str){longest, MODEL_NAME_MAX}, room).len, MODEL_NAME_MAX);
    assert_null(model_name_normal((struct str){longest, MODEL_NAME_MAX + 1}, room).ptr);
}

static void test_lists(void **state)
{
    (void)state;
    struct str list = STR("[\"Phi3\",\"llama3:latest\",\"a b\",\"x\\u0041\"]");
    static const char *const members[] = {"phi3", "llama3", "xa"};
    static const char *const others[] = {"phi", "llama3:latest", "a b", "", "latest"};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        assert_true(model_names_have(list, str_from(members[i])));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(model_names_have(list, str_from(others[i])));
    assert_false(model_names_have((struct str){NULL, 0}, STR("phi3")));
    assert_false(model_names_have(STR("[]"), STR("phi3")));
    assert_false(model_names_have(list, (struct str){NULL, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal_forms),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
