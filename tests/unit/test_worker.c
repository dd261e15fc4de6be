#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/built_in.h"
#include "model/json.h"
#include "model/worker.h"

#include <stdlib.h>

#define NOW INT64_C(1772366412345) /* 2026-03-01T12:00:12.345Z */

static const struct str by_name = {NULL, 0};

static struct worker make_worker(void)
{
    return (struct worker){
        .id = STR("worker-810f649f"),
        .online = {"healthy", 7},
        .fields =
            {
                [WORKER_tier] = STR("2"),
                [WORKER_worker_type] = STR("cpu"),
                [WORKER_status] = STR("healthy"),
                [WORKER_current_load] = STR("0.24"),
                [WORKER_registered_at] = STR("1772366400000"),
                [WORKER_last_heartbeat] = STR("1772366410000"),
                [WORKER_tasks_completed] = STR("17"),
                [WORKER_assigned_services] = STR("rag"),
                [WORKER_provides] = STR("rag,own"),
                [WORKER_services] = STR("[{\"name\":\"rag\",\"port\":8102}]"),
                [WORKER_containers] = STR("[{}]"),
                [WORKER_capabilities] = STR("{\"cpu_cores\":8,\"ram\":\"15.6GB\"}"),
                [WORKER_ip_address] = STR("203.0.113.9"),
                [WORKER_tunnel_url] = STR("https://x.example"),
                [WORKER_vpn_ip] = STR("10.42.0.7"),
                [WORKER_instance_id] = STR("i-1"),
                [WORKER_boot_id] = STR("b-1"),
                [WORKER_region] = STR("lhr"),
                [WORKER_hardware] = STR("- - - -"),
                [WORKER_available_memory] = STR("9.8GB"),
                [WORKER_active_requests] = STR("2"),
                [WORKER_gpu_utilization] = STR("65.3"),
                [WORKER_loaded_models] = STR("[\"llama3.2\"]"),
                [WORKER_specialization] = STR("r\"ag"),
                [WORKER_services_status] = STR("{\"rag\":\"running\"}"),
            },
    };
}

static void expect_row(const struct worker *worker, struct str coordinator_url, const char *expected)
{
    struct buffer out = BUFFER_INIT;
    worker_write(&out, worker, NOW, coordinator_url, true);
    if (!str_eq(buffer_str(&out), str_from(expected)))
        fail_msg("\n%.*s\ninstead of\n%s", STR_PRINTF(buffer_str(&out)), expected);
    cJSON *document;
    const char *why;
    assert_int_equal(json_parse_object(buffer_str(&out), &document, &why), ERR_NONE);
    cJSON_Delete(document);
    buffer_fini(&out);
}

/* The text of one member of the row. */
static void expect_member(const struct worker *worker, const char *name, const char *expected)
{
    struct buffer out = BUFFER_INIT;
    worker_write(&out, worker, NOW, by_name, true);
    struct str found = json_member_text(buffer_str(&out), name);
    if (!str_eq(found, str_from(expected)))
        fail_msg("%s is %.*s instead of %s", name, STR_PRINTF(found), expected);
    buffer_fini(&out);
}

static void test_full_row(void **state)
{
    (void)state;
    struct worker worker = make_worker();
    expect_row(
        &worker, by_name,
        "{\"worker_id\":\"worker-810f649f\",\"tier\":2,\"worker_type\":\"cpu\",\"status\":\"healthy\",\"current_load\":0.24,"
        "\"tasks_completed\":17,\"assigned_containers\":[\"rma-rag-worker\"],\"assigned_services\":[\"rag\"],"
        "\"services\":[{\"name\":\"rag\",\"port\":8102}],\"containers\":[{}],\"last_heartbeat\":\"2026-03-01T12:00:10.000Z\","
        "\"registered_at\":\"2026-03-01T12:00:00.000Z\",\"age_seconds\":2.345,\"is_healthy\":true,\"conflict\":null,\"suspect_"
        "since\":null,\"join_token\":null,\"drained\":"
        "false,"
        "\"drain_reason\":null,\"drained_at\":null,\"drained_from\":null,"
        "\"ip_address\":\"203.0.113.9\",\"port\":null,\"tunnel_url\":\"https://"
        "x.example\",\"vpn_ip\":\"10.42.0.7\",\"instance_id\":\"i-1\","
        "\"region\":\"lhr\",\"capabilities\":{\"cpu_cores\":8,\"ram\":\"15.6GB\"},\"hardware\":{\"gpu\":false},\"available_"
        "memory\":\"9.8GB\",\"available_memory_size\":{\"bytes\":9800000000,\"text\":\"9.8 GB\"},"
        "\"active_requests\":2,\"gpu_utilization\":65.3,\"loaded_models\":[\"llama3.2\"],\"specialization\":\"r\\\"ag\","
        "\"services_status\":{\"rag\":\"running\"},\"unwell_services\":[]}");
}

