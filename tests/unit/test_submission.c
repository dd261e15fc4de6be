#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/submission.h"
#include "unit/quoted.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW ((int64_t)1900000000000)

/* Group and shape of what a task demands. */
static void expect_demands(const char *requirements, const char *group, const char *shape)
{
    char text[1024];
    snprintf(text, sizeof(text), "{'type':'t','requirements':%s}", requirements);
    struct str body = quote(text);
    struct submission submission;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    enum err err = submission_parse(body, NOW, &submission, &faults, &why);
    if (err != ERR_NONE)
        fail_msg("%s: %s", requirements, faults.count > 0 ? faults.items[0].message : why);
    expect_text(buffer_str(&submission.group), group);
    expect_text(buffer_str(&submission.shape), shape);
    submission_fini(&submission);
    free((char *)body.ptr);
}

static void expect_fault(const char *text, const char *field)
{
    struct str body = quote(text);
    struct submission submission;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    assert_int_equal(submission_parse(body, NOW, &submission, &faults, &why), ERR_INVALID);
    if (faults.count != 1 || strcmp(faults.items[0].field, field) != 0)
        fail_msg("%s: %zu faults, the first one in %s", text, faults.count, faults.items[0].field);
    faults_fini(&faults);
    free((char *)body.ptr);
}

static void the_least_task(void **state)
{
    (void)state;
    struct str body = quote("{'type':'t','unheard of':1,'queue':null}");
    struct submission submission;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    assert_int_equal(submission_parse(body, NOW, &submission, &faults, &why), ERR_NONE);
    expect_text(submission.type, "t");
    expect_text(submission.queue, "default");
    expect_text(submission.payload, "null");
    expect_text(buffer_str(&submission.group), "a");
    assert_null(submission.requirements.ptr);
    assert_int_equal(submission.priority, 0);
    assert_int_equal(submission.lease_ms, -1);
    submission_fini(&submission);
    free((char *)body.ptr);
}

static void everything(void **state)
{
    (void)state;
    struct str body =
        quote("{'type':'t','queue':'q','payload':{'a': [1, 2]},'priority':-100,'delay_seconds':1.5,'max_attempts':100,"
              "'lease_seconds':5,'ttl_seconds':60,'result_ttl_seconds':0,'dedup_key':'user 5 é','on_conflict':'replace',"
              "'retry_delay_seconds':1,'retry_max_seconds':10,'max_lease_seconds':600}");
    struct submission submission;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    assert_int_equal(submission_parse(body, NOW, &submission, &faults, &why), ERR_NONE);
    expect_text(submission.payload, "{'a':[1,2]}");
    expect_text(submission.dedup_key, "user 5 é");
    assert_true(submission.replace);
    assert_int_equal(submission.priority, -100);
    assert_int_equal(submission.delay_ms, 1500);
    assert_int_equal(submission.lease_ms, 5000);
    assert_int_equal(submission.ttl_ms, 60000);
    assert_int_equal(submission.result_ttl_ms, 0);
    assert_int_equal(submission.retry_ms, 1000);
    submission_fini(&submission);
    free((char *)body.ptr);
}

static void demands_become_a_group_and_a_shape(void **state)
{
    (void)state;
    expect_demands("{}", "a", "");
    expect_demands("{'tier':2}", "t:2", "");
    expect_demands("{'service':'rag'}", "s:rag", "");
    expect_demands("{'service':'rag','tier':2}", "s:rag", "tier=2");
    expect_demands("{'tier':1,'service':'rag','model':'Llama3:latest'}", "m:llama3", "tier=1;service=rag");
    expect_demands("{'worker_id':'w','model':'m','region':'fra'}", "w:w", "model=m;region=fra");
    expect_demands("{'min_gpu_memory':'16GB'}", "g", "gpu=16000000000");
    expect_demands("{'min_gpu_memory':16384}", "g", "gpu=17179869184");
    expect_demands("{'region':'fra'}", "a", "region=fra");
    expect_demands("{'labels':{'zone':'x','rack':'b;c=d, é'}}", "a", "label.rack=b%3Bc%3Dd%2C%20%C3%A9;label.zone=x");
    expect_demands("{'tier':null,'labels':{}}", "a", "");
}

