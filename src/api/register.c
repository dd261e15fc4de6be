/*
 * Registers workers, and edge nodes: they are workers of tier 4 with a path and an answer of their own.
 */
#include "api/api.h"
#include "api/signing.h"
#include "base/json_writer.h"
#include "http/client.h"
#include "http/reply.h"
#include "model/catalogue.h"
#include "model/id.h"
#include "store/credentials.h"

#include <inttypes.h>
#include <stdio.h>

/* What the answer needs after the registration has been freed. */
struct registering {
    const struct api *api;
    struct pending *pending;
    enum tier tier;
    struct str tunnel_url, ip_address, coordinator_url; /* copies in `texts` */
    struct str ignored;                                 /* likewise: the member "ignored" of the answer; may be empty */
    char grant[GRANT_MAX + 1];                          /* the grant of the worker's own token; empty: it gets none */
    char worker_id[ID_MAX];                             /* of an edge node: kept while the fleet's numbers are read */
    size_t worker_id_len;
    char texts[];
};

/* Appends the assigned services' containers, names and configurations: three members of the answer. */
static size_t write_assignment(struct buffer *out, const struct registered *registered, struct str coordinator_url)
{
    struct buffer names = BUFFER_INIT, configs = BUFFER_INIT;
    size_t count = 0;
    json_begin_array(out, "assigned_containers");
    json_begin_array(&names, "assigned_services");
    json_begin_array(&configs, "service_configs");
    for (struct str rest = registered->services; rest.len > 0;) {
        const struct catalogue_service *service = catalogue_find(str_cut(&rest, ','));
        if (service == NULL)
            continue;
        count++;
        catalogue_write_container(out, service, coordinator_url, registered->worker_id, true);
        json_add_text(&names, NULL, service->name);
        catalogue_write_configs(&configs, service);
    }
    json_end_array(out);
    json_end_array(&names);
    json_end_array(&configs);
    json_add_raw(out, NULL, buffer_str(&names));
    json_add_raw(out, NULL, buffer_str(&configs));
    buffer_fini(&names);
    buffer_fini(&configs);
    return count;
}

/*
 * Ends an answer. Adds the ignored members of the registration, and the worker's own token if it has registered with a join
 * token or with a token of its own.
 */
static void end_answer(struct buffer *body, const struct registering *registering, struct str worker_id)
{
    if (registering->ignored.len > 0)
        json_add_raw(body, NULL, registering->ignored);
    if (registering->grant[0] != '\0')
        signing_write_worker_token(body, registering->api, worker_id, str_from(registering->grant));
    json_end_object(body);
}

/* Ends a wait as api_resume does. Also answers ERR_LIMITED: too many new workers came from one address. */
static struct request *resume(struct registering *registering, enum err err, const struct registered *registered)
{
    struct request *request = api_resume(registering->pending, err == ERR_LIMITED ? ERR_NONE : err);
    if (request == NULL || err != ERR_LIMITED)
        return request;
    api_reply_limited(request, registered->wait_ms);
    return NULL;
}

static void on_registered(void *data, enum err err, const struct registered *registered)
{
    struct registering *registering = data;
    struct request *request = resume(registering, err, registered);
    if (request == NULL)
        return;
    struct str tunnel_url = registering->tunnel_url;
    struct buffer body = BUFFER_INIT;
    char message[64];
    json_begin_object(&body, NULL);
    json_add_text(&body, "status", STR("registered"));
    json_add_text(&body, "worker_id", registered->worker_id);
    json_add_integer(&body, "tier", registering->tier);
    json_add_text(&body, "worker_type", str_from(tier_worker_type(registering->tier)));
    size_t count = write_assignment(&body, registered, registering->coordinator_url);
    json_add_text(&body, "heartbeat_url", STR("/api/worker/heartbeat"));
    json_add_integer(&body, "heartbeat_interval", registering->api->config->heartbeat_interval_s);
    json_add_text(&body, "task_pull_url", STR("/api/worker/tasks"));
    json_add_text(&body, "coordinator_url", registering->coordinator_url);
    json_add_text(&body, "tunnel_url", tunnel_url);
    json_add_text(&body, "endpoint", tunnel_url.len > 0 ? tunnel_url : registering->ip_address);
    json_add_bool(&body, "is_heartbeat_leader", false);
    json_add_bool(&body, "reregistered", registered->again);
    json_add_bool(&body, "restarted", registered->restarted);
    snprintf(message, sizeof(message), "Worker registered with %zu service(s)", count);
    json_add_text(&body, "message", str_from(message));
    end_answer(&body, registering, registered->worker_id);
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
    json_begin_object(&body, NULL);
    json_add_text(&body, "status", STR("registered"));
    json_add_text(&body, "worker_id", worker_id);
    json_add_text(&body, "role", STR("edge_coordinator"));
    json_add_text(&body, "tunnel_url", registering->tunnel_url);
    json_add_integer(&body, "heartbeat_interval", registering->api->config->edge_interval_s);
    json_add_integer(&body, "total_coordinators", fleet_live_of_tier(fleet, TIER_EDGE));
    json_add_text(&body, "message", STR("Edge node registered"));
    end_answer(&body, registering, worker_id);
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
    if (err == ERR_LIMITED)
        (void)resume(registering, err, registered);
    else
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
    if (registration->ignored.count > 0)
        faults_write(&ignored, "ignored", &registration->ignored);
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
    snprintf(registering->grant, sizeof(registering->grant), "%.*s%s%.*s", STR_PRINTF(registration->join),
             registration->grant.len > 0 ? "." : "", STR_PRINTF(registration->grant));
    enum err err = store_register(api->store, registration, callback, registering);
    buffer_fini(&ignored);
    registration_fini(registration);
    api_sent(pending, err);
}

