#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "model/heartbeat.h"
#include "model/id.h"
#include "unit/quoted.h"

#include <stdlib.h>

static enum err parse_body(struct str body, struct heartbeat *out, struct faults *faults, struct faults *ignored)
{
    const char *why = NULL;
    enum err err = heartbeat_parse(body, out, faults, ignored, &why);
    assert_true((err == ERR_BAD_REQUEST) == (why != NULL));
    assert_true((err == ERR_INVALID) == (faults->count > 0));
    assert_true(err == ERR_NONE || ignored->count == 0);
    return err;
}

/*
 * The caller releases both with release(). What is ignored is in *ignored, which is released, too, unless NULL: then nothing
 * may be.
 */
static struct heartbeat parse_ignoring(const char *text, struct str *body, struct faults *ignored)
{
    struct heartbeat out;
    struct faults faults = FAULTS_INIT, none = FAULTS_INIT;
    *body = quote(text);
    enum err err = parse_body(*body, &out, &faults, ignored != NULL ? ignored : &none);
    if (err == ERR_INVALID)
        fail_msg("%s: %s %s", text, faults.items[0].field, faults.items[0].message);
    assert_int_equal(err, ERR_NONE);
    if (none.count > 0)
        fail_msg("%s: %s %s", text, none.items[0].field, none.items[0].message);
    assert_int_equal(out.ignored.len == 0, ignored == NULL || ignored->count == 0);
    return out;
}

