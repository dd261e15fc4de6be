/*
 * Signs users in and out, and tells clients who they are. The answers have the shapes that the front-ends in the field read.
 */
#include "model/login.h"
#include "api/api.h"
#include "api/signing.h"
#include "auth/authorization.h"
#include "auth/base64.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "base/mask.h"
#include "http/client.h"
#include "http/offload.h"
#include "http/reply.h"
#include "store/credentials.h"

#include <stdio.h>

#define SESSION_S 86400 /* how long a session lasts */
#define LOGIN_INTERVAL_MS 12000
#define LOGIN_BURST 10

/* A sign-in on its way. Its texts end with a NUL. */
struct signing_in {
    struct api *api;
    struct pending *pending;
    char name[DIRECTORY_NAME_MAX + 1];
    char password[PASSWORD_MAX + 1];
    char hash[PASSWORD_HASH_MAX]; /* empty: there is no such user */
    bool matches;
    enum role role;
    char address[INET_TEXT_MAX];
    struct actor actor; /* "nobody", at the client's address */
};

/* Ends a sign-in and wipes the password from memory. Returns the request, to be answered; NULL: it has been answered or is gone. */
static struct request *signing_in_end(struct signing_in *in, enum err err)
{
    explicit_bzero(in->password, sizeof(in->password));
    explicit_bzero(in->hash, sizeof(in->hash));
    return api_resume(in->pending, err);
}

static void refuse(struct signing_in *in)
{
    char target[DIRECTORY_NAME_MAX + 8];
    snprintf(target, sizeof(target), "user:%s", in->name);
    mask_tokens(target, strlen(target));
    store_audit(in->api->store, &in->actor, "login", str_from(target), "refused");
    struct request *request = signing_in_end(in, ERR_NONE);
    if (request != NULL)
        reply_error(request, ERR_LOGIN, NULL, NULL);
}

static bool is_https(struct str url)
{
    return url.len > 8 && memcmp(url.ptr, "https://", 8) == 0;
}

/* Returns the path of PUBLIC_URL, under which a proxy may serve the coordinator; "/" when there is none. */
static struct str cookie_path(const struct api *api)
{
    struct str url = api->config->public_url;
    const char *host = url.len > 0 ? memmem(url.ptr, url.len, "://", 3) : NULL;
    const char *path = host != NULL ? memchr(host + 3, '/', url.len - (size_t)(host + 3 - url.ptr)) : NULL;
    return path != NULL ? (struct str){path, url.len - (size_t)(path - url.ptr)} : STR("/");
}

/*
 * Sets the session's cookie; `seconds` 0 removes it. Browsers add it only to requests of our own pages, and hide it from
 * scripts.
 */
static void set_cookie(struct request *request, struct str token, int seconds)
{
    struct buffer cookie = BUFFER_INIT;
    char room[512];
    const struct api *api = request_app(request);
    bool secure = is_https(client_base_url(request, room, sizeof(room))) || is_https(api->config->public_url) ||
                  is_https(request_header(request, "origin")); /* the page itself knows, without TRUST_PROXY too */
    buffer_append(&cookie, STR(SESSION_COOKIE "="));
    buffer_append(&cookie, token);
    buffer_append(&cookie, STR("; Path="));
    buffer_append(&cookie, cookie_path(api));
    buffer_printf(&cookie, "; HttpOnly; SameSite=Strict; Max-Age=%d%s", seconds, secure ? "; Secure" : "");
    *buffer_reserve(&cookie, 1) = '\0';
    request_replace_header(request, "Set-Cookie", cookie.ptr);
    buffer_fini(&cookie);
}

static void write_user(struct buffer *body, const char *key, struct str name, enum role role)
{
    json_begin_object(body, key);
    json_add_text(body, "username", name);
    json_add_text(body, "role", str_from(role_name(role)));
    json_end_object(body);
}

/* Whether a page of another site sent the request. Such a page must not sign a browser in for our own pages. */
static bool is_from_elsewhere(const struct request *request)
{
    bool is_of_a_page = request_header(request, "sec-fetch-site").ptr != NULL || request_header(request, "origin").ptr != NULL;
    return is_of_a_page && !admit_is_from_own_page(request);
}