static void faults(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{}", "type"},
        {"{'type':''}", "type"},
        {"{'type':5}", "type"},
        {"{'type':'a\\nb'}", "type"},
        {"{'type':'t','queue':'a b'}", "queue"},
        {"{'type':'t','priority':101}", "priority"},
        {"{'type':'t','priority':-101}", "priority"},
        {"{'type':'t','priority':0.5}", "priority"},
        {"{'type':'t','run_at':'1970-01-01T00:00:00Z'}", "run_at"},
        {"{'type':'t','run_at':'9999-01-01T00:00:00Z'}", "run_at"},
        {"{'type':'t','run_at':'tomorrow'}", "run_at"},
        {"{'type':'t','run_at':'2030-03-17T18:00:00Z','delay_seconds':1}", "run_at"},
        {"{'type':'t','delay_seconds':-1}", "delay_seconds"},
        {"{'type':'t','delay_seconds':1e9}", "delay_seconds"},
        {"{'type':'t','max_attempts':0}", "max_attempts"},
        {"{'type':'t','lease_seconds':4}", "lease_seconds"},
        {"{'type':'t','lease_seconds':86401}", "lease_seconds"},
        {"{'type':'t','ttl_seconds':0}", "ttl_seconds"},
        {"{'type':'t','on_conflict':'fight'}", "on_conflict"},
        {"{'type':'t','dedup_key':''}", "dedup_key"},
        {"{'type':'t','requirements':[]}", "requirements"},
        {"{'type':'t','requirements':{'gpu':true}}", "requirements.gpu"},
        {"{'type':'t','requirements':{'tier':5}}", "requirements.tier"},
        {"{'type':'t','requirements':{'service':'a b'}}", "requirements.service"},
        {"{'type':'t','requirements':{'tier':1,'model':'m','tier':1}}", "requirements"},
        {"{'type':'t','requirements':{'model':'a b'}}", "requirements.model"},
        {"{'type':'t','requirements':{'model':'a;b'}}", "requirements.model"},
        {"{'type':'t','requirements':{'min_gpu_memory':'lots'}}", "requirements.min_gpu_memory"},
        {"{'type':'t','requirements':{'labels':{'a b':'c'}}}", "requirements.labels"},
        {"{'type':'t','requirements':{'labels':{'a':5}}}", "requirements.labels"},
        {"{'type':'t','requirements':{'labels':{'a':'1','a':'2'}}}", "requirements.labels"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_fault(cases[i][0], cases[i][1]);
}

/* A text of `size` letters between two texts. */
static enum err parse_long(const char *before, size_t size, const char *after, const char **why)
{
    struct buffer body = BUFFER_INIT;
    struct submission submission;
    struct faults faults = FAULTS_INIT;
    buffer_append(&body, str_from(before));
    memset(buffer_reserve(&body, size), 'x', size);
    body.len += size;
    buffer_append(&body, str_from(after));
    enum err err = submission_parse(buffer_str(&body), NOW, &submission, &faults, why);
    if (err == ERR_NONE)
        submission_fini(&submission);
    faults_fini(&faults);
    buffer_fini(&body);
    return err;
}

static void lengths(void **state)
{
    (void)state;
    const char *why = NULL;
    assert_int_equal(parse_long("{\"type\":\"t\",\"payload\":\"", TASK_PAYLOAD_MAX - 2, "\"}", &why), ERR_NONE);
    assert_int_equal(parse_long("{\"type\":\"t\",\"payload\":\"", TASK_PAYLOAD_MAX - 1, "\"}", &why), ERR_TOO_LARGE);
    assert_non_null(why);
    assert_int_equal(parse_long("{\"type\":\"", TASK_TYPE_MAX, "\"}", &why), ERR_NONE);
    assert_int_equal(parse_long("{\"type\":\"", TASK_TYPE_MAX + 1, "\"}", &why), ERR_INVALID);
    assert_int_equal(parse_long("{\"type\":\"t\",\"dedup_key\":\"", TASK_DEDUP_MAX + 1, "\"}", &why), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_task), cmocka_unit_test(everything), cmocka_unit_test(demands_become_a_group_and_a_shape),
        cmocka_unit_test(faults),         cmocka_unit_test(lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
