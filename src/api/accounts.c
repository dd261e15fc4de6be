/*
 * An admin's requests to list, make, change and remove users and tokens. Each thread has a copy of them (directory.h); a list
 * reads the copy again first.
 */
#include "api/api.h"
#include "api/signing.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "http/offload.h"
#include "http/reply.h"
#include "model/account.h"
#include "store/credentials.h"

#include <stdio.h>
#include <stdlib.h>

#define ENDED_TOKENS_KEPT_MS (30 * 86400 * INT64_C(1000)) /* longer than any worker's own token lasts */
#define NO_CONTENT STR("{\"status\":\"ok\"}")

/* Adds a time in ms since 1970; null if it is 0. */
static void add_time(struct buffer *body, const char *key, int64_t ms)
{
    if (ms > 0)
        json_add_time(body, key, ms);
    else
        json_add_null(body, key);
}

static struct str entry_kind(const struct directory_entry *entry, struct str *name)
{
    struct str rest = str_from(entry->member), kind = str_cut(&rest, ':');
    *name = rest;
    return kind;
}

static void write_user(struct buffer *body, const struct directory_entry *user, struct str name)
{
    json_begin_object(body, NULL);
    json_add_text(body, "username", name);
    json_add_text(body, "role", str_from(role_name(user->role)));
    json_add_time(body, "created_at", user->created_at);
    json_add_text(body, "created_by", str_from(user->created_by));
    json_add_time(body, "changed_at", user->changed_at);
    json_end_object(body);
}

/* Adds a list, which has commas between, as an array. */
static void add_list(struct buffer *body, const char *key, struct str list)
{
    json_begin_array(body, key);
    while (list.len > 0)
        json_add_text(body, NULL, str_cut(&list, ','));
    json_end_array(body);
}

static void write_token(struct buffer *body, const struct directory_entry *token, struct str id)
{
    json_begin_object(body, NULL);
    json_add_text(body, "id", id);
    json_add_text(body, "kind", token->kind == SECRET_JOIN ? STR("join") : STR("api"));
    json_add_text(body, "name", str_from(token->name));
    if (token->kind == SECRET_API)
        json_add_text(body, "role", str_from(role_name(token->role)));
    if (token->kind == SECRET_JOIN) {
        if (token->max_workers > 0)
            json_add_integer(body, "max_workers", token->max_workers);
        else
            json_add_null(body, "max_workers");
        add_list(body, "tiers", str_from(token->tiers));
        add_list(body, "services", buffer_str(&token->services));
    }
    add_time(body, "expires_at", token->expires_at);
    add_time(body, "revoked_at", token->revoked_at);
    json_add_time(body, "created_at", token->created_at);
    json_add_text(body, "created_by", str_from(token->created_by));
    json_end_object(body);
}

/* Answers with all entries of a kind. The directory has just been read. */
static void answer_list(struct request *request, struct str wanted, const char *key)
{
    const struct api *api = request_app(request);
    struct buffer body = BUFFER_INIT;
    size_t count;
    const struct directory_entry *entries = directory_entries(api->directory, &count);
    json_begin_object(&body, NULL);
    json_begin_array(&body, key);
    for (size_t i = 0; i < count; i++) {
        struct str name, kind = entry_kind(&entries[i], &name);
        if (!str_eq(kind, wanted))
            continue;
        if (str_eq(kind, STR("user")))
            write_user(&body, &entries[i], name);
        else
            write_token(&body, &entries[i], name);
    }
    json_end_array(&body);
    json_end_object(&body);
    reply_json(request, 200, &body);
}

static void on_users(void *data, enum err err)
{
    struct request *request = api_resume(data, err);
    if (request != NULL)
        answer_list(request, STR("user"), "users");
}

void api_users(struct request *request)
{
    directory_refresh(((const struct api *)request_app(request))->directory, on_users, api_wait(request, 0));
}

static void on_tokens(void *data, enum err err)
{
    struct request *request = api_resume(data, err);
    if (request != NULL)
        answer_list(request, STR("token"), "tokens");
}

void api_tokens(struct request *request)
{
    directory_refresh(((const struct api *)request_app(request))->directory, on_tokens, api_wait(request, 0));
}

/* A user that is being made or changed. The password is hashed by another thread. Texts end with a NUL. */
struct user_change {
    struct api *api;
    struct pending *pending;
    struct actor actor;
    bool made;
    char actor_who[160], actor_address[64];
    char member[ACCOUNT_NAME_MAX + 8];
    char role[16];
    char password[PASSWORD_MAX + 1];
    char hash[PASSWORD_HASH_MAX];
    enum err hashed;
};

