#include "api/signing.h"

#include "api/api.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "store/credentials.h"

#include <stdio.h>
#include <stdlib.h>

#define WORKER_TOKEN_S 86400 /* how long a worker's own token lasts */

struct preparing {
    struct api *api;
    struct actor actor;
    struct buffer texts; /* what `actor` points to */
    directory_callback *callback;
    void *data;
    bool made;
};

static const struct signing_key *key_of(const struct api *api)
{
    size_t count;
    const struct signing_key *signs;
    (void)directory_keys(api->directory, &count, &signs);
    return signs;
}

static void finish(struct preparing *preparing, enum err err)
{
    preparing->callback(preparing->data, err);
    buffer_fini(&preparing->texts);
    free(preparing);
}

static void on_read(void *data, enum err err);

static void on_made(void *data, enum err err, struct str kid)
{
    struct preparing *preparing = data;
    (void)kid;
    preparing->made = true;
    if (err == ERR_NONE)
        directory_refresh(preparing->api->directory, on_read, preparing);
    else
        finish(preparing, err);
}

static void make_key(struct preparing *preparing)
{
    struct signing_key key;
    signing_key_make(&key);
    enum err err = store_signing_key(preparing->api->store, &preparing->actor, str_from(key.kid), buffer_str(&key.private_pem),
                                     "first", on_made, preparing);
    signing_key_fini(&key);
    if (err != ERR_NONE)
        finish(preparing, err);
}

static void on_read(void *data, enum err err)
{
    struct preparing *preparing = data;
    if (err == ERR_NONE && key_of(preparing->api) == NULL && !preparing->made)
        make_key(preparing);
    else
        finish(preparing, err == ERR_NONE && key_of(preparing->api) == NULL ? ERR_UNAVAILABLE : err);
}

/* Copies the actor's texts, since the caller's may be gone when the key is made. */
static void keep_actor(struct preparing *preparing, const struct actor *actor)
{
    struct buffer *texts = &preparing->texts;
    buffer_append(texts, actor->who);
    buffer_append(texts, actor->address);
    buffer_append(texts, actor->coordinator);
    const char *at = texts->ptr;
    preparing->actor = (struct actor){{at, actor->who.len},
                                      {at + actor->who.len, actor->address.len},
                                      {at + actor->who.len + actor->address.len, actor->coordinator.len},
                                      actor->reaches_redis};
}

void signing_prepare(struct api *api, const struct actor *actor, directory_callback *callback, void *data)
{
    struct preparing *preparing = calloc(1, sizeof(*preparing));
    if (preparing == NULL)
        abort();
    preparing->api = api;
    preparing->callback = callback;
    preparing->data = data;
    keep_actor(preparing, actor);
    directory_refresh(api->directory, on_read, preparing);
}

bool signing_is_ready(const struct api *api)
{
    return key_of(api) != NULL;
}

bool signing_issue(const struct api *api, const struct jwt_claims *claims, struct buffer *out)
{
    const struct signing_key *key = key_of(api);
    if (key != NULL)
        jwt_issue(key, claims, out);
    return key != NULL;
}

/* Whether the join token whose id a grant begins with is still good. If not, its workers get no new tokens. */
static bool join_holds(const struct api *api, struct str grant)
{
    char member[DIRECTORY_NAME_MAX + 16];
    struct str id = str_cut(&grant, '.');
    int len = snprintf(member, sizeof(member), "token:%.*s", STR_PRINTF(id));
    const struct directory_entry *join = directory_find(api->directory, (struct str){member, (size_t)len});
    return join != NULL && join->revoked_at == 0 && (join->expires_at == 0 || join->expires_at > clock_wall_ms());
}

void signing_write_worker_token(struct buffer *out, const struct api *api, struct str worker_id, struct str grant)
{
    struct buffer token = BUFFER_INIT;
    struct jwt_claims claims = {.worker = true, .expires_at = clock_wall_ms() / 1000 + WORKER_TOKEN_S};
    snprintf(claims.subject, sizeof(claims.subject), "%.*s", STR_PRINTF(worker_id));
    snprintf(claims.grant, sizeof(claims.grant), "%.*s", STR_PRINTF(grant));
    if (join_holds(api, grant) && signing_issue(api, &claims, &token))
        json_add_text(out, "token", buffer_str(&token));
    buffer_fini(&token);
}

bool signing_is_due(int64_t expires_at, int64_t now)
{
    return expires_at - now < WORKER_TOKEN_S / 3;
}
