/*
 * Registrations: of workers, and of edge nodes, which are workers of tier 4 with a path and an answer of their own.
 */
#include "api/api.h"
#include "http/client.h"
#include "http/reply.h"
#include "model/catalogue.h"
#include "model/id.h"

#include <inttypes.h>

/* What the answer needs of the request when the registration is gone. */
struct registering {
    const struct api *api;
    struct pending *pending;
    enum tier tier;
    struct str tunnel_url, ip_address, coordinator_url; /* copies in `texts` */
    struct str ignored;                                 /* likewise: a member of the answer, a comma before it; may be empty */
    char worker_id[ID_MAX];                             /* of an edge node: who it is, while the fleet is counted */
    size_t worker_id_len;
    char texts[];
};

/* Appends the assigned services' containers, names and configurations: three members of the answer. */
static size_t write_assignment(struct buffer *out, const struct registered *registered, struct str coordinator_url)
{
    struct buffer names = BUFFER_INIT, configs = BUFFER_INIT;
    size_t count = 0;
    buffer_append(out, STR(",\"assigned_containers\":["));
    for (struct str rest = registered->services; rest.len > 0;) {
        const struct catalogue_service *service = catalogue_find(str_cut(&rest, ','));
        if (service == NULL)
            continue;
        struct str comma = count++ > 0 ? STR(",") : STR("");
        buffer_append(out, comma);
        catalogue_write_container(out, service, coordinator_url, registered->worker_id);
        buffer_append(&names, comma);
        buffer_json_string(&names, service->name);
        catalogue_write_configs(&configs, service);
    }
    buffer_append(out, STR("],\"assigned_services\":["));
    buffer_append(out, buffer_str(&names));
    buffer_append(out, STR("],\"service_configs\":["));
    buffer_append(out, buffer_str(&configs));
    buffer_append(out, STR("]"));
    buffer_fini(&names);
    buffer_fini(&configs);
    return count;
}

static void on_registered(void *data, enum err err, const struct registered *registered)
{
    struct registering *registering = data;
    struct request *request = api_resume(registering->pending, err);
    if (request == NULL)
        return;
    struct str tunnel_url = registering->tunnel_url;
    struct buffer body = BUFFER_INIT;
    buffer_append(&body, STR("{\"status\":\"registered\",\"worker_id\":"));
    buffer_json_string(&body, registered->worker_id);
    buffer_printf(&body, ",\"tier\":%d,\"worker_type\":\"%s\"", registering->tier, tier_worker_type(registering->tier));
    size_t count = write_assignment(&body, registered, registering->coordinator_url);
    buffer_printf(&body,
                  ",\"heartbeat_url\":\"/api/worker/heartbeat\",\"heartbeat_interval\":%d,"
                  "\"task_pull_url\":\"/api/worker/tasks\",\"coordinator_url\":",
                  registering->api->config->heartbeat_interval_s);
    buffer_json_string(&body, registering->coordinator_url);
    buffer_append(&body, STR(",\"tunnel_url\":"));
    buffer_json_string(&body, tunnel_url);
    buffer_append(&body, STR(",\"endpoint\":"));
    buffer_json_string(&body, tunnel_url.len > 0 ? tunnel_url : registering->ip_address);
    buffer_printf(&body,
                  ",\"is_heartbeat_leader\":false,\"reregistered\":%s,\"restarted\":%s,"
                  "\"message\":\"Worker registered with %zu service(s)\"",
                  registered->again ? "true" : "false", registered->restarted ? "true" : "false", count);
    buffer_append(&body, registering->ignored);
    buffer_append(&body, STR("}"));
    request_name_worker(request, registered->worker_id);
    reply_json(request, 200, &body);
}

static void on_counted(void *data, enum err err, const struct fleet *fleet)
{
    struct registering *registering = data;
    struct request *request = api_resume(registering->pending, err);
    if (request == NULL)
        return;
    struct buffer body = BUFFER_INIT;
    struct str worker_id = {registering->worker_id, registering->worker_id_len};
    request_name_worker(request, worker_id);
    buffer_append(&body, STR("{\"status\":\"registered\",\"worker_id\":"));
    buffer_json_string(&body, worker_id);
    buffer_append(&body, STR(",\"role\":\"edge_coordinator\",\"tunnel_url\":"));
    buffer_json_string(&body, registering->tunnel_url);
    buffer_printf(&body, ",\"heartbeat_interval\":%d,\"total_coordinators\":%" PRId64 ",\"message\":\"Edge node registered\"",
                  registering->api->config->edge_interval_s, fleet_live_of_tier(fleet, TIER_EDGE));
    buffer_append(&body, registering->ignored);
    buffer_append(&body, STR("}"));
    reply_json(request, 200, &body);
}

static void on_edge_registered(void *data, enum err err, const struct registered *registered)
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

static struct str copy_text(char **to, struct str text)
{
    struct str copy = {text.len > 0 ? *to : NULL, text.len};
    if (text.len > 0)
        memcpy(*to, text.ptr, text.len);
    *to += text.len;
    return copy;
}

/* Hands a registration to the store, and releases it. */
static void register_worker(struct request *request, struct registration *registration, store_registered_callback *callback)
{
    const struct api *api = request_app(request);
    char address_room[64], url_room[512];
    struct buffer ignored = BUFFER_INIT;
    whereabouts_settle(&registration->where, client_address(request, address_room), &registration->ignored);
    struct str url = api_coordinator_url(request, url_room);
    if (registration->ignored.count > 0) {
        buffer_append(&ignored, STR(","));
        faults_write(&ignored, "ignored", &registration->ignored);
    }
    request_name_worker(request, registration->worker_id);
    size_t texts_len = registration->where.tunnel_url.len + registration->where.ip_address.len + url.len + ignored.len;
    struct pending *pending = api_wait(request, sizeof(struct registering) + texts_len);
    struct registering *registering = pending_payload(pending);
    char *to = registering->texts;
    registering->api = api;
    registering->pending = pending;
    registering->tier = registration->tier;
    registering->tunnel_url = copy_text(&to, registration->where.tunnel_url);
    registering->ip_address = copy_text(&to, registration->where.ip_address);
    registering->coordinator_url = copy_text(&to, url);
    registering->ignored = copy_text(&to, buffer_str(&ignored));
    enum err err = store_register(api->store, registration, callback, registering);
    buffer_fini(&ignored);
    registration_fini(registration);
    api_sent(pending, err);
}

typedef enum err registration_parser(struct str body, struct registration *out, struct faults *faults, const char **why);

static void take_registration(struct request *request, registration_parser *parse, store_registered_callback *callback)
{
    struct registration registration;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    enum err err = parse(request->body, &registration, &faults, &why);
    if (err == ERR_NONE)
        register_worker(request, &registration, callback);
    else
        api_refuse(request, err, why, &faults);
}

void api_register(struct request *request)
{
    take_registration(request, registration_parse, on_registered);
}

void api_edge_register(struct request *request)
{
    take_registration(request, registration_parse_edge, on_edge_registered);
}