static struct heartbeat parse(const char *text, struct str *body)
{
    return parse_ignoring(text, body, NULL);
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
    struct faults faults = FAULTS_INIT, ignored = FAULTS_INIT;
    enum err err = parse_body(body, &out, &faults, &ignored);
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
    expect_text(out.status, NULL);
    expect_text(out.reported_status, NULL);
    assert_true(out.current_load < 0);
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
    expect_text(out.status, NULL);
    expect_text(out.reported_status, NULL);
    assert_true(out.current_load < 0);
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
        {"healthy", "healthy"}, {"degraded", "degraded"}, {"draining", "draining"},     {"offline", "offline"},
        {"online", "healthy"},  {"HEALTHY", "healthy"},   {" Draining\\t", "draining"}, {"OnLine", "healthy"},
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
        {"{'worker_id': 'w', 'current_load': '0.5'}", offsetof(struct heartbeat, current_load), 0.5},
        {"{'worker_id': 'w', 'current_load': ' 0,25 '}", offsetof(struct heartbeat, current_load), 0.25},
        {"{'worker_id': 'w', 'current_load': '2.5e-1'}", offsetof(struct heartbeat, current_load), 0.25},
        {"{'worker_id': 'w', 'active_requests': '3'}", offsetof(struct heartbeat, active_requests), 3},
        {"{'worker_id': 'w', 'gpu_utilization': '65 %'}", offsetof(struct heartbeat, gpu_utilization), 65},
        {"{'worker_id': 'w', 'gpu_utilization': '65'}", offsetof(struct heartbeat, gpu_utilization), 65},
        {"{'worker_id': 'w', 'expect_silence': '600'}", offsetof(struct heartbeat, expect_silence), 600},
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
    static const struct {
        const char *text;
        const char *field;
        const char *message;
    } cases[] = {
        {"{}", "worker_id", "is required"},
        {"{'worker_id': null}", "worker_id", "is required"},
        {"{'worker_id': NaN}", "worker_id", "is required"},
        {"{'worker_id': 'w\\u0000'}", "worker_id", "is required"},
        {"{'Worker_ID': 'w'}", "worker_id", "is required"},
        {"{'worker_id': 7, 'status': 7}", "worker_id", "must be a string"},
        {"{'worker_id': ['w']}", "worker_id", "must be a string"},
        {"{'worker_id': ''}", "worker_id", ID_RULE},
        {"{'worker_id': ' '}", "worker_id", ID_RULE},
        {"{'worker_id': 'a b'}", "worker_id", ID_RULE},
        {"{'worker_id': '{rma}'}", "worker_id", ID_RULE},
        {"{'worker_id': 'a\\r\\nb'}", "worker_id", ID_RULE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str body = quote(cases[i].text);
        expect_faults(body, 1, &cases[i].field, &cases[i].message);
        free((char *)body.ptr);
    }
}

#define STATUSES "must be healthy, degraded, draining, offline or online"
#define NO_NUMBER "must be a number, which NaN and Infinity are not"
#define NAME_TAKEN "must be a string; its name is taken"

/* Nothing of these is known after the heartbeat, and it is taken. */
static const struct {
    const char *members;
    const char *field;
    const char *message;
} unusable[] = {
    {"'status': 1", "status", STATUSES},
    {"'status': true", "status", STATUSES},
    {"'status': ['healthy']", "status", STATUSES},
    {"'status': {'status': 'healthy'}", "status", STATUSES},
    {"'status': ''", "status", STATUSES},
    {"'status': ' '", "status", STATUSES},
    {"'status': 'None'", "status", STATUSES},
    {"'status': NaN", "status", NO_NUMBER},
    {"'current_load': -0.01", "current_load", "must be from 0 to 1"},
    {"'current_load': '-1'", "current_load", "must be from 0 to 1"},
    {"'current_load': true", "current_load", "must be a number"},
    {"'current_load': {}", "current_load", "must be a number"},
    {"'current_load': ''", "current_load", "must be a number"},
    {"'current_load': '0x1'", "current_load", "must be a number"},
    {"'current_load': 'nan'", "current_load", "must be a number"},
    {"'current_load': '0,2,5'", "current_load", "must be a number"},
    {"'current_load': '1e999'", "current_load", "must be a number"},
    {"'current_load': '50%'", "current_load", "must be a number"},
    {"'current_load': NaN", "current_load", NO_NUMBER},
    {"'current_load': Infinity", "current_load", NO_NUMBER},
    {"'current_load':-Infinity", "current_load", NO_NUMBER},
    {"'current_load': 1e999", "current_load", "has a number that is too large"},
    {"'current_load': 0.12345678901234567890123456789012345678901234567890123456789012345", "current_load",
     "has a number of more than 63 characters"},
    {"'active_requests': -1", "active_requests", "must be from 0 to 1000000000"},
    {"'active_requests': 1000000001", "active_requests", "must be from 0 to 1000000000"},
    {"'active_requests': 1.5", "active_requests", "must be a whole number"},
    {"'active_requests': '1.5'", "active_requests", "must be a whole number"},
    {"'active_requests': 'two'", "active_requests", "must be a number"},
    {"'gpu_utilization': -0.1", "gpu_utilization", "must be from 0 to 10000"},
    {"'gpu_utilization': 10000.1", "gpu_utilization", "must be from 0 to 10000"},
    {"'gpu_utilization': '[N/A]'", "gpu_utilization", "must be a number"},
    {"'gpu_utilization': '%'", "gpu_utilization", "must be a number"},
    {"'gpu_utilization': [1]", "gpu_utilization", "must be a number"},
    {"'expect_silence': -1", "expect_silence", "must be from 0 to 3600"},
    {"'expect_silence': 'soon'", "expect_silence", "must be a number"},
    {"'available_memory': 9.8", "available_memory", "must be a string"},
    {"'available_memory': {'free': '9GB'}", "available_memory", "must be a string"},
    {"'available_memory': '\\u0000'", "available_memory", "has a NUL character (\\u0000) in a string"},
    {"'specialization': []", "specialization", "must be a string"},
    {"'specialization': '\\udfff\\\\'", "specialization",
     "has one half of a surrogate pair (\\ud800 to \\udfff) without the other"},
    {"'loaded_models': {}", "loaded_models", "must be an array of strings"},
    {"'loaded_models': 7", "loaded_models", "must be an array of strings"},
    {"'loaded_models': [1]", "loaded_models[0]", "must be a string"},
    {"'loaded_models': [{'size': 7}]", "loaded_models[0]", "must be a string"},
    {"'loaded_models': [NaN]", "loaded_models[0]", NO_NUMBER},
    {"'services_status': ['ocr']", "services_status", "must be an object"},
    {"'services_status': 'ok'", "services_status", "must be an object"},
    {"'elsewhere': [{'a b': -Infinity}]", "elsewhere[0].a b", NO_NUMBER},
};

static void test_what_cannot_be_used_is_left_out_and_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(unusable) / sizeof(unusable[0]); i++) {
        struct buffer text = BUFFER_INIT;
        struct str body;
        struct faults ignored = FAULTS_INIT;
        buffer_printf(&text, "{'worker_id': ' w', %s}%c", unusable[i].members, 0);
        struct heartbeat out = parse_ignoring(text.ptr, &body, &ignored);
        if (ignored.count != 1)
            fail_msg("%zu ignored of %s", ignored.count, text.ptr);
        assert_string_equal(ignored.items[0].field, unusable[i].field);
        assert_string_equal(ignored.items[0].message, unusable[i].message);
        size_t len = strcspn(unusable[i].field, "[.");
        bool is_member = strncmp(unusable[i].field, "elsewhere", len) != 0;
        assert_true(str_eq(buffer_str(&out.ignored), is_member ? (struct str){unusable[i].field, len} : STR("other")));
        expect_text(out.worker_id, "w");
        assert_null(out.status.ptr);
        assert_null(out.reported_status.ptr);
        assert_null(out.available_memory.ptr);
        assert_null(out.specialization.ptr);
        assert_null(out.loaded_models.ptr);
        assert_null(out.services_status.ptr);
        assert_true(out.current_load < 0 && out.active_requests < 0 && out.gpu_utilization < 0 && out.expect_silence < 0);
        faults_fini(&ignored);
        release(&out, body);
        buffer_fini(&text);
    }
}

