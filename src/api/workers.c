#include "api/api.h"

#include "http/reply.h"
#include "model/catalogue.h"
#include "model/id.h"

/* What the answer to a registration tells besides the store's reply; its texts are the copies that follow it. */
struct registering {
    enum tier tier;
    size_t tunnel_url_len, ip_address_len, coordinator_url_len;
    char texts[];
};

static struct str text_at(const struct registering *registering, size_t offset, size_t len)
{
    return (struct str){len > 0 ? registering->texts + offset : NULL, len};
}

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
    struct pending *pending = data;
    struct request *request = api_resume(pending, err);
    if (request != NULL) {
        const struct api *api = request_app(request);
        const struct registering *registering = pending_payload(pending);
        struct str tunnel_url = text_at(registering, 0, registering->tunnel_url_len);
        struct str ip_address = text_at(registering, tunnel_url.len, registering->ip_address_len);
        struct str url = text_at(registering, tunnel_url.len + ip_address.len, registering->coordinator_url_len);
        struct buffer body = BUFFER_INIT;
        buffer_append(&body, STR("{\"status\":\"registered\",\"worker_id\":"));
        buffer_json_string(&body, registered->worker_id);
        buffer_printf(&body, ",\"tier\":%d,\"worker_type\":\"%s\"", registering->tier, tier_worker_type(registering->tier));
        size_t count = write_assignment(&body, registered, url);
        buffer_printf(&body,
                      ",\"heartbeat_url\":\"/api/worker/heartbeat\",\"heartbeat_interval\":%d,"
                      "\"task_pull_url\":\"/api/worker/tasks\",\"coordinator_url\":",
                      api->config->heartbeat_interval_s);
        buffer_json_string(&body, url);
        buffer_append(&body, STR(",\"tunnel_url\":"));
        buffer_json_string(&body, tunnel_url);
        buffer_append(&body, STR(",\"endpoint\":"));
        buffer_json_string(&body, tunnel_url.len > 0 ? tunnel_url : ip_address);
        buffer_printf(&body,
                      ",\"is_heartbeat_leader\":false,\"reregistered\":%s,\"restarted\":%s,"
                      "\"message\":\"Worker registered with %zu service(s)\"}",
                      registered->again ? "true" : "false", registered->restarted ? "true" : "false", count);
        request_name_worker(request, registered->worker_id);
        reply_json(request, 200, &body);
    }
}

void api_register(struct request *request)
{
    const struct api *api = request_app(request);
    struct registration registration;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    enum err err = registration_parse(request->body, &registration, &faults, &why);
    if (err != ERR_NONE) {
        api_refuse(request, err, why, &faults);
        return;
    }
    char address_room[64], url_room[512];
    struct str ip_address = registration.ip_address;
    struct str origin = request_client_address(request, api->config->trust_proxy, address_room);
    if (ip_address.len == 0)
        ip_address = origin;
    else if (memmem(ip_address.ptr, ip_address.len, "://", 3) == NULL)
        origin = ip_address; /* a URL, which agents put there, is another one at each start */
    struct str url = api_coordinator_url(request, url_room);

    request_name_worker(request, registration.worker_id);
    struct pending *pending =
        api_wait(request, sizeof(struct registering) + registration.tunnel_url.len + ip_address.len + url.len);
    struct registering *registering = pending_payload(pending);
    *registering = (struct registering){registration.tier, registration.tunnel_url.len, ip_address.len, url.len};
    char *to = registering->texts;
    const struct str texts[] = {registration.tunnel_url, ip_address, url};
    for (size_t i = 0; i < 3; i++) {
        if (texts[i].len > 0)
            memcpy(to, texts[i].ptr, texts[i].len);
        to += texts[i].len;
    }
    err = store_register(api->store, &registration, ip_address, origin, on_registered, pending);
    registration_fini(&registration);
    api_sent(pending, err);
}

static void on_heartbeat(void *data, enum err err, bool revived)
{
    struct request *request = api_resume(data, err);
    if (request != NULL)
        reply_constant(request, 200,
                       revived ? STR("{\"status\":\"ok\",\"message\":\"Heartbeat received\",\"revived\":true}")
                               : STR("{\"status\":\"ok\",\"message\":\"Heartbeat received\"}"));
}

void api_heartbeat(struct request *request)
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

static void on_unregistered(void *data, enum err err)
{
    struct request *request = api_resume(data, err);
    if (request != NULL) {
        struct buffer body = BUFFER_INIT;
        buffer_append(&body, STR("{\"status\":\"ok\",\"message\":\"Worker "));
        buffer_append(&body, request_parameter(request, "worker_id"));
        buffer_append(&body, STR(" unregistered\"}"));
        reply_json(request, 200, &body);
    }
}

void api_unregister(struct request *request)
{
    const struct api *api = request_app(request);
    if (!api_check_id(request, "worker_id"))
        return;
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_unregister(api->store, request_parameter(request, "worker_id"), on_unregistered, pending));
}

/* What a drain and an undrain answer; the path says which of them it was. */
static void on_drained(struct pending *pending, enum err err, const char *message)
{
    struct request *request = api_resume(pending, err);
    if (request != NULL) {
        struct buffer body = BUFFER_INIT;
        buffer_append(&body, STR("{\"status\":\"ok\",\"message\":\"Worker "));
        buffer_append(&body, request_parameter(request, "worker_id"));
        buffer_printf(&body, " %s\"}", message);
        reply_json(request, 200, &body);
    }
}

static void on_drain(void *data, enum err err)
{
    on_drained(data, err, "takes no new work");
}

static void on_undrain(void *data, enum err err)
{
    on_drained(data, err, "takes work again");
}

static void drain(struct request *request, bool begin)
{
    const struct api *api = request_app(request);
    if (!api_check_id(request, "worker_id"))
        return;
    struct pending *pending = api_wait(request, 0);
    api_sent(pending,
             store_drain(api->store, request_parameter(request, "worker_id"), begin, begin ? on_drain : on_undrain, pending));
}

void api_drain(struct request *request)
{
    drain(request, true);
}

void api_undrain(struct request *request)
{
    drain(request, false);
}

static void on_worker(void *data, enum err err, const struct worker *worker, int64_t now)
{
    struct request *request = api_resume(data, err);
    if (request != NULL) {
        char room[512];
        struct buffer body = BUFFER_INIT;
        worker_write(&body, worker, now, api_coordinator_url(request, room));
        reply_json(request, 200, &body);
    }
}

void api_worker(struct request *request)
{
    if (!api_check_id(request, "worker_id"))
        return;
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_get(reading_store(request), request_parameter(request, "worker_id"), on_worker, pending));
}