static void answer(struct signing_in *in)
{
    unsigned char random[18];
    struct buffer body = BUFFER_INIT, token = BUFFER_INIT, session = BUFFER_INIT;
    struct jwt_claims claims = {.role = in->role, .expires_at = clock_wall_ms() / 1000 + SESSION_S};
    char tag[PASSWORD_TAG_LEN + 1];
    password_tag(in->hash, tag);
    secret_random(random, sizeof(random));
    buffer_printf(&session, "%s.", tag);
    base64url_encode(&session, random, sizeof(random));
    snprintf(claims.subject, sizeof(claims.subject), "%s", in->name);
    snprintf(claims.grant, sizeof(claims.grant), "%.*s", STR_PRINTF(buffer_str(&session)));
    buffer_fini(&session);
    bool issued = signing_issue(in->api, &claims, &token);
    char name[DIRECTORY_NAME_MAX + 1];
    memcpy(name, in->name, sizeof(name));
    enum role role = in->role;
    struct request *request = signing_in_end(in, issued ? ERR_NONE : ERR_UNAVAILABLE);
    if (request != NULL) {
        json_begin_object(&body, NULL);
        json_add_text(&body, "access_token", buffer_str(&token));
        json_add_text(&body, "token_type", STR("bearer"));
        json_add_integer(&body, "expires_in", SESSION_S);
        write_user(&body, "user", str_from(name), role);
        json_end_object(&body);
        if (!is_from_elsewhere(request))
            set_cookie(request, buffer_str(&token), SESSION_S);
        request_set_header(request, "Cache-Control", "no-store");
        reply_json(request, 200, &body);
    }
    buffer_fini(&token);
}

/* Continues when a signing key is known and the directory has been read again, or with the error that prevents that. */
static void on_prepared(void *data, enum err err)
{
    struct signing_in *in = data;
    char member[DIRECTORY_NAME_MAX + 8];
    snprintf(member, sizeof(member), "user:%s", in->name);
    const struct directory_entry *user = err == ERR_NONE ? directory_find(in->api->directory, str_from(member)) : NULL;
    if (err != ERR_NONE) {
        (void)signing_in_end(in, err);
    } else if (user == NULL || user->role == ROLE_NONE) {
        refuse(in); /* removed since the password was read */
    } else {
        in->role = user->role;
        store_audit(in->api->store, &in->actor, "login", str_from(member), "done");
        answer(in);
    }
}

static void compare(void *data)
{
    struct signing_in *in = data;
    in->matches = password_matches(str_from(in->password), in->hash[0] != '\0' ? in->hash : NULL);
}

static void on_compared(void *data)
{
    struct signing_in *in = data;
    if (in->matches)
        signing_prepare(in->api, &in->actor, on_prepared, in);
    else
        refuse(in);
}

static void on_password(void *data, enum err err, struct str hash)
{
    struct signing_in *in = data;
    if (err == ERR_NONE)
        snprintf(in->hash, sizeof(in->hash), "%.*s", STR_PRINTF(hash));
    if (err == ERR_NONE || err == ERR_NO_SUCH) {
        pending_allow(in->pending, OFFLOAD_PATIENCE_MS);
        err = offload_run(in->api->offload, compare, on_compared, in);
    }
    if (err != ERR_NONE)
        (void)signing_in_end(in, err);
}

static void on_limit(void *data, enum err err, int64_t wait_ms)
{
    struct signing_in *in = data;
    if (err == ERR_NONE && wait_ms > 0) {
        struct request *request = signing_in_end(in, ERR_NONE);
        if (request != NULL)
            api_reply_limited(request, wait_ms);
        return;
    }
    if (err == ERR_NONE)
        err = store_password(in->api->store, str_from(in->name), on_password, in);
    if (err != ERR_NONE)
        (void)signing_in_end(in, err);
}

/* Returns the name of the rate limit's bucket for `text`, which may be any text; in `room`. */
static struct str bucket(const char *kind, struct str text, char room[48])
{
    char digest[SECRET_DIGEST_LEN + 1];
    secret_digest(text, digest);
    int len = snprintf(room, 48, "login:%s:%.20s", kind, digest);
    return (struct str){room, (size_t)len};
}

