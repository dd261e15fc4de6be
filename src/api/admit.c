#include "api/admit.h"

#include "api/api.h"
#include "base/clock.h"
#include "base/log_repeat.h"
#include "base/mask.h"
#include "base/metrics.h"
#include "http/client.h"
#include "http/reply.h"
#include "model/id.h"
#include "store/credentials.h"

#include <stdio.h>

/*
 * A thread answers so many refusals in a second at once. It holds up as many by REFUSAL_DELAY_MS, as many by twice that, and so on.
 * A stranger sends its next request when it has the answer to the one before, so its flood shrinks, on many connections too, and
 * agents keep the thread's time.
 */
#define REFUSALS_AT_ONCE 1000
#define REFUSAL_DELAY_MS 50
#define REFUSAL_DELAY_MAX_MS 400

/* What is known of the sender of a request. Lives as long as the request. */
struct admission {
    struct principal principal;
    bool open; /* the request is served whoever sends it: the principal is for the audit alone */
    enum identification found;
    enum err refusal;      /* why the request is refused */
    struct str token;      /* the token to check in place of the headers; absent: the headers are checked */
    request_handler *then; /* called once the sender is known */
    char address[INET_TEXT_MAX], label[160];
};

static struct admission *admission_of(struct request *request)
{
    if (request->app_data == NULL)
        request->app_data = request_alloc(request, sizeof(struct admission));
    return request->app_data;
}

const struct principal *admit_principal(const struct request *request)
{
    static const struct principal nobody = {.kind = PRINCIPAL_NONE};
    const struct admission *admission = request->app_data;
    return admission != NULL && !admission->open ? &admission->principal : &nobody;
}

enum identification admit_found(const struct request *request)
{
    const struct admission *admission = request->app_data;
    return admission != NULL ? admission->found : IDENTIFIED;
}

struct actor admit_actor(struct request *request)
{
    const struct api *api = request_app(request);
    struct admission *admission = admission_of(request);
    return (struct actor){
        .who = api->config->private_token.len > 0 ? api->config->client : principal_label(&admission->principal, admission->label),
        .address = client_address(request, admission->address),
        .coordinator = api->config->coordinator_id,
        .reaches_redis = api->config->private_token.len > 0,
    };
}

void admit_note_operation(struct request *request)
{
    const struct api *api = request_app(request);
    const struct route *route = request->route;
    const struct principal *principal = &admission_of(request)->principal;
    if (principal->kind != PRINCIPAL_USER && principal->kind != PRINCIPAL_PROGRAM)
        return;
    char action[128], target[ID_MAX + 1] = "";
    struct actor actor = admit_actor(request);
    struct str id = request->parameters[0].value;
    snprintf(action, sizeof(action), "%s %s", route->method, route->path);
    if (id_is_valid(id))
        snprintf(target, sizeof(target), "%.*s", STR_PRINTF(id));
    mask_tokens(target, strlen(target));
    store_audit(api->store, &actor, action, str_from(target), "admitted");
}

/* Whether the audit has it when a user or a program does it. A task's cancellation is in it unless the task is the user's own. */
static bool is_operation(const struct route *route)
{
    return route->effect == WRITES && (route->access & ACCESS_OPERATOR || (route->access & ACCESS_USER && route->method[0] == 'D'));
}

static void go_on(struct request *request)
{
    if (request->route->effect == WRITES && request->route->access & ACCESS_OPERATOR)
        admit_note_operation(request);
    request->route->handler(request);
}

/* Returns the lowest role that a route takes. */
static enum role least_role(unsigned access)
{
    return access & ACCESS_VIEWER     ? ROLE_VIEWER
           : access & ACCESS_USER     ? ROLE_USER
           : access & ACCESS_OPERATOR ? ROLE_OPERATOR
           : access & ACCESS_ADMIN    ? ROLE_ADMIN
                                      : ROLE_NONE;
}

static bool has_access(const struct principal *principal, unsigned access)
{
    enum role least = least_role(access);
    if (access & ACCESS_ANYONE)
        return true;
    if (principal->kind == PRINCIPAL_JOIN || principal->kind == PRINCIPAL_WORKER)
        return (access & ACCESS_WORKER) != 0;
    return principal->kind != PRINCIPAL_NONE && least != ROLE_NONE && principal->role >= least;
}