static void test_empty_row(void **state)
{
    (void)state;
    struct worker worker = {.id = STR("w")};
    expect_row(&worker, by_name,
               "{\"worker_id\":\"w\",\"tier\":0,\"worker_type\":null,\"status\":\"offline\",\"current_load\":0,"
               "\"tasks_completed\":0,\"assigned_containers\":[],\"assigned_services\":[],\"services\":[],\"containers\":[],\"last_"
               "heartbeat\":null,"
               "\"registered_at\":null,\"age_seconds\":null,\"is_healthy\":false,\"conflict\":null,\"suspect_since\":null,\"join_"
               "token\":null,"
               "\"drained\":false,"
               "\"drain_reason\":null,\"drained_at\":null,\"drained_from\":null,\"ip_address\":null,\"port\":null,"
               "\"tunnel_url\":null,\"vpn_ip\":null,\"instance_id\":null,\"region\":null,\"capabilities\":{},\"hardware\":{},"
               "\"available_memory\":null,\"available_memory_size\":null,"
               "\"active_requests\":null,\"gpu_utilization\":null,\"loaded_models\":[],\"specialization\":null,"
               "\"services_status\":{},\"unwell_services\":[]}");
}

static void test_in_full(void **state)
{
    (void)state;
    struct worker worker = make_worker();
    struct buffer out = BUFFER_INIT;
    worker_write(&out, &worker, NOW, STR("http://host:8080"), true);
    struct str containers = json_member_text(buffer_str(&out), "assigned_containers");
    assert_true(str_eq(containers, STR("[{\"name\":\"rma-rag-worker\",\"image\":\"ghcr.io/rma/rag-worker:latest\",\"port\":8102,"
                                       "\"env\":{\"COORDINATOR_URL\":\"http://host:8080\",\"WORKER_ID\":\"worker-810f649f\"}}]")));
    assert_true(str_eq(json_member_text(buffer_str(&out), "containers"), STR("[{}]")));
    assert_true(str_eq(json_member_text(buffer_str(&out), "assigned_services"), STR("[\"rag\"]")));
    buffer_fini(&out);

    worker.fields[WORKER_containers] = by_name;
    worker_write(&out, &worker, NOW, STR("http://host:8080"), true);
    assert_true(str_eq(json_member_text(buffer_str(&out), "containers"), STR("[]")));
    buffer_fini(&out);
}

static void test_services_are_objects(void **state)
{
    (void)state;
    struct worker worker = make_worker();
    worker.fields[WORKER_services] = STR("[\"a\",{\"name\":\"b\",\"x\":[\"y\"]},\"c:d\"]");
    expect_member(&worker, "services", "[{\"name\":\"a\"},{\"name\":\"b\",\"x\":[\"y\"]},{\"name\":\"c:d\"}]");
    worker.fields[WORKER_services] = STR("[]");
    expect_member(&worker, "services", "[]");
}

static void test_assignments(void **state)
{
    (void)state;
    static const struct {
        struct str assigned;
        const char *services;
        const char *containers;
    } cases[] = {
        {{NULL, 0}, "[]", "[]"},
        {{"", 0}, "[]", "[]"},
        {{",", 1}, "[]", "[]"},
        {{"ner,rag", 7}, "[\"ner\",\"rag\"]", "[\"rma-ner-worker\",\"rma-rag-worker\"]"},
        {{"gone,rag", 8}, "[\"gone\",\"rag\"]", "[\"rma-rag-worker\"]"},
        {{"rag,gone", 8}, "[\"rag\",\"gone\"]", "[\"rma-rag-worker\"]"},
        {{"gone", 4}, "[\"gone\"]", "[]"},
        {{",,rag,,ner,", 11}, "[\"rag\",\"ner\"]", "[\"rma-rag-worker\",\"rma-ner-worker\"]"},
    };
    struct worker worker = make_worker();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        worker.fields[WORKER_assigned_services] = cases[i].assigned;
        expect_member(&worker, "assigned_services", cases[i].services);
        expect_member(&worker, "assigned_containers", cases[i].containers);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"0", "0"},         {"-1", "-1"},  {"12.50", "12.50"}, {"-0.5", "-0.5"}, {"9007199254740993", "9007199254740993"},
        {"0.0", "0.0"},     {"01", "0"},   {"1.", "0"},        {".5", "0"},      {"-", "0"},
        {"-.5", "0"},       {"--1", "0"},  {"1.2.3", "0"},     {"1-2", "0"},     {"1e5", "0"},
        {"nan", "0"},       {"-nan", "0"}, {"inf", "0"},       {" 1", "0"},      {"1 ", "0"},
        {"1,\"x\":2", "0"}, {"+1", "0"},   {"0x1", "0"},       {"00", "0"},      {"-01", "0"},
    };
    struct worker worker = make_worker();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        worker.fields[WORKER_current_load] = str_from(cases[i][0]);
        worker.fields[WORKER_gpu_utilization] = str_from(cases[i][0]);
        expect_member(&worker, "current_load", cases[i][1]);
        expect_member(&worker, "gpu_utilization", cases[i][1]);
    }
    worker.fields[WORKER_current_load] = STR("");
    worker.fields[WORKER_gpu_utilization] = STR("");
    expect_member(&worker, "current_load", "0");
    expect_member(&worker, "gpu_utilization", "null");
}

