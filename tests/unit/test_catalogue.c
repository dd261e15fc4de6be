#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/built_in.h"
#include "model/id.h"

static void test_order(void **state)
{
    (void)state;
    const char *names[] = {"vision",        "vllm",     "rag",   "ner",   "notes",    "upload", "client-rag",
                           "doc-processor", "postgres", "neo4j", "redis", "chromadb", "minio",  "edge-proxy"};
    assert_int_equal(catalogue_count, sizeof(names) / sizeof(names[0]));
    for (size_t i = 0; i < catalogue_count; i++)
        assert_true(str_eq(catalogue[i].name, str_from(names[i])));
    for (size_t i = 1; i < catalogue_count; i++) {
        const struct catalogue_service *a = &catalogue[i - 1], *b = &catalogue[i];
        assert_true(a->tier <= b->tier);
        if (a->tier == b->tier)
            assert_true(a->priority <= b->priority);
        if (a->tier == b->tier && a->priority == b->priority)
            assert_true(strcmp(a->name.ptr, b->name.ptr) < 0);
    }
}

static void expect(const char *name, enum tier tier, const char *container, const char *image, int port, int priority)
{
    const struct catalogue_service *service = catalogue_find(str_from(name));
    assert_non_null(service);
    assert_true(str_eq(service->name, str_from(name)));
    assert_int_equal(service->tier, tier);
    assert_true(str_eq(service->container, str_from(container)));
    assert_true(str_eq(service->image, str_from(image)));
    assert_int_equal(service->port, port);
    assert_int_equal(service->priority, priority);
}

static void test_services(void **state)
{
    (void)state;
    expect("vllm", TIER_GPU, "rma-vllm-worker", "ghcr.io/rma/vllm-worker:latest", 8000, 1);
    expect("vision", TIER_GPU, "rma-ollama-vision-worker", "ghcr.io/rma/ollama-vision-worker:latest", 11434, 1);
    expect("rag", TIER_SERVICE, "rma-rag-worker", "ghcr.io/rma/rag-worker:latest", 8102, 1);
    expect("notes", TIER_SERVICE, "rma-notes-worker", "ghcr.io/rma/notes-worker:latest", 8100, 2);
    expect("ner", TIER_SERVICE, "rma-ner-worker", "ghcr.io/rma/ner-worker:latest", 8108, 2);
    expect("upload", TIER_SERVICE, "rma-upload-worker", "ghcr.io/rma/upload-worker:latest", 8103, 3);
    expect("client-rag", TIER_SERVICE, "rma-client-rag-worker", "ghcr.io/rma/client-rag-worker:latest", 8104, 4);
    expect("doc-processor", TIER_SERVICE, "rma-doc-processor-worker", "ghcr.io/rma/doc-processor-worker:latest", 8101, 4);
    expect("postgres", TIER_DATA, "rma-postgres-worker", "postgres:16-alpine", 5432, 1);
    expect("neo4j", TIER_DATA, "rma-neo4j-worker", "neo4j:5.15", 7687, 2);
    expect("redis", TIER_DATA, "rma-redis-worker", "redis:7-alpine", 6379, 3);
    expect("chromadb", TIER_DATA, "rma-chromadb-worker", "chromadb/chroma:0.4.24", 8000, 4);
    expect("minio", TIER_DATA, "rma-minio-worker", "minio/minio:latest", 9000, 4);
    expect("edge-proxy", TIER_EDGE, "rma-edge-proxy-worker", "ghcr.io/rma/edge-proxy:latest", 8787, 1);
}

static void test_find(void **state)
{
    (void)state;
    assert_null(catalogue_find(STR("")));
    assert_null(catalogue_find((struct str){NULL, 0}));
    assert_null(catalogue_find(STR("ra")));
    assert_null(catalogue_find(STR("rags")));
    assert_null(catalogue_find(STR("RAG")));
    for (size_t i = 0; i < catalogue_count; i++) {
        assert_ptr_equal(catalogue_find(catalogue[i].name), &catalogue[i]);
        assert_true(id_is_valid(catalogue[i].name));
    }
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *called, *name;
    } cases[] = {
        {"rag", "rag"},
        {"llm-inference", "vllm"},
        {"vision-ocr", "vision"},
        {"rag-embeddings", "rag"},
        {"ner-extraction", "ner"},
        {"document-processing", "doc-processor"},
        {"notes-coa", "notes"},
        {"load-balancer", "edge-proxy"},
        {"rma-vllm-worker", "vllm"},
        {"rma-ollama-vision-worker", "vision"},
        {"rag-service", "rag"},
        {"rma-rag-service", "rag"},
        {"vllm-worker", "vllm"},
        {"llm-inference-service", "vllm"},
        {"client-rag-service", "client-rag"},
        {"gpu-worker", "gpu-worker"},
        {"-service", "-service"},
        {"rma--worker", "rma--worker"},
        {"rag-services", "rag-services"},
        {"Rag", "Rag"},
        {"ocr", "ocr"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str name = catalogue_name(str_from(cases[i].called));
        if (!str_eq(name, str_from(cases[i].name)))
            fail_msg("%s is %.*s", cases[i].called, STR_PRINTF(name));
    }
    assert_null(catalogue_name((struct str){NULL, 0}).ptr);
}