bool admit_is_from_own_page(const struct request *request)
{
    struct str site = request_header(request, "sec-fetch-site"), origin = request_header(request, "origin");
    if (site.ptr != NULL)
        return str_eq(site, STR("same-origin"));
    const char *host = origin.len > 0 ? memmem(origin.ptr, origin.len, "://", 3) : NULL;
    return host != NULL &&
           str_eq_nocase((struct str){host + 3, origin.len - (size_t)(host + 3 - origin.ptr)}, client_asked_host(request));
}

/* Whether a foreign page gains nothing by it. A WebSocket begins with GET, too, but any page may open one and read from it. */
static bool is_safe(const struct request *request)
{
    struct str method = request_method(request);
    return request_upgrade(request).len == 0 && (str_eq(method, STR("GET")) || str_eq(method, STR("HEAD")));
}

/* Whether a page of another site may have sent it with somebody's cookie. */
static bool may_be_forged(const struct request *request, const struct principal *principal)
{
    return principal->by_cookie && !is_safe(request) && !admit_is_from_own_page(request);
}

/* Returns why the principal, identified in that way, may not use a route of that access; ERR_NONE: it may. */
static enum err refusal_for(const struct principal *principal, enum identification found, unsigned access)
{
    static const enum err errs[] = {
        [IDENTIFIED] = ERR_NONE,
        [CREDENTIAL_OTHER] = ERR_UNAUTHENTICATED,
        [CREDENTIAL_INVALID] = ERR_TOKEN_INVALID,
        [CREDENTIAL_EXPIRED] = ERR_TOKEN_EXPIRED,
        [CREDENTIAL_REVOKED] = ERR_TOKEN_REVOKED,
        [CREDENTIAL_OUTDATED] = ERR_TOKEN_REVOKED,
        [CREDENTIAL_UNKNOWN] = ERR_TOKEN_INVALID,
    };
    if (access & ACCESS_ANYONE)
        return ERR_NONE;
    if (errs[found] != ERR_NONE)
        return errs[found];
    if (!has_access(principal, access))
        return principal->kind == PRINCIPAL_NONE ? ERR_UNAUTHENTICATED : ERR_FORBIDDEN;
    return ERR_NONE;
}

/* Returns why a request is refused; ERR_NONE: it is not. */
static enum err refusal_of(const struct request *request, const struct admission *admission)
{
    const struct principal *principal = &admission->principal;
    enum err err = refusal_for(principal, admission->found, request->route->access);
    if (err != ERR_NONE || request->route->access & ACCESS_ANYONE)
        return err;
    return may_be_forged(request, principal) ? ERR_CROSS_SITE : ERR_NONE;
}

enum err admit_check_again(const struct api *api, struct principal *principal, unsigned access)
{
    enum identification found = principal_identify_again(api->directory, clock_wall_ms(), principal);
    return refusal_for(principal, found, access);
}

bool admit_is_enforced(const struct request *request)
{
    const struct api *api = request_app(request);
    return api->config->private_token.len == 0 &&
           (api->config->auth == AUTH_ON || (api->config->auth == AUTH_WARN && (request->route->access & ACCESS_FIELD) == 0));
}

enum role admit_role_now(const struct request *request)
{
    struct principal principal = *admit_principal(request);
    if (!admit_is_enforced(request))
        return principal.role;
    enum err err = admit_check_again(request_app(request), &principal, request->route->access);
    return err == ERR_NONE ? principal.role : ROLE_NONE;
}

/* Says in the problem which role or token the route takes. */
void admit_refuse(struct request *request, enum err err)
{
    unsigned access = request->route->access;
    char detail[160];
    if (err_status(err) == 401)
        request_set_header(request, "WWW-Authenticate", "Bearer realm=\"rma\"");
    if (err != ERR_FORBIDDEN) {
        reply_error(request, err, NULL, NULL);
        return;
    }
    enum role least = least_role(access);
    if (least == ROLE_NONE)
        snprintf(detail, sizeof(detail), "This is for workers alone: it takes a join token or a worker's own token.");
    else
        snprintf(detail, sizeof(detail), "This takes the role %s%s.", role_name(least),
                 access & ACCESS_WORKER ? ", or a worker's token" : "");
    reply_error(request, err, detail, NULL);
}