void api_login(struct request *request)
{
    struct login login;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    enum err err = login_parse(request->body, &login, &faults, &why);
    if (err != ERR_NONE) {
        api_refuse(request, err, why, &faults);
        return;
    }
    struct pending *pending = api_wait(request, sizeof(struct signing_in));
    struct signing_in *in = pending_payload(pending);
    *in = (struct signing_in){.api = request_app(request), .pending = pending};
    snprintf(in->name, sizeof(in->name), "%.*s", STR_PRINTF(login.username));
    snprintf(in->password, sizeof(in->password), "%.*s", STR_PRINTF(login.password));
    login_fini(&login);
    struct str address = client_address(request, in->address);
    if (address.ptr != in->address)
        snprintf(in->address, sizeof(in->address), "%.*s", STR_PRINTF(address));
    in->actor = (struct actor){STR("nobody"), {in->address, address.len}, in->api->config->coordinator_id, false};
    char rooms[2][48], network[INET_TEXT_MAX];
    const struct str names[] = {bucket("address", inet_client(address, network), rooms[0]),
                                bucket("name", str_from(in->name), rooms[1])};
    err = store_limit(in->api->store, LOGIN_INTERVAL_MS, LOGIN_BURST, names, 2, on_limit, in);
    if (err != ERR_NONE)
        (void)signing_in_end(in, err);
}

/* A sign-out on its way. Its texts end with a NUL. */
struct signing_out {
    struct api *api;
    struct pending *pending;
    char member[DIRECTORY_NAME_MAX + 8]; /* "user:" and the name */
    char ends[24]; /* signed_out: seconds since 1970; the user's sessions that would expire before it end now */
    char who[160], address[INET_TEXT_MAX];
    bool at_once; /* it ends all sessions of the user that have begun until now */
};

static void on_logged_out(void *data, enum err err);

/* Ends all sessions that the user has begun until now, because Redis takes no more entries of single ended sessions. */
static void end_sessions(struct signing_out *out)
{
    struct actor actor = {str_from(out->who), str_from(out->address), out->api->config->coordinator_id, false};
    struct credential_field fields[] = {{"signed_out", str_from(out->ends)}};
    struct credential_change change = {.member = str_from(out->member),
                                       .action = "logout",
                                       .mode = CREDENTIAL_OLD,
                                       .max = DIRECTORY_USERS_MAX,
                                       .fields = fields,
                                       .field_count = 1};
    out->at_once = true;
    enum err err = store_credential_put(out->api->store, &actor, &change, on_logged_out, out);
    if (err != ERR_NONE)
        on_logged_out(out, err);
}

static void on_logged_out(void *data, enum err err)
{
    struct signing_out *out = data;
    if (err == ERR_TOO_MANY && !out->at_once) {
        end_sessions(out);
        return;
    }
    bool ended =
        err == ERR_EXISTS || (err == ERR_NO_SUCH && out->at_once); /* another sign-out or the user's removal ended it before */
    struct request *request = api_resume(out->pending, ended ? ERR_NONE : err);
    if (request == NULL)
        return;
    set_cookie(request, STR(""), 0);
    reply_constant(request, 200, STR("{\"status\":\"ok\",\"message\":\"Signed out\"}"));
}

static void logout(struct request *request)
{
    const struct principal *principal = admit_principal(request);
    if (principal->by_cookie && !admit_is_from_own_page(request)) {
        reply_error(request, ERR_CROSS_SITE, NULL, NULL);
        return;
    }
    if (principal->kind != PRINCIPAL_USER) { /* only users have a session that can end */
        set_cookie(request, STR(""), 0);
        reply_constant(request, 200, STR("{\"status\":\"ok\",\"message\":\"Nobody was signed in\"}"));
        return;
    }
    char member[80];
    int len = snprintf(member, sizeof(member), "session:%s", principal->session);
    int64_t until_now = clock_wall_ms() / 1000 + SESSION_S;
    struct actor actor = admit_actor(request);
    struct credential_field fields[] = {{"user", str_from(principal->name)}};
    struct credential_change change = {.member = {member, (size_t)len},
                                       .action = "logout",
                                       .mode = CREDENTIAL_NEW,
                                       .max = DIRECTORY_SESSIONS_MAX,
                                       .ends_at = (principal->expires_at + JWT_LEEWAY) * 1000,
                                       .fields = fields,
                                       .field_count = 1};
    struct pending *pending = api_wait(request, sizeof(struct signing_out));
    struct signing_out *out = pending_payload(pending);
    *out = (struct signing_out){.api = request_app(request), .pending = pending};
    snprintf(out->member, sizeof(out->member), "user:%.*s", DIRECTORY_NAME_MAX, principal->name);
    snprintf(out->ends, sizeof(out->ends), "%lld",
             (long long)(principal->expires_at < until_now ? until_now : principal->expires_at + 1));
    snprintf(out->who, sizeof(out->who), "%.*s", STR_PRINTF(actor.who));
    snprintf(out->address, sizeof(out->address), "%.*s", STR_PRINTF(actor.address));
    enum err err = store_credential_put(out->api->store, &actor, &change, on_logged_out, out);
    if (err != ERR_NONE)
        on_logged_out(out, err);
}