static void test_configs(void **state)
{
    (void)state;
    struct buffer out = BUFFER_INIT;
    catalogue_write_configs(&out, catalogue_find(STR("rag")));
    assert_true(str_eq(buffer_str(&out), STR("{\"name\":\"rag\",\"port\":8102,\"priority\":1},"
                                             "{\"name\":\"rag-embeddings\",\"port\":8102,\"priority\":1}")));
    buffer_fini(&out);
}

static void test_container(void **state)
{
    (void)state;
    struct buffer out = BUFFER_INIT;
    catalogue_write_container(&out, catalogue_find(STR("rag")), STR("http://host/\"x\""), STR("worker-1"), true);
    assert_true(
        str_eq(buffer_str(&out), STR("{\"name\":\"rma-rag-worker\",\"image\":\"ghcr.io/rma/rag-worker:latest\",\"port\":8102,"
                                     "\"env\":{\"COORDINATOR_URL\":\"http://host/\\\"x\\\"\",\"WORKER_ID\":\"worker-1\"}}")));
    buffer_fini(&out);
}

static void test_other_services(void **state)
{
    (void)state;
    static char env[] = ",\"MODE\":\"fast\"";
    struct catalogue_service services[] = {
        {.name = STR("b"), TIER_SERVICE, STR("c"), STR("i"), 1, .priority = 5},
        {.name = STR("ab"), TIER_SERVICE, STR("c"), STR("i"), 1, .priority = 5},
        {.name = STR("a"), TIER_SERVICE, STR("c"), STR("i"), 1, .priority = 5},
        {.name = STR("z"), TIER_SERVICE, STR("c"), STR("i"), 1, .priority = 1},
        {.name = STR("y"), TIER_GPU, STR("box"), STR("image"), 80, 9, .env = {env, sizeof(env) - 1, sizeof(env)}},
    };
    const size_t count = sizeof(services) / sizeof(services[0]);
    const char *expected[] = {"y", "z", "a", "ab", "b"};
    qsort(services, count, sizeof(services[0]), catalogue_compare);
    for (size_t i = 0; i < count; i++)
        assert_true(str_eq(services[i].name, str_from(expected[i])));

    const struct catalogue_service *before = catalogue;
    size_t count_before = catalogue_count;
    catalogue_use(services, count);
    assert_null(catalogue_find(STR("rag")));
    assert_ptr_equal(catalogue_find(STR("ab")), &services[3]);
    struct buffer out = BUFFER_INIT;
    catalogue_write_container(&out, catalogue_find(STR("y")), STR("http://host"), STR("w"), true);
    assert_true(str_eq(buffer_str(&out), STR("{\"name\":\"box\",\"image\":\"image\",\"port\":80,\"env\":{\"COORDINATOR_URL\":"
                                             "\"http://host\",\"WORKER_ID\":\"w\",\"MODE\":\"fast\"}}")));
    buffer_fini(&out);
    catalogue_use(before, count_before);
}

static void test_find_container(void **state)
{
    (void)state;
    for (size_t i = 0; i < catalogue_count; i++)
        assert_ptr_equal(catalogue_find_container(catalogue[i].container), &catalogue[i]);
    assert_null(catalogue_find_container(STR("rag")));
    assert_null(catalogue_find_container(STR("")));
}

static void test_data_stores_are_closed(void **state)
{
    (void)state;
    static const char *const closed[] = {
        "postgres",       "redis", "neo4j", "chromadb", "minio", "mysql", "MongoDB", "redis-cache", "rma-memcached-worker",
        "postgresql.main"};
    static const char *const open[] = {"rag", "vllm", "upload", "edge-proxy", "redistribute", "mine", "my-redis", "dbt", "x"};
    for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
        if (!catalogue_passing(str_from(closed[i]))->closed)
            fail_msg("%s is open", closed[i]);
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
        if (catalogue_passing(str_from(open[i]))->closed)
            fail_msg("%s is closed", open[i]);
    assert_int_equal(catalogue_passing(STR("vllm"))->head_timeout_s, 600);
    assert_int_equal(catalogue_passing(STR("mine"))->head_timeout_s, 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_find_container),
        cmocka_unit_test(test_services),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_container),
        cmocka_unit_test(test_other_services),
        cmocka_unit_test(test_data_stores_are_closed),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_configs),
    };
    return cmocka_run_group_tests(tests, use_built_in_catalogue, NULL);
}