static void on_user_stored(void *data, enum err err)
{
    struct user_change *change = data;
    bool made = change->made;
    explicit_bzero(change->hash, sizeof(change->hash));
    struct request *request = api_resume(change->pending, err);
    if (request != NULL)
        reply_constant(request, made ? 201 : 200, NO_CONTENT);
}

static void store_user(struct user_change *change)
{
    struct credential_field fields[2];
    size_t count = 0;
    if (change->role[0] != '\0')
        fields[count++] = (struct credential_field){"role", str_from(change->role)};
    if (change->hash[0] != '\0')
        fields[count++] = (struct credential_field){"password", str_from(change->hash)};
    const char *action = change->made              ? "user.make"
                         : count == 2              ? "user.role+password"
                         : change->hash[0] != '\0' ? "user.password"
                                                   : "user.role";
    struct credential_change stored = {.member = str_from(change->member),
                                       .action = action,
                                       .mode = change->made ? CREDENTIAL_NEW : CREDENTIAL_OLD,
                                       .max = DIRECTORY_USERS_MAX,
                                       .fields = fields,
                                       .field_count = count};
    enum err err = store_credential_put(change->api->store, &change->actor, &stored, on_user_stored, change);
    if (err != ERR_NONE)
        on_user_stored(change, err);
}

static void hash_password(void *data)
{
    struct user_change *change = data;
    change->hashed = password_hash(str_from(change->password), change->hash);
    explicit_bzero(change->password, sizeof(change->password));
}

static void on_hashed(void *data)
{
    struct user_change *change = data;
    if (change->hashed == ERR_NONE)
        store_user(change);
    else
        on_user_stored(change, ERR_INTERNAL);
}

/* Begins to make or change the user `name`. */
static void change_user(struct request *request, struct str name, bool made, const struct account *account)
{
    struct actor actor = admit_actor(request);
    struct pending *pending = api_wait(request, sizeof(struct user_change));
    struct user_change *change = pending_payload(pending);
    *change = (struct user_change){.api = request_app(request), .pending = pending, .made = made};
    snprintf(change->actor_who, sizeof(change->actor_who), "%.*s", STR_PRINTF(actor.who));
    snprintf(change->actor_address, sizeof(change->actor_address), "%.*s", STR_PRINTF(actor.address));
    change->actor =
        (struct actor){str_from(change->actor_who), str_from(change->actor_address), actor.coordinator, actor.reaches_redis};
    snprintf(change->member, sizeof(change->member), "user:%.*s", STR_PRINTF(name));
    snprintf(change->role, sizeof(change->role), "%.*s", STR_PRINTF(account->role));
    if (account->password.ptr == NULL) {
        store_user(change);
        return;
    }
    snprintf(change->password, sizeof(change->password), "%.*s", STR_PRINTF(account->password));
    pending_allow(pending, OFFLOAD_PATIENCE_MS);
    enum err err = offload_run(change->api->offload, hash_password, on_hashed, change);
    if (err != ERR_NONE)
        on_user_stored(change, err);
}

/* Reads the body. False: the request has been answered. */
static bool read_account(struct request *request, bool change, struct account *account)
{
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    enum err err = account_parse(request->body, change, account, &faults, &why);
    if (err == ERR_NONE && account->password.ptr != NULL && password_fault(account->password) != NULL) {
        faults_add(&faults, "password", "%s", password_fault(account->password));
        account_fini(account);
        err = ERR_INVALID;
    }
    if (err != ERR_NONE)
        api_refuse(request, err, why, &faults);
    return err == ERR_NONE;
}

void api_user_add(struct request *request)
{
    struct account account;
    if (!read_account(request, false, &account))
        return;
    change_user(request, account.username, true, &account);
    account_fini(&account);
}

/* Returns the user that the path names; absent: no user can have that name, and the request has been answered. */
static struct str user_in_path(struct request *request)
{
    struct str name = request_parameter(request, "name");
    if (account_name_is_valid(name))
        return name;
    reply_error(request, ERR_NO_SUCH, NULL, NULL);
    return (struct str){NULL, 0};
}

void api_user_change(struct request *request)
{
    struct account account;
    struct str name = user_in_path(request);
    if (name.ptr == NULL || !read_account(request, true, &account))
        return;
    change_user(request, name, false, &account);
    account_fini(&account);
}

static void on_done(void *data, enum err err)
{
    struct request *request = api_resume(data, err);
    if (request != NULL)
        reply_constant(request, 200, NO_CONTENT);
}

void api_user_remove(struct request *request)
{
    const struct api *api = request_app(request);
    struct str name = user_in_path(request);
    char member[ACCOUNT_NAME_MAX + 8];
    if (name.ptr == NULL)
        return;
    int len = snprintf(member, sizeof(member), "user:%.*s", STR_PRINTF(name));
    struct actor actor = admit_actor(request);
    struct pending *pending = api_wait(request, 0);
    api_sent(pending,
             store_credential_remove(api->store, &actor, "user.remove", (struct str){member, (size_t)len}, on_done, pending));
}

