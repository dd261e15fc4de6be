/*
 * What a registration holds must be fit for Redis keys, and the row of the worker that it makes must be JSON.
 */
#include "model/address.h"
#include "model/endpoint.h"
#include "model/id.h"
#include "model/json.h"
#include "model/registration.h"
#include "model/worker.h"
#include "must.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_id(struct str id)
{
    must(id.ptr == NULL || id_is_valid(id));
}

static void check_url(struct str url)
{
    must(url.ptr == NULL || (url.len > 0 && url.len <= WHEREABOUTS_MAX + 16));
    for (size_t i = 0; i < url.len; i++)
        must((unsigned char)url.ptr[i] >= 0x20 && url.ptr[i] != 0x7f);
}

/* Kept JSON is minified: no line break may be left in it, for it may travel in a line of text. */
static void check_json(struct str text, size_t max, char open)
{
    if (text.ptr == NULL)
        return;
    must(text.len >= 2 && text.len <= max && text.ptr[0] == open);
    must(memchr(text.ptr, '\n', text.len) == NULL && memchr(text.ptr, '\r', text.len) == NULL);
}

static void check_row(const struct registration *registration)
{
    struct worker worker = {.id = STR("w"), .online = STR("healthy")};
    worker.fields[WORKER_capabilities] = registration->capabilities;
    worker.fields[WORKER_services] = registration->services;
    worker.fields[WORKER_containers] = registration->containers;
    worker.fields[WORKER_ip_address] = registration->where.ip_address;
    worker.fields[WORKER_tunnel_url] = registration->where.tunnel_url;
    worker.fields[WORKER_vpn_ip] = registration->where.vpn_ip;
    struct buffer row = BUFFER_INIT;
    worker_write(&row, &worker, 0, STR("http://host"), true);
    cJSON *document;
    const char *why;
    must(json_parse_object(buffer_str(&row), &document, &why) == ERR_NONE);
    must(cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(document, "capabilities")));
    must(cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(document, "services")));
    must(cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(document, "containers")));
    cJSON_Delete(document);
    buffer_fini(&row);
}

static void check_registration(const struct registration *registration)
{
    check_id(registration->worker_id);
    check_id(registration->instance_id);
    check_id(registration->boot_id);
    check_url(registration->where.ip_address);
    check_url(registration->where.tunnel_url);
    check_url(registration->where.vpn_ip);
    must(registration->capabilities.ptr != NULL);
    check_json(registration->capabilities, REGISTRATION_CAPABILITIES_MAX, '{');
    check_json(registration->services, REGISTRATION_SERVICES_TEXT_MAX, '[');
    check_json(registration->containers, REGISTRATION_SERVICES_TEXT_MAX, '[');
    must(registration->tier >= TIER_GPU && registration->tier <= TIER_EDGE);
    must(registration->service_count <= REGISTRATION_SERVICES_MAX);
    for (size_t i = 0; i < registration->service_count; i++) {
        must(id_is_valid(registration->service_names[i]));
        for (size_t j = 0; j < i; j++)
            must(!str_eq(registration->service_names[i], registration->service_names[j]));
    }
    struct buffer health = BUFFER_INIT;
    registration_write_health(&health, registration);
    for (size_t i = 0; i < health.len; i++)
        must(health.ptr[i] > ' ' && health.ptr[i] <= '~');
    buffer_fini(&health);
    check_row(registration);
}

/* Where its services are reached must be URLs that read as what they are. */
static void check_endpoints(const struct registration *registration)
{
    struct worker worker = {.id = STR("w")};
    worker.fields[WORKER_services] = registration->services;
    worker.fields[WORKER_containers] = registration->containers;
    worker.fields[WORKER_ip_address] = registration->where.ip_address;
    worker.fields[WORKER_tunnel_url] = registration->where.tunnel_url;
    worker.fields[WORKER_vpn_ip] = registration->where.vpn_ip;
    struct endpoints endpoints;
    endpoints_find(&endpoints, &worker, registration->service_count > 0 ? registration->service_names[0] : STR("rag"));
    must(endpoints.count > 0);
    for (size_t i = 0; i < endpoints.count; i++) {
        struct place place;
        struct buffer again = BUFFER_INIT;
        must(place_read_url(endpoints_at(&endpoints, i), &place) == NULL);
        place_write(&again, &place);
        must(str_eq(buffer_str(&again), endpoints_at(&endpoints, i)));
        buffer_fini(&again);
    }
    endpoints_fini(&endpoints);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct registration registration;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    enum err err = registration_parse((struct str){(const char *)data, size}, &registration, &faults, &why);
    switch (err) {
    case ERR_NONE:
        must(faults.count == 0);
        check_registration(&registration);
        whereabouts_settle(&registration.where, STR("198.51.100.7"), &registration.ignored);
        check_registration(&registration);
        check_endpoints(&registration);
        registration_fini(&registration);
        break;
    case ERR_INVALID:
        must_be_faults(&faults);
        faults_fini(&faults);
        break;
    default:
        must(err == ERR_BAD_REQUEST && why != NULL && faults.count == 0);
    }
    return 0;
}
