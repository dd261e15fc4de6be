/*
 * Edge nodes: workers of tier 4 whose agents know two paths of their own. Some of them, and a page, ask for a DHT: there is none.
 */
#include "api/api.h"
#include "http/reply.h"
#include "model/id.h"

#include <inttypes.h>

#define EDGE_INTERVAL_S 60

/* What the answer needs of the registration after it is gone. */
struct registering {
    const struct api *api;
    struct pending *pending;
    char worker_id[ID_MAX];
    size_t worker_id_len, tunnel_url_len;
    char tunnel_url[];
};

static void on_counted(void *data, enum err err, const struct fleet *fleet)
{
    struct registering *registering = data;
    struct request *request = api_resume(registering->pending, err);
    if (request != NULL) {
        struct buffer body = BUFFER_INIT;
        struct str tunnel_url = {registering->tunnel_url_len > 0 ? registering->tunnel_url : NULL, registering->tunnel_url_len};
        struct str worker_id = {registering->worker_id, registering->worker_id_len};
        request_name_worker(request, worker_id);
        buffer_append(&body, STR("{\"status\":\"registered\",\"worker_id\":"));
        buffer_json_string(&body, worker_id);
        buffer_append(&body, STR(",\"role\":\"edge_coordinator\",\"tunnel_url\":"));
        buffer_json_string(&body, tunnel_url);
        buffer_printf(&body, ",\"heartbeat_interval\":%d,\"total_coordinators\":%" PRId64 ",\"message\":\"Edge node registered\"}",
                      EDGE_INTERVAL_S, fleet_live_of_tier(fleet, TIER_EDGE));
        reply_json(request, 200, &body);
    }
}

static void on_registered(void *data, enum err err, const struct registered *registered)
{
    struct registering *registering = data;
    if (err == ERR_NONE) {
        memcpy(registering->worker_id, registered->worker_id.ptr, registered->worker_id.len);
        registering->worker_id_len = registered->worker_id.len;
        err = store_fleet(registering->api->store, on_counted, registering);
        if (err == ERR_NONE)
            return;
    }
    on_counted(registering, err, NULL);
}

void api_edge_register(struct request *request)
{
    const struct api *api = request_app(request);
    struct registration registration;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    enum err err = registration_parse_edge(request->body, &registration, &faults, &why);
    if (err != ERR_NONE) {
        api_refuse(request, err, why, &faults);
        return;
    }
    char room[64];
    struct str address = request_client_address(request, api->config->trust_proxy, room);
    request_name_worker(request, registration.worker_id);
    struct pending *pending = api_wait(request, sizeof(struct registering) + registration.tunnel_url.len);
    struct registering *registering = pending_payload(pending);
    registering->api = api;
    registering->pending = pending;
    registering->tunnel_url_len = registration.tunnel_url.len;
    if (registration.tunnel_url.len > 0)
        memcpy(registering->tunnel_url, registration.tunnel_url.ptr, registration.tunnel_url.len);
    struct str ip_address = registration.ip_address.len > 0 ? registration.ip_address : address;
    err = store_register(api->store, &registration, ip_address, address, on_registered, registering);
    registration_fini(&registration);
    api_sent(pending, err);
}

static void on_heartbeat(void *data, enum err err, bool revived)
{
    (void)revived;
    struct request *request = api_resume(data, err);
    if (request != NULL)
        reply_constant(request, 200, STR("{\"status\":\"ok\"}"));
}

void api_edge_heartbeat(struct request *request)
{
    const struct api *api = request_app(request);
    struct heartbeat heartbeat;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    enum err err = heartbeat_parse(request->body, &heartbeat, &faults, &why);
    if (err != ERR_NONE) {
        api_refuse(request, err, why, &faults);
        return;
    }
    request_name_worker(request, heartbeat.worker_id);
    struct pending *pending = api_wait(request, 0);
    err = store_heartbeat(api->store, &heartbeat, false, on_heartbeat, pending);
    heartbeat_fini(&heartbeat);
    api_sent(pending, err);
}

void api_dht_stats(struct request *request)
{
    reply_constant(request, 200, STR("{\"dht_enabled\":false}"));
}

void api_dht_topology(struct request *request)
{
    reply_constant(request, 200,
                   STR("{\"nodes\":[],\"edges\":[],\"connections\":[],\"stats\":{\"total_nodes\":0,\"coordinator_count\":0,"
                       "\"worker_count\":0,\"healthy_count\":0}}"));
}
