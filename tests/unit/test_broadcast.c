#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/built_in.h"
#include "model/broadcast.h"
#include "model/submission.h"

#include <stdio.h>
#include <stdlib.h>

static enum err parse(const char *text, struct broadcast *job, struct faults *faults)
{
    const char *why = NULL;
    enum err err = broadcast_parse(str_from(text), job, faults, &why);
    assert_true((err == ERR_BAD_REQUEST || err == ERR_TOO_LARGE) == (why != NULL));
    assert_true((err == ERR_INVALID) == (faults->count > 0));
    return err;
}

static void test_jobs(void **state)
{
    (void)state;
    struct broadcast job;
    struct faults faults = FAULTS_INIT;
    assert_int_equal(
        parse("{\"job_type\": \"t\", \"job_data\": {\"a\" : [1, 2]}, \"required_capability\": \"gpu\"}", &job, &faults), ERR_NONE);
    assert_true(str_eq(job.type, STR("t")) && str_eq(job.data, STR("{\"a\":[1,2]}")) && str_eq(job.capability, STR("gpu")));
    broadcast_fini(&job);
    assert_int_equal(parse("{\"job_type\": \"t\", \"required_capability\": null}", &job, &faults), ERR_NONE);
    assert_true(str_eq(job.data, STR("null")) && job.capability.len == 0);
    broadcast_fini(&job);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "{\"job_type\": \"\"}",
        "{\"job_type\": 5}",
        "{\"job_type\": \"a\\nb\"}",
        "{\"job_type\": \"t\", \"required_capability\": []}",
        "{\"job_type\": \"t\", \"required_capability\": \"\\u007f\"}",
    };
    struct broadcast job;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct faults faults = FAULTS_INIT;
        if (parse(bad[i], &job, &faults) != ERR_INVALID)
            fail_msg("%s is taken", bad[i]);
        faults_fini(&faults);
    }
    struct faults faults = FAULTS_INIT;
    assert_int_equal(parse("[]", &job, &faults), ERR_BAD_REQUEST);
    struct buffer large = BUFFER_INIT;
    buffer_append(&large, STR("{\"job_type\": \"t\", \"job_data\": \""));
    for (size_t i = 0; i < TASK_PAYLOAD_MAX; i++)
        buffer_append(&large, STR("x"));
    buffer_append(&large, STR("\"}"));
    buffer_append(&large, (struct str){"", 1});
    assert_int_equal(parse(large.ptr, &job, &faults), ERR_TOO_LARGE);
    buffer_fini(&large);
}

static void test_whom_it_reaches(void **state)
{
    (void)state;
    static const struct {
        const char *capability, *tier, *status, *capabilities, *provides, *services;
        bool reached;
    } cases[] = {
        {"", "2", "healthy", "{}", "rag", "[]", true},
        {"", "1", "degraded", "{}", "", "", true},
        {"", "3", "healthy", "{}", "rag", "[]", false},
        {"", "4", "healthy", "{}", "rag", "[]", false},
        {"", "2", "draining", "{}", "rag", "[]", false},
        {"", "2", "", "{}", "rag", "[]", false},
        {"pdf", "2", "healthy", "{\"pdf\":true}", "", "", true},
        {"pdf", "2", "healthy", "{\"pdf\":1}", "", "", true},
        {"pdf", "2", "healthy", "{\"pdf\":\"yes\"}", "", "", true},
        {"pdf", "2", "healthy", "{\"pdf\":{\"a\":0}}", "", "", true},
        {"pdf", "2", "healthy", "{\"pdf\":false}", "", "", false},
        {"pdf", "2", "healthy", "{\"pdf\":0}", "", "", false},
        {"pdf", "2", "healthy", "{\"pdf\":\"\"}", "", "", false},
        {"pdf", "2", "healthy", "{\"pdf\":null}", "", "", false},
        {"pdf", "2", "healthy", "{\"pdfs\":true}", "pdfs", "[{\"name\":\"x\",\"capabilities\":[\"pdfs\"]}]", false},
        {"rag", "2", "healthy", "{}", "ner,rag", "", true},
        {"rag-embeddings", "2", "healthy", "{}", "ner,rag", "", true},
        {"ocr", "2", "healthy", "{}", "", "[\"x\",{\"name\":\"y\"},{\"name\":\"z\",\"capabilities\":[5,\"ocr\"]}]", true},
        {"ocr", "2", "healthy", "{}", "", "[{\"name\":\"z\",\"capabilities\":{\"ocr\":true}}]", true},
        {"ocr", "2", "healthy", "{}", "", "[{\"name\":\"z\",\"capabilities\":{\"ocr\":false}}]", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct broadcast job = {.capability = str_from(cases[i].capability)};
        struct worker worker = {.id = STR("w"), .online = str_from(cases[i].status)};
        worker.fields[WORKER_tier] = str_from(cases[i].tier);
        worker.fields[WORKER_capabilities] = str_from(cases[i].capabilities);
        worker.fields[WORKER_provides] = str_from(cases[i].provides);
        worker.fields[WORKER_services] = str_from(cases[i].services);
        if (broadcast_reaches(&job, &worker) != cases[i].reached)
            fail_msg("case %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_whom_it_reaches),
    };
    return cmocka_run_group_tests(tests, use_built_in_catalogue, NULL);
}
