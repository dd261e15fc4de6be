#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "model/id.h"
#include "model/registration.h"
#include "unit/quoted.h"

#include <stdio.h>
#include <stdlib.h>

static enum err parse_body(struct str body, struct registration *out, struct faults *faults)
{
    const char *why = NULL;
    enum err err = registration_parse(body, out, faults, &why);
    assert_true((err == ERR_BAD_REQUEST) == (why != NULL));
    assert_true((err == ERR_INVALID) == (faults->count > 0));
    return err;
}

/* The registration must not need the body any more, so that it is gone before anybody looks. */
static struct registration parse(const char *text)
{
    struct str body = quote(text);
    struct registration out;
    struct faults faults = FAULTS_INIT;
    enum err err = parse_body(body, &out, &faults);
    if (err == ERR_INVALID)
        fail_msg("%s: %s %s", text, faults.items[0].field, faults.items[0].message);
    assert_int_equal(err, ERR_NONE);
    free((char *)body.ptr);
    return out;
}

static void expect_faults(struct str body, size_t count, const char *const fields[], const char *const messages[])
{
    struct registration out;
    memset(&out, 0x5a, sizeof(out));
    struct registration untouched = out;
    struct faults faults = FAULTS_INIT;
    assert_int_equal(parse_body(body, &out, &faults), ERR_INVALID);
    assert_memory_equal(&out, &untouched, sizeof(out));
    if (faults.count != count)
        fail_msg("%zu faults instead of %zu in %.*s", faults.count, count, STR_PRINTF(body));
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(faults.items[i].field, fields[i]);
        assert_string_equal(faults.items[i].message, messages[i]);
    }
    faults_fini(&faults);
}

static void expect_fault(const char *text, const char *field, const char *message)
{
    struct str body = quote(text);
    expect_faults(body, 1, &field, &message);
    free((char *)body.ptr);
}

static const char docker[] = "{'capabilities': {'cpu_cores': 2, 'ram': '23.5GB', 'storage': '251.0GB'}}";
static const char docker_gpu[] =
    "{'capabilities': {'cpu_cores': 16, 'ram': '62.7GB', 'storage': '915.3GB', 'gpu_memory': '24564 MiB', "
    "'gpu_type': 'NVIDIA GeForce RTX 4090', 'gpu_driver': 'nvidia'}}";
static const char docker_amd[] = "{'capabilities': {'cpu_cores': 12, 'ram': '31.3GB', 'storage': '465.8GB', "
                                 "'gpu_memory': 'Unknown (AMD)', 'gpu_type': 'AMD GPU', 'gpu_driver': 'rocm'}}";
static const char container[] =
    "{\n  'capabilities': {\n    'cpu_cores': 8,\n    'ram': '15.6GB',\n    'storage': '466.0GB',\n    'containerized': true,\n"
    "    'worker_type': 'cpu',\n    'ip_address': '203.0.113.44'\n  },\n  'services': [\n    {'name': 'rag', "
    "'container': 'rag-service', 'port': 8102, 'health': 'healthy', 'version': 'unknown'}\n  ],\n"
    "  'ip_address': 'https://x1.trycloudflare.com',\n  'tunnel_url': 'https://x1.trycloudflare.com',\n"
    "  'wants_heartbeat_leadership': true\n}\n";
static const char container_alone[] =
    "{'capabilities': {'cpu_cores': 8, 'ram': '15.6GB', 'storage': '466.0GB', 'containerized': true, 'worker_type': 'cpu', "
    "'ip_address': null}, 'services': [], 'ip_address': null, 'tunnel_url': null, 'wants_heartbeat_leadership': false}";
static const char universal[] =
    "{'worker_id': 'worker-edge-local-worker-1733665200', 'tunnel_url': 'http://worker-edge-local-worker-1733665200:8000', "
    "'vpn_ip': null, 'capabilities': {'worker_type': 'cpu', 'cpu_cores': 8, 'cpu_model': 'AMD EPYC', 'ram': '15.6GB', "
    "'has_gpu': false, 'has_storage': false, 'has_public_ip': false}}";
static const char edge[] = "{'worker_id': 'edge-1', 'worker_type': 'edge', 'tunnel_url': 'https://e', 'services': "
                           "['coordinator', 'edge-proxy'], 'capabilities': {}, 'role': 'edge_coordinator', 'dht_port': 6881}";