/* What the answer to a new token needs. */
struct token_made {
    char text[SECRET_TEXT_LEN + 1];
};

static void on_token_made(void *data, enum err err)
{
    struct pending *pending = data;
    struct token_made made = *(struct token_made *)pending_payload(pending);
    explicit_bzero(pending_payload(pending), sizeof(made));
    struct request *request = api_resume(pending, err);
    struct secret secret;
    if (request != NULL && secret_parse(str_from(made.text), &secret)) {
        struct buffer body = BUFFER_INIT;
        json_begin_object(&body, NULL);
        json_add_text(&body, "id", secret.id);
        json_add_text(&body, "token", str_from(made.text));
        json_end_object(&body);
        request_set_header(request, "Cache-Control", "no-store");
        reply_json(request, 201, &body);
    }
    explicit_bzero(&made, sizeof(made));
}

/* Stores a new token's digest; the token itself is in the answer and nowhere else. */
static void make_token(struct request *request, const struct token_request *wanted)
{
    const struct api *api = request_app(request);
    struct buffer text = BUFFER_INIT;
    struct secret secret;
    char member[SECRET_ID_LEN + 8], expires[24] = "", workers[16] = "";
    secret_make(wanted->join ? SECRET_JOIN : SECRET_API, &text);
    if (!secret_parse(buffer_str(&text), &secret))
        abort();
    int len = snprintf(member, sizeof(member), "token:%.*s", STR_PRINTF(secret.id));
    int64_t expires_at = wanted->expires_s > 0 ? clock_wall_ms() + (int64_t)(wanted->expires_s * 1000) : 0;
    if (expires_at > 0)
        snprintf(expires, sizeof(expires), "%lld", (long long)expires_at);
    if (wanted->max_workers > 0)
        snprintf(workers, sizeof(workers), "%d", (int)wanted->max_workers);
    struct credential_field fields[] = {
        {"kind", wanted->join ? STR("join") : STR("api")},
        {"digest", str_from(secret.digest)},
        {"name", wanted->name},
        {"role", wanted->role},
        {"expires_at", str_from(expires)},
        {"max_workers", str_from(workers)},
        {"tiers", str_from(wanted->tiers)},
        {"services", buffer_str(&wanted->services)},
    };
    struct credential_change change = {.member = {member, (size_t)len},
                                       .action = "token.make",
                                       .mode = CREDENTIAL_NEW,
                                       .max = DIRECTORY_TOKENS_MAX,
                                       .ends_at = expires_at > 0 ? expires_at + ENDED_TOKENS_KEPT_MS : 0,
                                       .fields = fields,
                                       .field_count = sizeof(fields) / sizeof(fields[0])};
    struct actor actor = admit_actor(request);
    struct pending *pending = api_wait(request, sizeof(struct token_made));
    struct token_made *made = pending_payload(pending);
    memcpy(made->text, text.ptr, text.len);
    buffer_wipe(&text);
    api_sent(pending, store_credential_put(api->store, &actor, &change, on_token_made, pending));
}

void api_token_add(struct request *request)
{
    struct token_request wanted;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    enum err err = token_request_parse(request->body, &wanted, &faults, &why);
    if (err != ERR_NONE) {
        api_refuse(request, err, why, &faults);
        return;
    }
    make_token(request, &wanted);
    token_request_fini(&wanted);
}

void api_token_revoke(struct request *request)
{
    const struct api *api = request_app(request);
    struct str id = request_parameter(request, "id");
    bool with_workers;
    char member[SECRET_ID_LEN + 8], now[24];
    int len = snprintf(member, sizeof(member), "token:%.*s", id.len <= SECRET_ID_LEN ? (int)id.len : 0, id.ptr);
    if (!secret_id_is_valid(id)) {
        reply_error(request, ERR_NO_SUCH, NULL, NULL);
        return;
    }
    if (!api_query_switch(request, "with_workers", &with_workers))
        return;
    int64_t revoked_at = clock_wall_ms();
    snprintf(now, sizeof(now), "%lld", (long long)revoked_at);
    struct credential_field fields[] = {{"revoked_at", str_from(now)}, {"with_workers", STR("1")}};
    struct credential_change change = {.member = {member, (size_t)len},
                                       .action = "token.revoke",
                                       .mode = CREDENTIAL_OLD,
                                       .max = DIRECTORY_TOKENS_MAX,
                                       .ends_at = revoked_at + ENDED_TOKENS_KEPT_MS,
                                       .fields = fields,
                                       .field_count = with_workers ? 2 : 1};
    struct actor actor = admit_actor(request);
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_credential_put(api->store, &actor, &change, on_done, pending));
}
