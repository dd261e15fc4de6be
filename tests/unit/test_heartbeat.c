#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "model/heartbeat.h"
#include "model/id.h"

#include <stdlib.h>

/* The JSON texts here have ' for ", for the reader's sake. The copy ends where the text ends. */
static struct str quote(const char *text)
{
    size_t len = strlen(text);
    char *copy = malloc(len + 1);
    assert_non_null(copy);
    for (size_t i = 0; i < len; i++)
        copy[i] = text[i] == '\'' ? '"' : text[i];
    return (struct str){copy, len};
}

static void expect_text(struct str found, const char *expected)
{
    if (expected == NULL) {
        assert_null(found.ptr);
        return;
    }
    struct str text = quote(expected);
    if (!str_eq(found, text))
        fail_msg("\"%.*s\" instead of \"%.*s\"", STR_PRINTF(found), STR_PRINTF(text));
    free((char *)text.ptr);
}

static enum err parse_body(struct str body, struct heartbeat *out, struct faults *faults)
{
    const char *why = NULL;
    enum err err = heartbeat_parse(body, out, faults, &why);
    assert_true((err == ERR_BAD_REQUEST) == (why != NULL));
    assert_true((err == ERR_INVALID) == (faults->count > 0));
    return err;
}

/* The caller releases both with release(). */
static struct heartbeat parse(const char *text, struct str *body)
{
    struct heartbeat out;
    struct faults faults = FAULTS_INIT;
    *body = quote(text);
    enum err err = parse_body(*body, &out, &faults);
    if (err == ERR_INVALID)
        fail_msg("%s: %s %s", text, faults.items[0].field, faults.items[0].message);
    assert_int_equal(err, ERR_NONE);
    return out;
}

static void release(struct heartbeat *heartbeat, struct str body)
{
    heartbeat_fini(heartbeat);
    heartbeat_fini(heartbeat); /* a second time does nothing */
    free((char *)body.ptr);
}

static void expect_faults(struct str body, size_t count, const char *const fields[], const char *const messages[])
{
    struct heartbeat out;
    memset(&out, 0x5a, sizeof(out));
    struct heartbeat untouched = out;
    struct faults faults = FAULTS_INIT;
    enum err err = parse_body(body, &out, &faults);
    if (err != ERR_INVALID)
        fail_msg("error %d instead of faults: %.*s", err, STR_PRINTF(body));
    assert_memory_equal(&out, &untouched, sizeof(out));
    if (faults.count != count)
        fail_msg("%zu faults instead of %zu in %.*s", faults.count, count, STR_PRINTF(body));
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(faults.items[i].field, fields[i]);
        assert_string_equal(faults.items[i].message, messages[i]);
    }
    faults_fini(&faults);
}

static void test_minimal(void **state)
{
    (void)state;
    struct str body;
    struct heartbeat out = parse("{'worker_id': 'worker-810f649f'}", &body);
    expect_text(out.worker_id, "worker-810f649f");
    expect_text(out.status, "healthy");
    assert_true(out.current_load == 0);
    expect_text(out.available_memory, NULL);
    expect_text(out.specialization, NULL);
    expect_text(out.loaded_models, NULL);
    expect_text(out.services_status, NULL);
    assert_true(out.active_requests < 0);
    assert_true(out.gpu_utilization < 0);
    assert_true(out.expect_silence < 0);
    release(&out, body);
}

static void test_agents(void **state)
{
    (void)state;
    struct str body;
    struct heartbeat out =
        parse("{'worker_id': 'worker-1', 'status': 'healthy', 'current_load': 0.35, 'available_memory': '22.9GB'}", &body);
    expect_text(out.worker_id, "worker-1");
    expect_text(out.status, "healthy");
    assert_true(out.current_load == 0.35);
    expect_text(out.available_memory, "22.9GB");
    release(&out, body);
    out = parse("{'worker_id': 'worker-1', 'status': 'healthy', 'current_load': 0.0}", &body);
    assert_true(out.current_load == 0);
    release(&out, body);
}

static void test_everything(void **state)
{
    (void)state;
    struct str body;
    struct heartbeat out = parse("{'worker_id': 'w', 'status': 'draining', 'current_load': 0.24, 'available_memory': '9.8GB', "
                                 "'active_requests': 2, 'gpu_utilization': 65.3, 'loaded_models': ['llama3.2', 'x'], "
                                 "'services_status': {'rag': 'running', 'ner': {'a': [1]}}, 'specialization': 'rag', "
                                 "'expect_silence': 600, 'unknown': {}}",
                                 &body);
    expect_text(out.worker_id, "w");
    expect_text(out.status, "draining");
    assert_true(out.current_load == 0.24);
    expect_text(out.available_memory, "9.8GB");
    assert_true(out.active_requests == 2);
    assert_true(out.gpu_utilization == 65.3);
    expect_text(out.loaded_models, "['llama3.2', 'x']");
    expect_text(out.services_status, "{'rag': 'running', 'ner': {'a': [1]}}");
    expect_text(out.specialization, "rag");
    assert_true(out.expect_silence == 600);
    release(&out, body);
}