static void test_docker_agents(void **state)
{
    (void)state;
    struct registration out = parse(docker);
    expect_text(out.worker_id, NULL);
    expect_text(out.instance_id, NULL);
    expect_text(out.boot_id, NULL);
    expect_text(out.where.ip_address, NULL);
    expect_text(out.where.tunnel_url, NULL);
    expect_text(out.where.vpn_ip, NULL);
    expect_text(out.services, NULL);
    expect_text(out.containers, NULL);
    expect_text(out.capabilities, "{'cpu_cores':2,'ram':'23.5GB','storage':'251.0GB'}");
    assert_int_equal(out.service_count, 0);
    assert_int_equal(out.tier, TIER_SERVICE);
    registration_fini(&out);
    registration_fini(&out); /* a second time does nothing */

    out = parse(docker_gpu);
    assert_int_equal(out.tier, TIER_GPU);
    expect_text(out.capabilities, "{'cpu_cores':16,'ram':'62.7GB','storage':'915.3GB','gpu_memory':'24564 MiB',"
                                  "'gpu_type':'NVIDIA GeForce RTX 4090','gpu_driver':'nvidia'}");
    registration_fini(&out);
    out = parse(docker_amd);
    assert_int_equal(out.tier, TIER_GPU);
    registration_fini(&out);
}

static void test_container_agents(void **state)
{
    (void)state;
    struct registration out = parse(container);
    expect_text(out.where.ip_address, "https://x1.trycloudflare.com");
    expect_text(out.where.tunnel_url, "https://x1.trycloudflare.com");
    expect_text(out.capabilities, "{'cpu_cores':8,'ram':'15.6GB','storage':'466.0GB','containerized':true,'worker_type':'cpu',"
                                  "'ip_address':'203.0.113.44'}");
    expect_text(out.services, "[{'name':'rag','container':'rag-service','port':8102,'health':'healthy','version':'unknown'}]");
    assert_int_equal(out.service_count, 1);
    expect_text(out.service_names[0], "rag");
    assert_int_equal(out.tier, TIER_SERVICE);
    registration_fini(&out);

    out = parse(container_alone);
    expect_text(out.where.ip_address, NULL);
    expect_text(out.where.tunnel_url, NULL);
    expect_text(out.services, "[]");
    expect_text(out.capabilities, "{'cpu_cores':8,'ram':'15.6GB','storage':'466.0GB','containerized':true,'worker_type':'cpu',"
                                  "'ip_address':null}");
    assert_int_equal(out.service_count, 0);
    registration_fini(&out);
}

static void test_universal_and_edge_agents(void **state)
{
    (void)state;
    struct registration out = parse(universal);
    expect_text(out.worker_id, "worker-edge-local-worker-1733665200");
    expect_text(out.where.tunnel_url, "http://worker-edge-local-worker-1733665200:8000");
    expect_text(out.where.vpn_ip, NULL);
    assert_int_equal(out.tier, TIER_SERVICE);
    registration_fini(&out);

    out = parse(edge);
    expect_text(out.worker_id, "edge-1");
    expect_text(out.capabilities, "{}");
    expect_text(out.services, "['coordinator','edge-proxy']");
    assert_int_equal(out.service_count, 2);
    expect_text(out.service_names[0], "coordinator");
    expect_text(out.service_names[1], "edge-proxy");
    registration_fini(&out);
}

static void test_everything_at_once(void **state)
{
    (void)state;
    struct registration out =
        parse("{'worker_id': 'w', 'instance_id': 'i', 'boot_id': 'b', 'ip_address': '::1', 'tunnel_url': 'u', "
              "'vpn_ip': '10.42.0.7', 'containers': [ { } , { 'a b' : [ 1 , 'x \\' y' ] } ], 'unknown': [{}], "
              "'services': ['a', {'name': 'b', 'port': 1}, 'a', {'name': 'a'}], "
              "'capabilities': {'ram': 'x' , 'own' : { 'k' : [ ] } }}");
    expect_text(out.worker_id, "w");
    expect_text(out.instance_id, "i");
    expect_text(out.boot_id, "b");
    expect_text(out.where.ip_address, "::1");
    expect_text(out.where.tunnel_url, "http://u");
    expect_text(out.where.vpn_ip, "10.42.0.7");
    expect_text(out.capabilities, "{'ram':'x','own':{'k':[]}}");
    expect_text(out.containers, "[{},{'a b':[1,'x \\' y']}]");
    expect_text(out.services, "['a',{'name':'b','port':1},'a',{'name':'a'}]");
    assert_int_equal(out.service_count, 2);
    expect_text(out.service_names[0], "a");
    expect_text(out.service_names[1], "b");
    registration_fini(&out);
}