/* Whether a join token may register this worker. If not, answers the request. */
static bool token_permits(struct request *request, const struct directory_entry *token, const struct registration *registration)
{
    char tier[2] = {(char)('0' + registration->tier), '\0'}, detail[256];
    struct str services = buffer_str(&token->services);
    if (token->tiers[0] != '\0' && !str_list_has(str_from(token->tiers), str_from(tier))) {
        snprintf(detail, sizeof(detail), "This join token registers workers of tier %s alone; this one is of tier %s.",
                 token->tiers, tier);
        reply_error(request, ERR_FORBIDDEN, detail, NULL);
        return false;
    }
    for (size_t i = 0; services.len > 0 && i < registration->service_count; i++) {
        if (str_list_has(services, registration->service_names[i]))
            continue;
        snprintf(detail, sizeof(detail), "This join token is for other services than %.*s.",
                 STR_PRINTF(registration->service_names[i]));
        reply_error(request, ERR_FORBIDDEN, detail, NULL);
        return false;
    }
    return true;
}

/* Makes the part of a grant that is new with each registration: it ends the worker's older tokens. Lives as long as the request. */
static struct str make_grant(struct request *request)
{
    uint64_t random;
    char *text = request_alloc(request, 17);
    secret_random(&random, sizeof(random));
    return (struct str){text, (size_t)snprintf(text, 17, "%016" PRIx64, random)};
}

/* Notes with which join token a worker registers, and what the token permits. False: the request has been answered. */
static bool settle_owner(struct request *request, struct registration *registration)
{
    const struct principal *principal = admit_principal(request);
    if (principal->kind == PRINCIPAL_WORKER) { /* the worker registers again, with its own token */
        registration->join = str_from(principal->grant);
        if (registration->worker_id.len == 0)
            registration->worker_id = str_from(principal->name);
        if (!admit_worker(request, registration->worker_id, &(struct str){NULL, 0}))
            return false;
    } else if (principal->kind == PRINCIPAL_JOIN) {
        registration->join = str_from(principal->join);
        registration->grant = make_grant(request);
    }
    if (principal->token == NULL) /* there is no join token with limits */
        return true;
    registration->join_max = principal->token->max_workers;
    registration->join_services = buffer_str(&principal->token->services);
    return token_permits(request, principal->token, registration);
}

typedef enum err registration_parser(struct str body, struct registration *out, struct faults *faults, const char **why);

static void take_registration(struct request *request, registration_parser *parse, store_registered_callback *callback)
{
    struct registration registration;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    enum err err = parse(request->body, &registration, &faults, &why);
    if (err != ERR_NONE)
        api_refuse(request, err, why, &faults);
    else if (settle_owner(request, &registration))
        register_worker(request, &registration, callback);
    else
        registration_fini(&registration);
}

request_handler api_edge_register;

static void take_request(struct request *request)
{
    if (request->route->handler == api_edge_register)
        take_registration(request, registration_parse_edge, on_edge_registered);
    else
        take_registration(request, registration_parse, on_registered);
}

/* The join token was good when the request came. It may have ended meanwhile: then nobody registers with it. */
static void take_again(struct request *request)
{
    enum identification found = admit_found(request);
    if (admit_principal(request)->kind == PRINCIPAL_JOIN)
        take_request(request);
    else
        admit_refuse(request, found == CREDENTIAL_EXPIRED ? ERR_TOKEN_EXPIRED : ERR_TOKEN_REVOKED);
}

/* Goes on, with or without a signing key: without one the worker gets no token of its own and keeps using its join token. */
static void on_prepared(void *data, enum err err)
{
    (void)err;
    struct request *request = api_resume(data, ERR_NONE);
    if (request != NULL)
        admit_identify(request, (struct str){NULL, 0}, take_again);
}

void api_register(struct request *request)
{
    struct api *api = request_app(request);
    struct actor actor = admit_actor(request);
    if (admit_principal(request)->kind != PRINCIPAL_JOIN || signing_is_ready(api))
        take_request(request);
    else
        signing_prepare(api, &actor, on_prepared, api_wait(request, 0));
}

void api_edge_register(struct request *request)
{
    api_register(request);
}
