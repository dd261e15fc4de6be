/*
 * An admin's requests to list the keys that sign tokens, and to make a new one.
 */
#include "api/api.h"
#include "base/json_writer.h"
#include "http/reply.h"
#include "store/credentials.h"

static void on_key_list(void *data, enum err err)
{
    struct request *request = api_resume(data, err);
    if (request == NULL)
        return;
    const struct api *api = request_app(request);
    const struct signing_key *signs, *keys;
    size_t count;
    keys = directory_keys(api->directory, &count, &signs);
    struct buffer body = BUFFER_INIT;
    json_begin_object(&body, NULL);
    json_begin_array(&body, "keys");
    for (size_t i = 0; i < count; i++) {
        json_begin_object(&body, NULL);
        json_add_text(&body, "kid", str_from(keys[i].kid));
        json_add_bool(&body, "signs", &keys[i] == signs);
        json_end_object(&body);
    }
    json_end_array(&body);
    json_end_object(&body);
    reply_json(request, 200, &body);
}

void api_key_list(struct request *request)
{
    directory_refresh(((const struct api *)request_app(request))->directory, on_key_list, api_wait(request, 0));
}

static void on_rotated(void *data, enum err err, struct str kid)
{
    struct request *request = api_resume(data, err == ERR_TOO_MANY ? ERR_NONE : err);
    if (request == NULL)
        return;
    if (err == ERR_TOO_MANY) {
        reply_error(
            request, err,
            "As many keys are known as there can be. Each ends 25 hours after another has taken its place; forget=1 ends all "
            "of them now, and all sessions and workers' own tokens with them.",
            NULL);
        return;
    }
    struct buffer body = BUFFER_INIT;
    json_begin_object(&body, NULL);
    json_add_text(&body, "kid", kid);
    json_end_object(&body);
    reply_json(request, 200, &body);
}

void api_key_rotate(struct request *request)
{
    const struct api *api = request_app(request);
    struct actor actor = admit_actor(request);
    struct signing_key key;
    bool forget;
    if (!api_query_switch(request, "forget", &forget))
        return;
    if (api->config->signing_keys->count > 0) {
        reply_error(request, ERR_EXISTS,
                    "The key that signs comes from JWT_KEY_FILE: put another key there, before the present one, and restart.",
                    NULL);
        return;
    }
    signing_key_make(&key);
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_signing_key(api->store, &actor, str_from(key.kid), buffer_str(&key.private_pem),
                                        forget ? "forget" : "rotate", on_rotated, pending));
    signing_key_fini(&key);
}