static void test_null_is_absent(void **state)
{
    (void)state;
    struct registration out =
        parse("{'worker_id': null, 'instance_id': null, 'boot_id': null, 'ip_address': null, 'tunnel_url': null, "
              "'vpn_ip': null, 'services': null, 'containers': null, 'capabilities': {'worker_type': null, "
              "'cpu_cores': null, 'ram': null, 'storage': null, 'gpu_type': null, 'gpu_memory': null, "
              "'has_gpu': null, 'has_storage': null, 'has_edge': null, 'has_public_ip': null}}");
    expect_text(out.worker_id, NULL);
    expect_text(out.instance_id, NULL);
    expect_text(out.boot_id, NULL);
    expect_text(out.where.ip_address, NULL);
    expect_text(out.where.tunnel_url, NULL);
    expect_text(out.where.vpn_ip, NULL);
    expect_text(out.services, NULL);
    expect_text(out.containers, NULL);
    assert_int_equal(out.tier, TIER_SERVICE);
    registration_fini(&out);
    expect_fault("{'capabilities': null}", "capabilities", "is required");
}

static void test_empty_urls_are_absent(void **state)
{
    (void)state;
    struct registration out = parse("{'capabilities': {}, 'ip_address': '', 'tunnel_url': '', 'vpn_ip': ''}");
    expect_text(out.where.ip_address, NULL);
    expect_text(out.where.tunnel_url, NULL);
    expect_text(out.where.vpn_ip, NULL);
    registration_fini(&out);
}

static void test_words_for_nothing_are_absent(void **state)
{
    (void)state;
    static const char *const words[] = {"None", "null", "N/A", "", " ", "\\t", "NONE", "[n/a]", "undefined"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct buffer text = BUFFER_INIT;
        buffer_append(&text, STR("{'capabilities': {}"));
        static const char *const names[] = {"worker_id", "instance_id", "boot_id", "ip_address", "tunnel_url", "vpn_ip"};
        for (size_t name = 0; name < sizeof(names) / sizeof(names[0]); name++)
            buffer_printf(&text, ", '%s': '%s'", names[name], words[i]);
        buffer_printf(&text, "}%c", 0);
        struct registration out = parse(text.ptr);
        const struct str found[] = {out.worker_id,        out.instance_id,      out.boot_id,
                                    out.where.ip_address, out.where.tunnel_url, out.where.vpn_ip};
        for (size_t name = 0; name < sizeof(names) / sizeof(names[0]); name++)
            expect_text(found[name], NULL);
        assert_int_equal(out.ignored.count, 0);
        registration_fini(&out);
        buffer_fini(&text);
    }
}