void api_logout(struct request *request)
{
    admit_identify(request, (struct str){NULL, 0}, logout);
}

/* Writes who sent the request, as front-ends read it. */
static void write_verified(struct buffer *body, const struct principal *principal)
{
    json_begin_object(body, NULL);
    json_add_text(body, "username", str_from(principal->name));
    json_add_bool(body, "valid", true);
    json_add_text(body, "role", str_from(role_name(principal->role)));
    json_end_object(body);
}

static void verify(struct request *request)
{
    const struct principal *principal = admit_principal(request);
    enum identification found = admit_found(request);
    bool without = found == IDENTIFIED && principal->kind == PRINCIPAL_NONE;
    if (without || found == CREDENTIAL_OTHER) {
        reply_error(request, ERR_FORBIDDEN, without ? "Not authenticated" : "Invalid authentication credentials", NULL);
    } else if (found == CREDENTIAL_EXPIRED) {
        reply_error(request, ERR_TOKEN_EXPIRED, "Token has expired", NULL);
    } else if (found != IDENTIFIED || principal->role == ROLE_NONE) {
        enum err err = found == CREDENTIAL_REVOKED || found == CREDENTIAL_OUTDATED ? ERR_TOKEN_REVOKED : ERR_TOKEN_INVALID;
        reply_error(request, err, "Invalid authentication credentials", NULL);
    } else {
        struct buffer body = BUFFER_INIT;
        write_verified(&body, principal);
        reply_json(request, 200, &body);
    }
}

void api_verify(struct request *request)
{
    admit_identify(request, (struct str){NULL, 0}, verify);
}

static void verify_body(struct request *request)
{
    const struct principal *principal = admit_principal(request);
    struct buffer body = BUFFER_INIT;
    bool valid = admit_found(request) == IDENTIFIED && principal->role != ROLE_NONE;
    json_begin_object(&body, NULL);
    json_add_bool(&body, "valid", valid);
    if (valid)
        write_user(&body, "user", str_from(principal->name), principal->role);
    else
        json_add_text(&body, "error", STR("Invalid token"));
    json_end_object(&body);
    reply_json(request, valid ? 200 : 401, &body);
}

void api_verify_body(struct request *request)
{
    struct str token = {NULL, 0};
    char *room = request_alloc(request, AUTHORIZATION_TOKEN_MAX);
    if (!login_read_token(request->body, room, AUTHORIZATION_TOKEN_MAX, &token)) {
        reply_constant(request, 400, STR("{\"valid\":false,\"error\":\"Invalid request\"}"));
        return;
    }
    if (token.len == 0) {
        reply_constant(request, 401, STR("{\"valid\":false,\"error\":\"No token provided\"}"));
        return;
    }
    admit_identify(request, token, verify_body);
}

static void answer_keys(struct request *request)
{
    const struct api *api = request_app(request);
    const struct signing_key *signs, *keys;
    size_t count;
    keys = directory_keys(api->directory, &count, &signs);
    struct buffer body = BUFFER_INIT;
    json_begin_object(&body, NULL);
    json_begin_array(&body, "keys");
    for (size_t i = 0; i < count; i++)
        signing_key_write_jwk(&body, &keys[i]);
    json_end_array(&body);
    json_end_object(&body);
    reply_json(request, 200, &body);
}

struct publishing {
    const struct api *api;
    struct pending *pending;
};

/* Answers with the keys that are known, also while Redis is away: no other key signs then. */
static void on_keys(void *data, enum err err)
{
    struct publishing *publishing = data;
    const struct signing_key *signs;
    size_t count;
    directory_keys(publishing->api->directory, &count, &signs);
    struct request *request = api_resume(publishing->pending, count > 0 ? ERR_NONE : err);
    if (request != NULL)
        answer_keys(request);
}

void api_jwks(struct request *request)
{
    struct pending *pending = api_wait(request, sizeof(struct publishing));
    struct publishing *publishing = pending_payload(pending);
    *publishing = (struct publishing){request_app(request), pending};
    /* the client's token may be signed with a key that another thread has just made */
    directory_look_again(publishing->api->directory, on_keys, publishing);
}