static void test_times(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"1772366410000", "\"2026-03-01T12:00:10.000Z\"", "2.345"},
        {"1772366412345", "\"2026-03-01T12:00:12.345Z\"", "0.0"},
        {"1772366412346", "\"2026-03-01T12:00:12.346Z\"", "0.0"}, /* from the future: the clocks differ */
        {"1772366352345", "\"2026-03-01T11:59:12.345Z\"", "60.0"},
        {"0", "\"1970-01-01T00:00:00.000Z\"", "1772366412.345"},
        {"253402300799999", "\"9999-12-31T23:59:59.999Z\"", "0.0"},
        {"253402300800000", "null", "null"},
        {"1000000000000000", "null", "null"},
        {"99999999999999999999999999", "null", "null"},
        {"", "null", "null"},
        {"-1", "null", "null"},
        {"1.5e12", "null", "null"},
        {"1772366410000.0", "null", "null"},
        {"soon", "null", "null"},
    };
    struct worker worker = make_worker();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        worker.fields[WORKER_last_heartbeat] = str_from(cases[i][0]);
        worker.fields[WORKER_registered_at] = str_from(cases[i][0]);
        expect_member(&worker, "last_heartbeat", cases[i][1]);
        expect_member(&worker, "registered_at", cases[i][1]);
        expect_member(&worker, "age_seconds", cases[i][2]);
    }
}

static void test_empty_json_has_its_empty_form(void **state)
{
    (void)state;
    struct worker worker = make_worker();
    worker.fields[WORKER_services] = STR("");
    worker.fields[WORKER_capabilities] = STR("");
    worker.fields[WORKER_loaded_models] = STR("");
    worker.fields[WORKER_services_status] = STR("");
    expect_member(&worker, "services", "[]");
    expect_member(&worker, "capabilities", "{}");
    expect_member(&worker, "loaded_models", "[]");
    expect_member(&worker, "services_status", "{}");
}

static void test_status(void **state)
{
    (void)state;
    static const struct {
        struct str online;
        const char *status;
        bool healthy;
    } cases[] = {
        {{"healthy", 7}, "healthy", true},
        {{"draining", 8}, "draining", true},
        {{"degraded", 8}, "degraded", false},
        {{NULL, 0}, "offline", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct worker worker = make_worker();
        worker.online = cases[i].online;
        assert_true(str_eq(worker_status(&worker), str_from(cases[i].status)));
        assert_int_equal(worker_is_healthy(&worker), cases[i].healthy);
        expect_member(&worker, "is_healthy", cases[i].healthy ? "true" : "false");
    }
}

static void test_conflicts(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "null"},
        {"1772366400000 1772366410000 3",
         "{\"since\":\"2026-03-01T12:00:00.000Z\",\"last_seen\":\"2026-03-01T12:00:10.000Z\",\"count\":3}"},
        {"1772366400000 1772362812344 3", "null"}, /* more than an hour ago */
        {"1772366400000", "null"},
        {"x y z", "null"},
        {"1772366400000 1772366410000 x",
         "{\"since\":\"2026-03-01T12:00:00.000Z\",\"last_seen\":\"2026-03-01T12:00:10.000Z\",\"count\":0}"},
    };
    struct worker worker = make_worker();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        worker.fields[WORKER_conflict] = str_from(cases[i][0]);
        expect_member(&worker, "conflict", cases[i][1]);
    }
}

static void test_field_names(void **state)
{
    (void)state;
    assert_true(str_eq(worker_field_names[WORKER_tier], STR("tier")));
    assert_true(str_eq(worker_field_names[WORKER_last_heartbeat], STR("last_heartbeat")));
    assert_true(str_eq(worker_field_names[WORKER_services_status], STR("services_status")));
    for (size_t i = 0; i < WORKER_FIELD_COUNT; i++)
        for (size_t j = 0; j < i; j++)
            assert_false(str_eq(worker_field_names[i], worker_field_names[j]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_row),
        cmocka_unit_test(test_empty_row),
        cmocka_unit_test(test_in_full),
        cmocka_unit_test(test_assignments),
        cmocka_unit_test(test_services_are_objects),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_empty_json_has_its_empty_form),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_field_names),
    };
    return cmocka_run_group_tests(tests, use_built_in_catalogue, NULL);
}