static void test_what_is_clear_is_used_and_named(void **state)
{
    (void)state;
    static const struct {
        const char *member;
        const char *field;
        const char *message;
        double load, silence;
        const char *status, *reported, *models, *services;
    } cases[] = {
        {"'current_load': 45", "current_load", "must be from 0 to 1; it counts as 1", 1, -1, NULL, NULL, NULL, NULL},
        {"'current_load': '1.01'", "current_load", "must be from 0 to 1; it counts as 1", 1, -1, NULL, NULL, NULL, NULL},
        {"'expect_silence': 1e18", "expect_silence", "must be from 0 to 3600; it counts as 3600", -1, 3600, NULL, NULL, NULL, NULL},
        {"'status': ' busy '", "status", STATUSES "; it counts as degraded", -1, -1, "degraded", "busy", NULL, NULL},
        {"'status': 'unknown'", "status", STATUSES "; it counts as degraded", -1, -1, "degraded", "unknown", NULL, NULL},
        {"'loaded_models': [{'name': 'a'}]", "loaded_models[0]", NAME_TAKEN, -1, -1, NULL, NULL, "['a']", NULL},
        {"'loaded_models': ['x', {'name': '', 'model': 'b'}, null]", "loaded_models[1]", NAME_TAKEN, -1, -1, NULL, NULL,
         "['x','b']", NULL},
        {"'loaded_models': ['x', {'id': 'c\\n'}]", "loaded_models[1]", NAME_TAKEN, -1, -1, NULL, NULL, "['x','c\\n']", NULL},
        {"'loaded_models': ['x', 7, 'y']", "loaded_models[1]", "must be a string", -1, -1, NULL, NULL, "['x','y']", NULL},
        {"'loaded_models': ' a,, b:1 '", "loaded_models", "must be an array of strings; the names in it are taken", -1, -1, NULL,
         NULL, "['a','b:1']", NULL},
        {"'services_status': {'a': [1, NaN, {'b': Infinity}]}", "services_status.a[1]", NO_NUMBER, -1, -1, NULL, NULL, NULL,
         "{'a': [1, null, {'b': null}]}"},
        {"'services_status': {'x\\ud800y': 1, 'b': 2}", "services_status.x\\ud800y",
         "has one half of a surrogate pair (\\ud800 to \\udfff) without the other", -1, -1, NULL, NULL, NULL, "{'': 1, 'b': 2}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer text = BUFFER_INIT;
        struct str body;
        struct faults ignored = FAULTS_INIT;
        buffer_printf(&text, "\xEF\xBB\xBF {'worker_id': 'w', %s}%c", cases[i].member, 0);
        struct heartbeat out = parse_ignoring(text.ptr, &body, &ignored);
        assert_string_equal(ignored.items[0].field, cases[i].field);
        assert_string_equal(ignored.items[0].message, cases[i].message);
        assert_true(out.current_load == cases[i].load && out.expect_silence == cases[i].silence);
        expect_text(out.status, cases[i].status);
        expect_text(out.reported_status, cases[i].reported);
        expect_text(out.loaded_models, cases[i].models);
        expect_text(out.services_status, cases[i].services);
        faults_fini(&ignored);
        release(&out, body);
        buffer_fini(&text);
    }
}

static void test_a_long_unknown_status_is_cut(void **state)
{
    (void)state;
    struct str body;
    struct faults ignored = FAULTS_INIT;
    struct buffer text = BUFFER_INIT;
    buffer_append(&text, STR("{'worker_id': 'w', 'status': 'x"));
    for (int i = 0; i < 100; i++)
        buffer_append(&text, STR("\xC3\xA4"));
    buffer_append(&text, (struct str){"'}", 3});
    struct heartbeat out = parse_ignoring(text.ptr, &body, &ignored);
    expect_text(out.status, "degraded");
    assert_int_equal(out.reported_status.len, HEARTBEAT_STATUS_MAX - 1); /* no half of a character */
    faults_fini(&ignored);
    release(&out, body);
    buffer_fini(&text);
}

static void test_all_that_is_ignored_is_named(void **state)
{
    (void)state;
    static const char *const fields[] = {"x",
                                         "status",
                                         "current_load",
                                         "available_memory",
                                         "active_requests",
                                         "gpu_utilization",
                                         "loaded_models[0]",
                                         "services_status",
                                         "specialization",
                                         "expect_silence",
                                         "status"};
    struct str body;
    struct faults ignored = FAULTS_INIT;
    struct heartbeat out =
        parse_ignoring("{'x': NaN, 'status': 'x', 'current_load': -1, 'available_memory': 1, 'active_requests': 0.5, "
                       "'gpu_utilization': [], 'loaded_models': [1, 'a'], 'services_status': 1, 'specialization': 1, "
                       "'expect_silence': 9999, 'status': 'y', 'worker_id': 'w'}",
                       &body, &ignored);
    assert_int_equal(ignored.count, sizeof(fields) / sizeof(fields[0]));
    for (size_t i = 0; i < ignored.count; i++)
        assert_string_equal(ignored.items[i].field, fields[i]);
    assert_true(str_eq(buffer_str(&out.ignored), STR("other,status,current_load,available_memory,active_requests,gpu_utilization,"
                                                     "loaded_models,services_status,specialization,expect_silence")));
    faults_fini(&ignored);
    release(&out, body);
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
        struct faults faults = FAULTS_INIT, ignored = FAULTS_INIT;
        struct str found, body = fill(before, filler, count, after);
        assert_int_equal(parse_body(body, &out, &faults, &ignored), ERR_NONE);
        memcpy(&found, (const char *)&out + offset, sizeof(found));
        assert_int_equal(found.ptr != NULL, count == most);
        assert_int_equal(found.len, count == most ? len : 0);
        assert_int_equal(ignored.count, count == most ? 0 : 1);
        expect_text(out.status, "degraded");
        faults_fini(&ignored);
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

/* JSON of any depth is JSON. */
static void test_deep_nesting(void **state)
{
    (void)state;
    static const char *const around[][3] = {
        {"{'worker_id': 'w', 'x': ", "[", "}"}, {"{'x': ", "{'a': [", "}"}, {"{'services_status': {'y': ", "[1, ", "}}"}};
    static const char *const closing[] = {"]", "]}", "]"};
    for (size_t i = 0; i < 3; i++) {
        struct buffer text = BUFFER_INIT;
        buffer_append(&text, str_from(around[i][0]));
        for (int depth = 0; depth < 20000; depth++)
            buffer_append(&text, str_from(around[i][1]));
        buffer_append(&text, STR("{'z': 'w', 'n': NaN}"));
        for (int depth = 0; depth < 20000; depth++)
            buffer_append(&text, str_from(closing[i]));
        buffer_append(&text, str_from(around[i][2]));
        text.ptr[text.len - 1] = ',';
        buffer_append(&text, (struct str){" 'worker_id': 'w'}", 19});
        struct str body;
        struct faults ignored = FAULTS_INIT;
        struct heartbeat out = parse_ignoring(text.ptr, &body, &ignored);
        assert_true(ignored.count >= 1);
        assert_string_equal(ignored.items[0].message, "is nested too deeply");
        faults_fini(&ignored);
        release(&out, body);
        buffer_fini(&text);
    }
}

static void test_first_of_duplicates(void **state)
{
    (void)state;
    struct str body;
    struct faults ignored = FAULTS_INIT;
    struct heartbeat out = parse_ignoring("{'worker_id': 'a', 'worker_id': 'b', 'loaded_models': ['a'], 'loaded_models': 7, "
                                          "'services\\u005fstatus': {'a': 1}, 'services_status': 8}",
                                          &body, &ignored);
    assert_int_equal(ignored.count, 3);
    assert_string_equal(ignored.items[1].field, "loaded_models");
    assert_string_equal(ignored.items[1].message, "is there more than once; the first one counts");
    faults_fini(&ignored);
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
                         "{'worker_id': 'w', 'current_load': NaNs}",
                         "{'worker_id': 'w', 'current_load': Inf}",
                         "{'worker_id': 'w', 'current_load': --Infinity}",
                         "{'worker_id': 'w', 'current_load': nan}",
                         "{'worker_id': 'w', 'a': NaN, 'specialization': '\\udfff}",
                         "{'worker_id': 'w', 'specialization': '\xC0\x80'}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct str body = quote(bad[i]);
        struct heartbeat out;
        struct faults faults = FAULTS_INIT, ignored = FAULTS_INIT;
        if (parse_body(body, &out, &faults, &ignored) != ERR_BAD_REQUEST)
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
        cmocka_unit_test(test_what_cannot_be_used_is_left_out_and_named),
        cmocka_unit_test(test_what_is_clear_is_used_and_named),
        cmocka_unit_test(test_a_long_unknown_status_is_cut),
        cmocka_unit_test(test_all_that_is_ignored_is_named),
        cmocka_unit_test(test_long_ids_are_refused),
        cmocka_unit_test(test_what_only_informs_is_left_out_when_it_is_too_long),
        cmocka_unit_test(test_deep_nesting),
        cmocka_unit_test(test_first_of_duplicates),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
