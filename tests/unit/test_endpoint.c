#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/catalogue.h"
#include "model/endpoint.h"
#include "model/json.h"

#define IP "203.0.113.9"

/* The JSON texts here have ' for ", for the reader's sake. */
static char *quote(char *text)
{
    for (char *at = text; *at != '\0'; at++)
        *at = *at == '\'' ? '"' : *at;
    return text;
}

static void test_where_a_service_is_reached(void **state)
{
    (void)state;
    static const struct catalogue_service rag = {.name = {"rag", 3}, .tier = TIER_SERVICE, .port = 8102};
    catalogue_use(&rag, 1);
    static struct {
        char services[160];
        const char *ip, *port, *tunnel, *vpn, *service;
        const char *urls; /* with blanks between */
    } cases[] = {
        {"[{'name':'ocr','port':9,'service_url':'https://S.example/x/'}]", IP, NULL, "https://t.example", NULL, "ocr",
         "https://s.example/x"},
        {"[{'name':'ocr','port':9}]", IP, NULL, "https://t.example", NULL, "ocr", "https://t.example"},
        {"[{'name':'ocr','port':9}]", IP, NULL, NULL, "10.42.0.7", "ocr", "http://10.42.0.7:9"},
        {"[{'name':'ocr','port':'8000'}]", IP, NULL, NULL, NULL, "ocr", "http://" IP ":8000"},
        {"[{'name':'ocr','port':70000}]", IP, NULL, NULL, NULL, "ocr", "http://" IP},
        {"['ocr']", IP, NULL, NULL, NULL, "ocr", "http://" IP},
        {"['ocr']", IP, "8000", NULL, NULL, "ocr", "http://" IP ":8000"},
        {"[{'name':'ocr','port':9}]", IP, "8000", NULL, NULL, "ocr", "http://" IP ":9"},
        {"[{'name':'ocr','port':9}]", "2001:db8::1", NULL, NULL, NULL, "ocr", "http://[2001:db8::1]:9"},
        {"[{'name':'ocr','port':9}]", "https://u.example", NULL, NULL, NULL, "ocr", "https://u.example"},
        {"[]", IP, NULL, NULL, NULL, "rag", "http://" IP ":8102"},
        {"", NULL, NULL, NULL, NULL, "rag", ""},
        {"[{'name':'ocr','port':9001},{'name':'ocr','port':9002}]", IP, NULL, NULL, NULL, "ocr",
         "http://" IP ":9001 http://" IP ":9002"},
        {"[{'name':'ocr','port':9001},{'name':'ocr','service_url':'https://b.example'}]", IP, NULL, NULL, NULL, "ocr",
         "http://" IP ":9001 https://b.example"},
        {"['ocr','ocr',{'name':'other','port':9}]", IP, NULL, NULL, NULL, "ocr", "http://" IP},
        {"[{'name':'ocr','service_url':'http://localhost:8104/v1'}]", IP, NULL, NULL, NULL, "ocr", "http://" IP ":8104/v1"},
        {"[{'name':'ocr','service_url':'http://0.0.0.0:8104'}]", IP, NULL, NULL, NULL, "ocr", "http://" IP ":8104"},
        {"[{'name':'ocr','service_url':'http://127.0.0.1:8104'}]", "127.0.0.1", NULL, NULL, NULL, "ocr", "http://127.0.0.1:8104"},
        {"[{'name':'ocr','service_url':'http://localhost:8104'}]", IP, NULL, "https://t.example", NULL, "ocr", "https://t.example"},
        {"[{'name':'ocr','service_url':'http://localhost:8104'}]", "127.0.0.1", NULL, "http://127.0.0.1:9", NULL, "ocr",
         "http://localhost:8104"},
        {"[{'name':'ocr','service_url':'http://localhost:8104'}]", IP, NULL, "http://127.0.0.1:9", NULL, "ocr",
         "http://localhost:8104"},
        {"[{'name':'ocr','service_url':'http://0.0.0.0:8104'}]", "127.0.0.1", NULL, "http://127.0.0.1:9", NULL, "ocr",
         "http://127.0.0.1:9"},
        {"[{'name':'ocr','service_url':'None','port':7}]", IP, NULL, NULL, NULL, "ocr", "http://" IP ":7"},
        {"[{'name':'ocr','service_url':'javascript:x','port':7}]", IP, NULL, NULL, NULL, "ocr", "http://" IP ":7"},
        {"[{'name':'db','service_url':'postgres://db.example:5432'}]", IP, NULL, NULL, NULL, "db", "postgres://db.example:5432"},
        /* stored by an older coordinator, as they were told */
        {"['ocr']", "192.168.1.5:8000", NULL, "None", NULL, "ocr", "http://192.168.1.5:8000"},
        {"['ocr']", IP, NULL, "abc.trycloudflare.com/", NULL, "ocr", "https://abc.trycloudflare.com"},
        {"['ocr']", "N/A", NULL, NULL, NULL, "ocr", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct worker worker = {.id = STR("w")};
        struct endpoints endpoints;
        struct buffer urls = BUFFER_INIT;
        worker.fields[WORKER_services] = str_from(quote(cases[i].services));
        worker.fields[WORKER_ip_address] = str_from(cases[i].ip);
        worker.fields[WORKER_port] = str_from(cases[i].port);
        worker.fields[WORKER_tunnel_url] = str_from(cases[i].tunnel);
        worker.fields[WORKER_vpn_ip] = str_from(cases[i].vpn);
        endpoints_find(&endpoints, &worker, str_from(cases[i].service));
        for (size_t at = 0; at < endpoints.count; at++) {
            buffer_append(&urls, at > 0 ? STR(" ") : STR(""));
            buffer_append(&urls, endpoints_at(&endpoints, at));
        }
        if (!str_eq(buffer_str(&urls), str_from(cases[i].urls)))
            fail_msg("%zu %s: %.*s", i, cases[i].services, STR_PRINTF(buffer_str(&urls)));
        assert_null(endpoints_at(&endpoints, endpoints.count).ptr);
        endpoints_fini(&endpoints);
        buffer_fini(&urls);
    }
}

static void test_no_more_than_there_is_room_for(void **state)
{
    (void)state;
    struct buffer json = BUFFER_INIT;
    for (int i = 0; i < 2 * ENDPOINTS_MAX; i++)
        buffer_printf(&json, "%s{\"name\":\"ocr\",\"port\":%d}", i > 0 ? "," : "[", 8000 + i);
    buffer_append(&json, STR("]"));
    struct worker worker = {.id = STR("w")};
    worker.fields[WORKER_services] = buffer_str(&json);
    worker.fields[WORKER_ip_address] = STR(IP);
    struct endpoints endpoints;
    endpoints_find(&endpoints, &worker, STR("ocr"));
    assert_int_equal(endpoints.count, ENDPOINTS_MAX);
    endpoints_fini(&endpoints);
    buffer_fini(&json);
}

static void test_what_is_ignored(void **state)
{
    (void)state;
    static struct {
        char item[100];
        const char *field; /* NULL: nothing */
    } cases[] = {
        {"{'port':8000,'service_url':'https://x.example'}", NULL},
        {"{'port':'8000','service_url':'None'}", NULL},
        {"{'port':null,'service_url':null}", NULL},
        {"{'port':'N/A','service_url':''}", NULL},
        {"{'port':70000}", "services[3].port"},
        {"{'port':'http'}", "services[3].port"},
        {"{'port':[]}", "services[3].port"},
        {"{'service_url':'javascript:alert(1)'}", "services[3].service_url"},
        {"{'service_url':'file://x/etc/passwd'}", "services[3].service_url"},
        {"{'service_url':7}", "services[3].service_url"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cJSON *item = NULL;
        const char *why;
        struct faults ignored = FAULTS_INIT;
        assert_int_equal(json_parse_object(str_from(quote(cases[i].item)), &item, &why), ERR_NONE);
        endpoint_check(item, "services[3]", &ignored);
        assert_int_equal(ignored.count, cases[i].field != NULL);
        if (cases[i].field != NULL)
            assert_string_equal(ignored.items[0].field, cases[i].field);
        faults_fini(&ignored);
        cJSON_Delete(item);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_a_service_is_reached),
        cmocka_unit_test(test_no_more_than_there_is_room_for),
        cmocka_unit_test(test_what_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