/* Tells a worker that its own token is revoked: such a token is refused only if the worker has been registered anew since. */
void admit_refuse_other(struct request *request)
{
    if (admit_principal(request)->kind == PRINCIPAL_WORKER)
        admit_refuse(request, ERR_TOKEN_REVOKED);
    else
        reply_error(request, ERR_OTHERS, NULL, NULL);
}

/* Whether AUTH=off serves everybody. It does not at an admin's routes: a stranger's credentials would be good with AUTH=on. */
static bool is_open(const struct request *request)
{
    return ((const struct api *)request_app(request))->config->auth == AUTH_OFF && request->route->access != ACCESS_ADMIN;
}

/* Logs that a request would have been refused with AUTH=on. */
static void log_unenforced(struct request *request, enum err err)
{
    struct actor actor = admit_actor(request);
    log_repeatable(LOG_WARN, "auth", "served without a good credential, since AUTH is warn", 3,
                   log_str("route", str_from(request->route->path)), log_str("why", err_code(err)),
                   log_str("address", actor.address));
}

static const enum err reasons[ADMIT_REASONS] = {ERR_UNAUTHENTICATED, ERR_TOKEN_EXPIRED, ERR_TOKEN_INVALID,
                                                ERR_TOKEN_REVOKED,   ERR_FORBIDDEN,     ERR_CROSS_SITE};

static size_t reason_of(enum err err)
{
    size_t reason = 0;
    while (reason < ADMIT_REASONS - 1 && reasons[reason] != err)
        reason++;
    return reason;
}

const char *admit_reason(size_t i)
{
    return err_code(reasons[i]).ptr;
}

static void refuse_late(struct request *request)
{
    admit_refuse(request, admission_of(request)->refusal);
}

static void refuse(struct request *request, enum err err)
{
    static __thread int64_t second;
    static __thread int refusals;
    int64_t now = clock_ms() / 1000;
    refusals = now == second ? refusals + 1 : 0;
    second = now;
    int delay = refusals / REFUSALS_AT_ONCE * REFUSAL_DELAY_MS;
    admission_of(request)->refusal = err;
    if (delay > 0)
        pending_delay(request, delay < REFUSAL_DELAY_MAX_MS ? delay : REFUSAL_DELAY_MAX_MS, refuse_late);
    else
        refuse_late(request);
}

/* Serves a request though its sender lacks the right, which `err` says. One with a good credential is named in the audit. */
static void go_on_open(struct request *request, enum err err)
{
    struct admission *admission = admission_of(request);
    if ((err != ERR_NONE && err != ERR_FORBIDDEN) || may_be_forged(request, &admission->principal))
        admission->principal = (struct principal){.kind = PRINCIPAL_NONE};
    admission->open = true;
    go_on(request);
}

static void decide(struct request *request)
{
    const struct api *api = request_app(request);
    struct admission *admission = admission_of(request);
    enum err err = refusal_of(request, admission);
    if (is_open(request)) {
        go_on_open(request, err);
        return;
    }
    bool enforced = api->config->auth != AUTH_WARN || (request->route->access & ACCESS_FIELD) == 0;
    if (err != ERR_NONE)
        metric_add(&metrics->counters[ADMIT_COUNTERS + (enforced ? (size_t)ADMIT_REASONS : 0) + reason_of(err)], 1);
    if (err != ERR_NONE && !enforced) {
        log_unenforced(request, err);
        go_on_open(request, err);
    } else if (err != ERR_NONE) {
        refuse(request, err);
    } else {
        go_on(request);
    }
}

/* Whether this thread's copy of the directory lacks something that a newer copy may have. */
static bool is_miss(enum identification found)
{
    return found == CREDENTIAL_UNKNOWN || found == CREDENTIAL_OUTDATED;
}

static enum identification identify(struct request *request, struct admission *admission)
{
    const struct api *api = request_app(request);
    struct str cookie = request_header(request, "cookie"), authorization = request_header(request, "authorization");
    if (admission->token.ptr != NULL)
        return principal_identify_token(api->directory, api->verified, admission->token, clock_wall_ms(), &admission->principal);
    if (request_has_twice(request, "authorization")) { /* a proxy in front of us may have checked the other one */
        admission->principal = (struct principal){.kind = PRINCIPAL_NONE};
        return CREDENTIAL_INVALID;
    }
    enum identification found =
        principal_identify(api->directory, api->verified, authorization, cookie, clock_wall_ms(), &admission->principal);
    bool is_served_anyhow = is_open(request) && (request->route->access & ACCESS_ANYONE) == 0;
    if (!is_served_anyhow || !may_be_forged(request, &admission->principal))
        return found;
    admission->principal = (struct principal){.kind = PRINCIPAL_NONE};
    return IDENTIFIED;
}