static void test_null_is_absent(void **state)
{
    (void)state;
    struct str body;
    struct heartbeat out = parse("{'worker_id': 'w', 'status': null, 'current_load': null, 'available_memory': null, "
                                 "'active_requests': null, 'gpu_utilization': null, 'loaded_models': null, "
                                 "'services_status': null, 'specialization': null, 'expect_silence': null}",
                                 &body);
    expect_text(out.status, "healthy");
    assert_true(out.current_load == 0);
    expect_text(out.available_memory, NULL);
    expect_text(out.specialization, NULL);
    expect_text(out.loaded_models, NULL);
    expect_text(out.services_status, NULL);
    assert_true(out.active_requests < 0);
    assert_true(out.gpu_utilization < 0);
    assert_true(out.expect_silence < 0);
    release(&out, body);
}

static void test_statuses(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"healthy", "healthy"}, {"degraded", "degraded"}, {"draining", "draining"}, {"offline", "offline"}, {"online", "healthy"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer text = BUFFER_INIT;
        struct str body;
        buffer_printf(&text, "{'worker_id': 'w', 'status': '%s'}%c", cases[i][0], 0);
        struct heartbeat out = parse(text.ptr, &body);
        expect_text(out.status, cases[i][1]);
        release(&out, body);
        buffer_fini(&text);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t offset; /* of the double in struct heartbeat */
        double expected;
    } cases[] = {
        {"{'worker_id': 'w', 'current_load': 1}", offsetof(struct heartbeat, current_load), 1},
        {"{'worker_id': 'w', 'current_load': 1.0001}", offsetof(struct heartbeat, current_load), 1},
        {"{'worker_id': 'w', 'current_load': 1e308}", offsetof(struct heartbeat, current_load), 1},
        {"{'worker_id': 'w', 'current_load': -0.0}", offsetof(struct heartbeat, current_load), 0},
        {"{'worker_id': 'w', 'current_load': 1e-320}", offsetof(struct heartbeat, current_load), 1e-320},
        {"{'worker_id': 'w', 'active_requests': 0}", offsetof(struct heartbeat, active_requests), 0},
        {"{'worker_id': 'w', 'active_requests': 3.0}", offsetof(struct heartbeat, active_requests), 3},
        {"{'worker_id': 'w', 'active_requests': 1e9}", offsetof(struct heartbeat, active_requests), 1e9},
        {"{'worker_id': 'w', 'gpu_utilization': 0}", offsetof(struct heartbeat, gpu_utilization), 0},
        {"{'worker_id': 'w', 'gpu_utilization': 10000}", offsetof(struct heartbeat, gpu_utilization), 10000},
        {"{'worker_id': 'w', 'expect_silence': 0}", offsetof(struct heartbeat, expect_silence), 0},
        {"{'worker_id': 'w', 'expect_silence': 3600}", offsetof(struct heartbeat, expect_silence), HEARTBEAT_SILENCE_MAX},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str body;
        struct heartbeat out = parse(cases[i].text, &body);
        double number;
        memcpy(&number, (const char *)&out + cases[i].offset, sizeof(number));
        if (number != cases[i].expected)
            fail_msg("%s: %g", cases[i].text, number);
        release(&out, body);
    }
}