static void test_addresses(void **state)
{
    (void)state;
    static const char remote[] = "198.51.100.7", local[] = "127.0.0.1";
    static const struct {
        const char *told, *caller;
        const char *ip_address, *tunnel_url, *vpn_ip;
        int port;
        const char *ignored; /* the field; NULL: nothing */
    } cases[] = {
        {"", remote, remote, NULL, NULL, 0, NULL},
        {"'ip_address': '192.168.1.5:8000'", remote, "192.168.1.5", NULL, NULL, 8000, NULL},
        {"'ip_address': '192.168.1.5 172.17.0.1 '", remote, "192.168.1.5", NULL, NULL, 0, "ip_address"},
        {"'ip_address': '192.168.1.5\\n172.17.0.1\\n'", remote, "192.168.1.5", NULL, NULL, 0, "ip_address"},
        {"'ip_address': '0.0.0.0'", remote, remote, NULL, NULL, 0, "ip_address"},
        {"'ip_address': '::'", remote, remote, NULL, NULL, 0, "ip_address"},
        {"'ip_address': '0.0.0.0:8000'", remote, remote, NULL, NULL, 8000, "ip_address"},
        {"'ip_address': '1.2.3'", remote, remote, NULL, NULL, 0, "ip_address"},
        {"'ip_address': 'localhost'", remote, remote, NULL, NULL, 0, "ip_address"},
        {"'ip_address': '127.0.0.1:8000'", remote, remote, NULL, NULL, 8000, "ip_address"},
        {"'ip_address': 'localhost'", local, "localhost", NULL, NULL, 0, NULL},
        {"'ip_address': '[2001:DB8::1]:80'", remote, "2001:db8::1", NULL, NULL, 80, NULL},
        {"'ip_address': 'HTTPS://X.example/'", remote, "https://x.example", NULL, NULL, 0, NULL},
        {"'vpn_ip': '10.42.0.7/24', 'ip_address': '10.0.0.1'", remote, "10.0.0.1", NULL, "10.42.0.7", 0, NULL},
        {"'vpn_ip': '127.0.0.1'", remote, remote, NULL, NULL, 0, "vpn_ip"},
        {"'tunnel_url': 'ABC.trycloudflare.com/'", remote, remote, "https://abc.trycloudflare.com", NULL, 0, NULL},
        {"'tunnel_url': 'https://a:b@x.example'", remote, remote, "https://x.example", NULL, 0, "tunnel_url"},
        {"'tunnel_url': 'javascript:alert(1)'", remote, remote, NULL, NULL, 0, "tunnel_url"},
        {"'tunnel_url': 'ftp://x.example'", remote, remote, NULL, NULL, 0, "tunnel_url"},
        {"'tunnel_url': 'https://a b'", remote, remote, NULL, NULL, 0, "tunnel_url"},
        {"'tunnel_url': 'http://0.0.0.0:8000'", remote, remote, NULL, NULL, 0, "tunnel_url"},
        {"'tunnel_url': 'http://localhost:8000'", remote, remote, NULL, NULL, 0, "tunnel_url"},
        {"'tunnel_url': 'http://localhost:8000'", local, local, "http://localhost:8000", NULL, 0, NULL},
        {"'services': [{'name': 'a', 'port': '8000'}]", remote, remote, NULL, NULL, 0, NULL},
        {"'services': ['a', {'name': 'a', 'port': 70000}]", remote, remote, NULL, NULL, 0, "services[1].port"},
        {"'containers': [{'name': 'a', 'service_url': 'x y'}]", remote, remote, NULL, NULL, 0, "containers[0].service_url"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer text = BUFFER_INIT;
        buffer_printf(&text, "{'capabilities': {}%s%s}%c", cases[i].told[0] != '\0' ? ", " : "", cases[i].told, 0);
        struct registration out = parse(text.ptr);
        whereabouts_settle(&out.where, str_from(cases[i].caller), &out.ignored);
        expect_text(out.where.ip_address, cases[i].ip_address);
        expect_text(out.where.tunnel_url, cases[i].tunnel_url);
        expect_text(out.where.vpn_ip, cases[i].vpn_ip);
        assert_int_equal(out.where.port, cases[i].port);
        assert_int_equal(out.where.is_taken, out.where.ip_address.ptr == cases[i].caller);
        assert_int_equal(out.ignored.count, cases[i].ignored != NULL);
        if (cases[i].ignored != NULL)
            assert_string_equal(out.ignored.items[0].field, cases[i].ignored);
        registration_fini(&out);
        buffer_fini(&text);
    }
}

static void test_tiers(void **state)
{
    (void)state;
    static const struct {
        const char *capabilities;
        enum tier tier;
    } cases[] = {
        {"{}", TIER_SERVICE},
        {"{'worker_type': 'gpu'}", TIER_GPU},
        {"{'worker_type': 'cpu', 'has_gpu': true}", TIER_SERVICE},
        {"{'worker_type': 'storage'}", TIER_DATA},
        {"{'worker_type': 'edge'}", TIER_EDGE},
        {"{'has_gpu': true}", TIER_GPU},
        {"{'has_storage': true}", TIER_DATA},
        {"{'has_edge': true}", TIER_EDGE},
        {"{'has_public_ip': true}", TIER_EDGE},
        {"{'has_edge': false, 'has_public_ip': true}", TIER_EDGE},
        {"{'has_gpu': false, 'gpu_type': 'RTX', 'gpu_memory': '24GB'}", TIER_SERVICE},
        {"{'gpu_type': 'RTX', 'gpu_memory': 24}", TIER_GPU},
        {"{'gpu_type': 'RTX', 'gpu_memory': 8}", TIER_GPU},
        {"{'gpu_type': 'RTX', 'gpu_memory': 7.99}", TIER_GPU},
        {"{'gpu_type': 'RTX', 'gpu_memory': 7.35}", TIER_SERVICE},
        {"{'gpu_type': 'RTX', 'gpu_memory': 2048}", TIER_SERVICE},
        {"{'gpu_type': 'RTX', 'gpu_memory': '2048'}", TIER_SERVICE},
        {"{'gpu_type': 'RTX', 'gpu_memory': 24564}", TIER_GPU},
        {"{'gpu_type': 'RTX', 'gpu_memory': 4294967296}", TIER_SERVICE},
        {"{'gpu_type': 'RTX', 'gpu_memory': 25757220864}", TIER_GPU},
        {"{'gpu_type': 'RTX', 'gpu_memory': '0'}", TIER_SERVICE},
        {"{'gpu_type': 'RTX', 'gpu_memory': '[N/A]'}", TIER_GPU},
        {"{'gpu_type': '[N/A]', 'gpu_memory': '24GB'}", TIER_SERVICE},
        {"{'gpu_type': 'N/A', 'has_gpu': true}", TIER_GPU},
        {"{'gpu_type': 'N/A', 'worker_type': 'gpu'}", TIER_GPU},
        {"{'gpu_type': 'GT\\nGT', 'gpu_memory': '2048 MiB\\n2048 MiB'}", TIER_SERVICE},
        {"{'cpu_cores': 8, 'ram': 3.8}", TIER_SERVICE},
        {"{'cpu_cores': 8, 'ram': 2048}", TIER_DATA},
        {"{'cpu_cores': 8, 'ram': 16777216000}", TIER_SERVICE},
        {"{'cpu_cores': 8, 'ram': '512Mi'}", TIER_DATA},
        {"{'cpu_cores': 8, 'ram': '3,6 GB'}", TIER_DATA},
        {"{'gpu_type': 'RTX', 'gpu_memory': 1e308}", TIER_GPU},
        {"{'cpu_cores': 8, 'ram': 3.5}", TIER_DATA},
        {"{'cpu_cores': 8, 'ram': 4}", TIER_SERVICE},
        {"{'cpu_cores': 8, 'ram': 0}", TIER_DATA},
        {"{'cpu_cores': 8, 'ram': 'Unknown'}", TIER_SERVICE},
        {"{'cpu_cores': 8, 'ram': ''}", TIER_SERVICE},
        {"{'cpu_cores': 8, 'ram': '2GB'}", TIER_DATA},
        {"{'cpu_cores': 1}", TIER_DATA},
        {"{'cpu_cores': 0}", TIER_DATA},
        {"{'cpu_cores': 2.5}", TIER_SERVICE},
        {"{'cpu_cores': 1000000}", TIER_SERVICE},
        {"{'storage': 12, 'cpu_cores': 8}", TIER_SERVICE},
        {"{'Worker_Type': 'edge', 'HAS_GPU': 7}", TIER_SERVICE},
        {"{'worker_type': 'gpu', 'worker_type': 'edge'}", TIER_GPU},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer text = BUFFER_INIT;
        buffer_printf(&text, "{'capabilities': %s}%c", cases[i].capabilities, 0);
        struct registration out = parse(text.ptr);
        if (out.tier != cases[i].tier)
            fail_msg("%s: tier %d instead of %d", cases[i].capabilities, out.tier, cases[i].tier);
        registration_fini(&out);
        buffer_fini(&text);
    }
}

static void test_wrong_types(void **state)
{
    (void)state;
    static const char number_or_size[] = "must be a string like \"15.6GB\", or a number of gigabytes";
    static const struct {
        const char *text;
        const char *field;
        const char *message;
    } cases[] = {
        {"{}", "capabilities", "is required"},
        {"{'Capabilities': {}}", "capabilities", "is required"},
        {"{'capabilities': []}", "capabilities", "must be an object"},
        {"{'capabilities': 'x'}", "capabilities", "must be an object"},
        {"{'capabilities': true}", "capabilities", "must be an object"},
        {"{'capabilities': 1}", "capabilities", "must be an object"},
        {"{'capabilities': {'cpu_cores': '8'}}", "capabilities.cpu_cores", "must be a number"},
        {"{'capabilities': {'cpu_cores': true}}", "capabilities.cpu_cores", "must be a number"},
        {"{'capabilities': {'cpu_cores': []}}", "capabilities.cpu_cores", "must be a number"},
        {"{'capabilities': {'cpu_cores': -1}}", "capabilities.cpu_cores", "must be from 0 to 1000000"},
        {"{'capabilities': {'cpu_cores': 1000001}}", "capabilities.cpu_cores", "must be from 0 to 1000000"},
        {"{'capabilities': {'ram': -1}}", "capabilities.ram", "must be 0 or more"},
        {"{'capabilities': {'ram': true}}", "capabilities.ram", number_or_size},
        {"{'capabilities': {'ram': {}}}", "capabilities.ram", number_or_size},
        {"{'capabilities': {'storage': []}}", "capabilities.storage", number_or_size},
        {"{'capabilities': {'storage': -0.1}}", "capabilities.storage", "must be 0 or more"},
        {"{'capabilities': {'gpu_memory': false}}", "capabilities.gpu_memory", number_or_size},
        {"{'capabilities': {'gpu_memory': -8}}", "capabilities.gpu_memory", "must be 0 or more"},
        {"{'capabilities': {'gpu_type': 1}}", "capabilities.gpu_type", "must be a string"},
        {"{'capabilities': {'gpu_type': ['RTX']}}", "capabilities.gpu_type", "must be a string"},
        {"{'capabilities': {'worker_type': 1}}", "capabilities.worker_type", "must be a string"},
        {"{'capabilities': {'worker_type': 'tpu'}}", "capabilities.worker_type", "must be cpu, gpu, storage or edge"},
        {"{'capabilities': {'worker_type': 'GPU'}}", "capabilities.worker_type", "must be cpu, gpu, storage or edge"},
        {"{'capabilities': {'worker_type': ''}}", "capabilities.worker_type", "must be cpu, gpu, storage or edge"},
        {"{'capabilities': {'has_gpu': 1}}", "capabilities.has_gpu", "must be true or false"},
        {"{'capabilities': {'has_gpu': 'true'}}", "capabilities.has_gpu", "must be true or false"},
        {"{'capabilities': {'has_storage': 0}}", "capabilities.has_storage", "must be true or false"},
        {"{'capabilities': {'has_edge': {}}}", "capabilities.has_edge", "must be true or false"},
        {"{'capabilities': {'has_public_ip': 'no'}}", "capabilities.has_public_ip", "must be true or false"},
        {"{'capabilities': {}, 'worker_id': 7}", "worker_id", "must be a string"},
        {"{'capabilities': {}, 'instance_id': {}}", "instance_id", "must be a string"},
        {"{'capabilities': {}, 'boot_id': false}", "boot_id", "must be a string"},
        {"{'capabilities': {}, 'worker_id': 'a b'}", "worker_id", ID_RULE},
        {"{'capabilities': {}, 'worker_id': '{rma}'}", "worker_id", ID_RULE},
        {"{'capabilities': {}, 'worker_id': 'a\\nb'}", "worker_id", ID_RULE},
        {"{'capabilities': {}, 'instance_id': 'a/b'}", "instance_id", ID_RULE},
        {"{'capabilities': {}, 'boot_id': 'a*'}", "boot_id", ID_RULE},
        {"{'capabilities': {}, 'ip_address': 1}", "ip_address", "must be a string"},
        {"{'capabilities': {}, 'tunnel_url': []}", "tunnel_url", "must be a string"},
        {"{'capabilities': {}, 'vpn_ip': true}", "vpn_ip", "must be a string"},
        {"{'capabilities': {}, 'ip_address': 'a\\nb'}", "ip_address", "must have no control characters"},
        {"{'capabilities': {}, 'tunnel_url': 'a\\u007f'}", "tunnel_url", "must have no control characters"},
        {"{'capabilities': {}, 'vpn_ip': 'a\\tb'}", "vpn_ip", "must have no control characters"},
        {"{'capabilities': {}, 'services': {}}", "services", "must be an array"},
        {"{'capabilities': {}, 'services': 'rag'}", "services", "must be an array"},
        {"{'capabilities': {}, 'services': ['rag', 7]}", "services[1]", "must be a name, or an object with a name"},
        {"{'capabilities': {}, 'services': [null]}", "services[0]", "must be a name, or an object with a name"},
        {"{'capabilities': {}, 'services': [[]]}", "services[0]", "must be a name, or an object with a name"},
        {"{'capabilities': {}, 'services': ['a', 'b', {}]}", "services[2].name", "is required"},
        {"{'capabilities': {}, 'services': [{'name': null}]}", "services[0].name", "is required"},
        {"{'capabilities': {}, 'services': [{'name': 8}]}", "services[0].name", "must be a string"},
        {"{'capabilities': {}, 'services': [{'name': ''}]}", "services[0].name", ID_RULE},
        {"{'capabilities': {}, 'services': ['a', {'name': 'b c'}]}", "services[1].name", ID_RULE},
        {"{'capabilities': {}, 'services': ['']}", "services[0]", ID_RULE},
        {"{'capabilities': {}, 'services': ['{x}']}", "services[0]", ID_RULE},
        {"{'capabilities': {}, 'containers': {}}", "containers", "must be an array"},
        {"{'capabilities': {}, 'containers': [{}, 'x']}", "containers[1]", "must be an object"},
        {"{'capabilities': {}, 'containers': [null]}", "containers[0]", "must be an object"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_fault(cases[i].text, cases[i].field, cases[i].message);
}

static void test_all_faults_at_once(void **state)
{
    (void)state;
    const char *fields[] = {"worker_id",        "tunnel_url",       "capabilities.cpu_cores",
                            "capabilities.ram", "services[1].name", "containers[0]"};
    const char *messages[] = {
        ID_RULE,       "must be a string", "must be a number", "must be a string like \"15.6GB\", or a number of gigabytes",
        "is required", "must be an object"};
    struct str body = quote("{'worker_id': 'a b', 'tunnel_url': 1, 'capabilities': {'cpu_cores': '8', 'ram': []}, "
                            "'services': ['ok', {}], 'containers': [1]}");
    expect_faults(body, 6, fields, messages);
    free((char *)body.ptr);
}

/* `before`, `count` times `filler`, `after`. */
static struct str fill(const char *before, const char *filler, size_t count, const char *after)
{
    struct buffer out = BUFFER_INIT;
    struct str quoted = quote(before);
    buffer_append(&out, quoted);
    free((char *)quoted.ptr);
    quoted = quote(filler);
    for (size_t i = 0; i < count; i++)
        buffer_append(&out, quoted);
    free((char *)quoted.ptr);
    quoted = quote(after);
    buffer_append(&out, quoted);
    free((char *)quoted.ptr);
    return buffer_str(&out);
}

static void test_many_faults(void **state)
{
    (void)state;
    for (size_t count = 1; count <= FAULTS_MAX + 300; count++) {
        struct registration out;
        struct faults faults = FAULTS_INIT;
        struct str body = fill("{'capabilities': {}, 'containers': [1", ",1", count - 1, "]}");
        char last[48];
        assert_int_equal(parse_body(body, &out, &faults), ERR_INVALID);
        assert_int_equal(faults.count, count <= FAULTS_MAX ? count : FAULTS_MAX + 1);
        size_t named = count <= FAULTS_MAX ? count : FAULTS_MAX;
        snprintf(last, sizeof(last), "containers[%zu]", named - 1);
        assert_string_equal(faults.items[named - 1].field, last);
        assert_string_equal(faults.items[named - 1].message, "must be an object");
        if (count > FAULTS_MAX) {
            snprintf(last, sizeof(last), "and %zu more", count - FAULTS_MAX);
            assert_string_equal(faults.items[FAULTS_MAX].field, "...");
            assert_string_equal(faults.items[FAULTS_MAX].message, last);
        }
        faults_fini(&faults);
        free((char *)body.ptr);
    }
}

static void expect_limit(const char *before, const char *filler, size_t most, const char *after, const char *field,
                         const char *message)
{
    struct registration out;
    struct faults faults = FAULTS_INIT;
    struct str body = fill(before, filler, most, after);
    if (parse_body(body, &out, &faults) != ERR_NONE)
        fail_msg("%zu times %s: %s %s", most, filler, faults.items[0].field, faults.items[0].message);
    registration_fini(&out);
    free((char *)body.ptr);
    body = fill(before, filler, most + 1, after);
    expect_faults(body, 1, &field, &message);
    free((char *)body.ptr);
}

static void test_limits(void **state)
{
    (void)state;
    expect_limit("{'capabilities': {}, 'worker_id': '", "x", ID_MAX, "'}", "worker_id", ID_RULE);
    expect_limit("{'capabilities': {}, 'instance_id': '", "x", ID_MAX, "'}", "instance_id", ID_RULE);
    expect_limit("{'capabilities': {}, 'boot_id': '", "x", ID_MAX, "'}", "boot_id", ID_RULE);
    expect_limit("{'capabilities': {}, 'ip_address': '", "x", WHEREABOUTS_MAX, "'}", "ip_address",
                 "must be at most 2048 bytes long");
    expect_limit("{'capabilities': {}, 'tunnel_url': '", "x", WHEREABOUTS_MAX, "'}", "tunnel_url",
                 "must be at most 2048 bytes long");
    expect_limit("{'capabilities': {}, 'vpn_ip': '", "x", WHEREABOUTS_MAX, "'}", "vpn_ip", "must be at most 2048 bytes long");
    expect_limit("{'capabilities': {'ram': '", "x", REGISTRATION_CAPABILITIES_MAX - 10, "'}}", "capabilities",
                 "must be at most 16384 bytes of JSON");
    expect_limit("{'capabilities': {}, 'services': ['a'", ",'b'", REGISTRATION_SERVICES_MAX - 1, "]}", "services",
                 "must have at most 128 entries");
    expect_limit("{'capabilities': {}, 'services': [{'name':'a','b':'", "x", REGISTRATION_SERVICES_TEXT_MAX - 21, "'}]}",
                 "services", "must be at most 16384 bytes of JSON");
    expect_limit("{'capabilities': {}, 'containers': [{'a':'", "x", REGISTRATION_SERVICES_TEXT_MAX - 10, "'}]}", "containers",
                 "must be at most 16384 bytes of JSON");
    expect_limit("{'capabilities': {}, 'services': ['", "x", ID_MAX, "']}", "services[0]", ID_RULE);
    expect_limit("{'capabilities': {}, 'services': [{'name': '", "x", ID_MAX, "'}]}", "services[0].name", ID_RULE);
}

static void test_white_space_does_not_count(void **state)
{
    (void)state;
    struct registration out;
    struct faults faults = FAULTS_INIT;
    struct str body = fill("{'capabilities': {", " \n\t\r", REGISTRATION_CAPABILITIES_MAX, "}}");
    assert_int_equal(parse_body(body, &out, &faults), ERR_NONE);
    expect_text(out.capabilities, "{}");
    registration_fini(&out);
    free((char *)body.ptr);
}

static void test_distinct_service_names_up_to_the_limit(void **state)
{
    (void)state;
    struct buffer text = BUFFER_INIT;
    buffer_append(&text, STR("{'capabilities': {}, 'services': ["));
    for (int i = 0; i < REGISTRATION_SERVICES_MAX; i++)
        buffer_printf(&text, "%s'service-%d'", i > 0 ? "," : "", i);
    buffer_printf(&text, "]}%c", 0);
    struct registration out = parse(text.ptr);
    assert_int_equal(out.service_count, REGISTRATION_SERVICES_MAX);
    expect_text(out.service_names[REGISTRATION_SERVICES_MAX - 1], "service-127");
    registration_fini(&out);
    buffer_fini(&text);
}

/* The tree and the kept text must speak of the same member. */
static void test_first_of_duplicates(void **state)
{
    (void)state;
    struct registration out = parse("{'capabilit\\u0069es': {'worker_type': 'gpu'}, 'capabilities': {'worker_type': 'edge'}, "
                                    "'services': ['a'], 'services': ['b'], 'containers': null, 'containers': [{}]}");
    assert_int_equal(out.tier, TIER_GPU);
    expect_text(out.capabilities, "{'worker_type':'gpu'}");
    expect_text(out.services, "['a']");
    expect_text(out.containers, NULL);
    assert_int_equal(out.service_count, 1);
    expect_text(out.service_names[0], "a");
    registration_fini(&out);
}

static void test_malformed(void **state)
{
    (void)state;
    const char *bad[] = {"",
                         "[]",
                         "nope",
                         "{'capabilities': {}",
                         "{'capabilities': {}}}",
                         "{'capabilities': {'cpu_cores': NaNs}}",
                         "{'capabilities': {'cpu_cores': 1e999}}",
                         "{'capabilities': {'ram': '\\u0000'}}",
                         "{'capabilities': {'ram': '\\ud800'}}",
                         "{'capabilities': {'ram': '\xFF'}}",
                         "{'capabilities': {'a': [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct str body = quote(bad[i]);
        struct registration out;
        struct faults faults = FAULTS_INIT;
        if (parse_body(body, &out, &faults) != ERR_BAD_REQUEST)
            fail_msg("accepted: %s", bad[i]);
        free((char *)body.ptr);
    }
}

static void test_containers_are_services(void **state)
{
    (void)state;
    struct registration out =
        parse("{'capabilities':{},'services':['a',{'name':'b','health':'down'}],'containers':[{'name':'c','healthy':false},{},"
              "{'name':'b','status':'up'},{'name':5},{'name':'d e'},{'name':'f','health':'ok'}]}");
    assert_int_equal(out.service_count, 4);
    expect_text(out.service_names[2], "c");
    expect_text(out.service_names[3], "f");
    struct buffer told = BUFFER_INIT;
    registration_write_health(&told, &out);
    assert_true(str_eq(buffer_str(&told), STR("b,!c,f")));
    buffer_fini(&told);
    registration_fini(&out);
}

static void test_edge_nodes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *tunnel_url, *location;
        int dht_port;
    } cases[] = {
        {"{'url':'https://u.example','location':'home'}", "https://u.example", "home", 0},
        {"{'url':'https://u.example','tunnel_url':'https://t.example','dht_port':8468}", "https://t.example", NULL, 8468},
        {"{'worker_id':'e','capabilities':{'location':'there'},'dht_port':'x','location':7}", NULL, "there", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct registration out;
        struct faults faults = FAULTS_INIT;
        const char *why;
        struct str body = quote(cases[i].text);
        assert_int_equal(registration_parse_edge(body, &out, &faults, &why), ERR_NONE);
        assert_int_equal(out.tier, TIER_EDGE);
        assert_true(str_eq(out.where.tunnel_url, str_from(cases[i].tunnel_url)));
        assert_true(str_eq(out.location, str_from(cases[i].location)));
        assert_int_equal(out.dht_port, cases[i].dht_port);
        assert_true(out.capabilities.len >= 2);
        registration_fini(&out);
        free((char *)(uintptr_t)body.ptr);
    }
    struct registration out;
    struct faults faults = FAULTS_INIT;
    const char *why;
    assert_int_equal(registration_parse_edge(STR("{}"), &out, &faults, &why), ERR_INVALID);
    faults_fini(&faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_docker_agents),
        cmocka_unit_test(test_container_agents),
        cmocka_unit_test(test_universal_and_edge_agents),
        cmocka_unit_test(test_everything_at_once),
        cmocka_unit_test(test_null_is_absent),
        cmocka_unit_test(test_empty_urls_are_absent),
        cmocka_unit_test(test_words_for_nothing_are_absent),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_tiers),
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_all_faults_at_once),
        cmocka_unit_test(test_many_faults),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_white_space_does_not_count),
        cmocka_unit_test(test_distinct_service_names_up_to_the_limit),
        cmocka_unit_test(test_first_of_duplicates),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_containers_are_services),
        cmocka_unit_test(test_edge_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