/*
 * Goes on with a request after the directory has been read again. If Redis is away, the old copy decides about the credentials
 * that it has, and requests with others get an error.
 */
static void on_directory(void *data, enum err err)
{
    struct pending *pending = data;
    struct request *request = pending_take(pending);
    pending_release(pending, ERR_INTERNAL);
    if (request == NULL)
        return;
    struct admission *admission = admission_of(request);
    admission->found = identify(request, admission);
    if (err == ERR_NONE && !directory_is_complete(((const struct api *)request_app(request))->directory))
        err = ERR_UNAVAILABLE;
    if (is_miss(admission->found) && err != ERR_NONE)
        reply_error(request, err, NULL, NULL);
    else
        admission->then(request);
}

void admit_identify(struct request *request, struct str token, request_handler *then)
{
    const struct api *api = request_app(request);
    struct admission *admission = admission_of(request);
    admission->then = then;
    admission->token = token;
    admission->found = identify(request, admission);
    bool brought = admission->found != IDENTIFIED || admission->principal.kind != PRINCIPAL_NONE;
    /* users and tokens outlast their maker, who may have been removed a moment ago */
    bool lasts = admission->found == IDENTIFIED && request->route->access == ACCESS_ADMIN && !is_safe(request);
    if (is_miss(admission->found))
        directory_look_again(api->directory, on_directory, api_wait(request, 0));
    else if (brought && lasts)
        directory_refresh(api->directory, on_directory, api_wait(request, 0));
    else if (brought && !directory_is_fresh(api->directory))
        directory_catch_up(api->directory, on_directory, api_wait(request, 0));
    else
        then(request);
}

/* Admits a request to the server of a single command. A client with that server's token is an admin; others have no rights. */
static void admit_privately(struct request *request)
{
    const struct api *api = request_app(request);
    struct admission *admission = admission_of(request);
    struct str shown = request_header(request, "authorization"), token = api->config->private_token;
    bool same = shown.len == token.len + 7 && memcmp(shown.ptr, "Bearer ", 7) == 0 &&
                secret_is(token, (struct str){shown.ptr + 7, token.len});
    admission->principal =
        (struct principal){.kind = same ? PRINCIPAL_PROGRAM : PRINCIPAL_NONE, .role = same ? ROLE_ADMIN : ROLE_NONE};
    snprintf(admission->principal.name, sizeof(admission->principal.name), "%.*s", STR_PRINTF(api->config->client));
    if (same || request->route->access & ACCESS_ANYONE)
        go_on(request);
    else
        admit_refuse(request, ERR_UNAUTHENTICATED);
}

void api_admit(struct request *request)
{
    const struct api *api = request_app(request);
    if (request->route->effect == WRITES)
        request->before_answer = reading_note_write;
    /* a route for anyone does not wait until Redis knows more about a credential */
    bool anyone = request->route->access & ACCESS_ANYONE || request_is_at_metrics_port(request);
    if (api->config->private_token.len > 0)
        admit_privately(request);
    else if (anyone || (is_open(request) && !is_operation(request->route)))
        go_on(request);
    else
        admit_identify(request, (struct str){NULL, 0}, decide);
}

bool admit_speaks_for(const struct request *request, struct str worker_id, struct str *join)
{
    const struct principal *principal = admit_principal(request);
    *join = principal->kind == PRINCIPAL_JOIN     ? str_from(principal->join)
            : principal->kind == PRINCIPAL_WORKER ? str_from(principal->grant)
                                                  : (struct str){NULL, 0};
    return principal->kind != PRINCIPAL_WORKER || str_eq(worker_id, str_from(principal->name));
}

bool admit_worker(struct request *request, struct str worker_id, struct str *join)
{
    bool may_speak = admit_speaks_for(request, worker_id, join);
    if (!may_speak)
        reply_error(request, ERR_OTHERS, NULL, NULL);
    return may_speak;
}