static void test_faults(void **state)
{
    (void)state;
    static const char statuses[] = "must be healthy, degraded, draining, offline or online";
    static const struct {
        const char *text;
        const char *field;
        const char *message;
    } cases[] = {
        {"{}", "worker_id", "is required"},
        {"{'worker_id': null}", "worker_id", "is required"},
        {"{'Worker_ID': 'w'}", "worker_id", "is required"},
        {"{'worker_id': 7}", "worker_id", "must be a string"},
        {"{'worker_id': ['w']}", "worker_id", "must be a string"},
        {"{'worker_id': ''}", "worker_id", ID_RULE},
        {"{'worker_id': 'a b'}", "worker_id", ID_RULE},
        {"{'worker_id': '{rma}'}", "worker_id", ID_RULE},
        {"{'worker_id': 'a\\r\\nb'}", "worker_id", ID_RULE},
        {"{'worker_id': 'w', 'status': 'sick'}", "status", statuses},
        {"{'worker_id': 'w', 'status': ''}", "status", statuses},
        {"{'worker_id': 'w', 'status': 'Healthy'}", "status", statuses},
        {"{'worker_id': 'w', 'status': 1}", "status", "must be a string"},
        {"{'worker_id': 'w', 'status': true}", "status", "must be a string"},
        {"{'worker_id': 'w', 'current_load': -0.01}", "current_load", "must be 0 or more"},
        {"{'worker_id': 'w', 'current_load': '0.5'}", "current_load", "must be a number"},
        {"{'worker_id': 'w', 'current_load': true}", "current_load", "must be a number"},
        {"{'worker_id': 'w', 'current_load': {}}", "current_load", "must be a number"},
        {"{'worker_id': 'w', 'active_requests': -1}", "active_requests", "must be from 0 to 1000000000"},
        {"{'worker_id': 'w', 'active_requests': 1000000001}", "active_requests", "must be from 0 to 1000000000"},
        {"{'worker_id': 'w', 'active_requests': 1.5}", "active_requests", "must be a whole number"},
        {"{'worker_id': 'w', 'active_requests': '2'}", "active_requests", "must be a number"},
        {"{'worker_id': 'w', 'gpu_utilization': -0.1}", "gpu_utilization", "must be from 0 to 10000"},
        {"{'worker_id': 'w', 'gpu_utilization': 10000.1}", "gpu_utilization", "must be from 0 to 10000"},
        {"{'worker_id': 'w', 'gpu_utilization': '65%'}", "gpu_utilization", "must be a number"},
        {"{'worker_id': 'w', 'expect_silence': -1}", "expect_silence", "must be from 0 to 3600"},
        {"{'worker_id': 'w', 'expect_silence': 3600.5}", "expect_silence", "must be from 0 to 3600"},
        {"{'worker_id': 'w', 'expect_silence': '600'}", "expect_silence", "must be a number"},
        {"{'worker_id': 'w', 'available_memory': 9.8}", "available_memory", "must be a string"},
        {"{'worker_id': 'w', 'specialization': []}", "specialization", "must be a string"},
        {"{'worker_id': 'w', 'loaded_models': 'x'}", "loaded_models", "must be an array of strings"},
        {"{'worker_id': 'w', 'loaded_models': {}}", "loaded_models", "must be an array of strings"},
        {"{'worker_id': 'w', 'loaded_models': ['a', 1]}", "loaded_models[1]", "must be a string"},
        {"{'worker_id': 'w', 'loaded_models': [null]}", "loaded_models[0]", "must be a string"},
        {"{'worker_id': 'w', 'services_status': []}", "services_status", "must be an object"},
        {"{'worker_id': 'w', 'services_status': 'ok'}", "services_status", "must be an object"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str body = quote(cases[i].text);
        expect_faults(body, 1, &cases[i].field, &cases[i].message);
        free((char *)body.ptr);
    }
}

static void test_all_faults_at_once(void **state)
{
    (void)state;
    const char *fields[] = {"worker_id",       "status",           "current_load",   "active_requests", "loaded_models",
                            "services_status", "available_memory", "specialization", "gpu_utilization", "expect_silence"};
    const char *messages[] = {"is required",
                              "must be healthy, degraded, draining, offline or online",
                              "must be 0 or more",
                              "must be a whole number",
                              "must be an array of strings",
                              "must be an object",
                              "must be a string",
                              "must be a string",
                              "must be a number",
                              "must be from 0 to 3600"};
    struct str body = quote("{'status': 'x', 'current_load': -1, 'available_memory': 1, 'active_requests': 0.5, "
                            "'gpu_utilization': [], 'loaded_models': 1, 'services_status': 1, 'specialization': 1, "
                            "'expect_silence': 9999}");
    expect_faults(body, 10, fields, messages);
    free((char *)body.ptr);
}

/* A body with `count` times `filler` in the middle. */
static struct str fill(const char *before, const char *filler, size_t count, const char *after)
{
    struct buffer text = BUFFER_INIT;
    buffer_append(&text, str_from(before));
    for (size_t i = 0; i < count; i++)
        buffer_append(&text, str_from(filler));
    buffer_append(&text, str_from(after));
    buffer_append(&text, (struct str){"", 1});
    struct str body = quote(text.ptr);
    buffer_fini(&text);
    return body;
}

static void test_long_ids_are_refused(void **state)
{
    (void)state;
    const char *field = "worker_id", *message = ID_RULE;
    struct str body = fill("{'worker_id': '", "x", ID_MAX + 1, "'}");
    expect_faults(body, 1, &field, &message);
    free((char *)body.ptr);
}

/* `most` times the filler is kept, once more leaves the member out, and the heartbeat is taken in any case. */
static void expect_limit(const char *before, const char *filler, size_t most, const char *after, size_t offset, size_t len)
{
    for (size_t count = most; count <= most + 1; count++) {
        struct heartbeat out;
        struct faults faults = FAULTS_INIT;
        struct str found, body = fill(before, filler, count, after);
        assert_int_equal(parse_body(body, &out, &faults), ERR_NONE);
        memcpy(&found, (const char *)&out + offset, sizeof(found));
        assert_int_equal(found.ptr != NULL, count == most);
        assert_int_equal(found.len, count == most ? len : 0);
        expect_text(out.status, "degraded");
        release(&out, body);
    }
}

static void test_what_only_informs_is_left_out_when_it_is_too_long(void **state)
{
    (void)state;
    expect_limit("{'worker_id': 'w', 'status': 'degraded', 'available_memory': '", "x", HEARTBEAT_MEMORY_MAX, "'}",
                 offsetof(struct heartbeat, available_memory), HEARTBEAT_MEMORY_MAX);
    expect_limit("{'worker_id': 'w', 'status': 'degraded', 'specialization': '", "x", HEARTBEAT_SPECIALIZATION_MAX, "'}",
                 offsetof(struct heartbeat, specialization), HEARTBEAT_SPECIALIZATION_MAX);
    expect_limit("{'worker_id': 'w', 'status': 'degraded', 'loaded_models': ['", "x", HEARTBEAT_JSON_MAX - 4, "']}",
                 offsetof(struct heartbeat, loaded_models), HEARTBEAT_JSON_MAX);
    expect_limit("{'worker_id': 'w', 'status': 'degraded', 'loaded_models': ['abcd'", ",'b'", HEARTBEAT_JSON_MAX / 4 - 2, "]}",
                 offsetof(struct heartbeat, loaded_models), HEARTBEAT_JSON_MAX);
    expect_limit("{'worker_id': 'w', 'status': 'degraded', 'services_status': {'a':'", "x", HEARTBEAT_JSON_MAX - 8, "'}}",
                 offsetof(struct heartbeat, services_status), HEARTBEAT_JSON_MAX);
}

static void test_wrong_types_are_refused_at_any_length(void **state)
{
    (void)state;
    const char *field = "loaded_models[0]", *message = "must be a string";
    struct str body = fill("{'worker_id': 'w', 'loaded_models': [1", ",'b'", HEARTBEAT_JSON_MAX, "]}");
    expect_faults(body, 1, &field, &message);
    free((char *)body.ptr);
}

static void test_first_of_duplicates(void **state)
{
    (void)state;
    struct str body;
    struct heartbeat out = parse("{'worker_id': 'a', 'worker_id': 'b', 'loaded_models': ['a'], 'loaded_models': 7, "
                                 "'services\\u005fstatus': {'a': 1}, 'services_status': 8}",
                                 &body);
    expect_text(out.worker_id, "a");
    expect_text(out.loaded_models, "['a']");
    expect_text(out.services_status, "{'a': 1}");
    release(&out, body);
}

static void test_malformed(void **state)
{
    (void)state;
    const char *bad[] = {"",
                         "null",
                         "[{'worker_id': 'w'}]",
                         "{'worker_id': 'w'",
                         "{'worker_id': 'w'}}",
                         "{'worker_id': 'w', 'current_load': NaN}",
                         "{'worker_id': 'w', 'current_load': -Infinity}",
                         "{'worker_id': 'w', 'current_load': 1e999}",
                         "{'worker_id': 'w\\u0000'}",
                         "{'worker_id': 'w', 'specialization': '\\udfff'}",
                         "{'worker_id': 'w', 'specialization': '\xC0\x80'}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct str body = quote(bad[i]);
        struct heartbeat out;
        struct faults faults = FAULTS_INIT;
        if (parse_body(body, &out, &faults) != ERR_BAD_REQUEST)
            fail_msg("accepted: %s", bad[i]);
        free((char *)body.ptr);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_minimal),
        cmocka_unit_test(test_agents),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_null_is_absent),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_all_faults_at_once),
        cmocka_unit_test(test_long_ids_are_refused),
        cmocka_unit_test(test_what_only_informs_is_left_out_when_it_is_too_long),
        cmocka_unit_test(test_wrong_types_are_refused_at_any_length),
        cmocka_unit_test(test_first_of_duplicates),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
