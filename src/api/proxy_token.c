/*
 * Makes the token that tells a worker who sent a request. It replaces the caller's own credential, which no worker sees.
 */
#include "api/proxy_internal.h"

#include "api/signing.h"
#include "auth/authorization.h"
#include "auth/dispatch_token.h"
#include "base/clock.h"

#include <stdio.h>

void proxy_know_caller(struct request *request, request_handler *then)
{
    const struct api *api = request_app(request);
    if (api->config->auth == AUTH_OFF && api->config->private_token.len == 0)
        admit_identify(request, (struct str){NULL, 0}, then);
    else
        then(request);
}

bool proxy_authorization_is_foreign(const struct request *request)
{
    enum identification found = admit_found(request);
    if (admit_principal(request)->kind != PRINCIPAL_NONE ||
        (found != IDENTIFIED && found != CREDENTIAL_OTHER && found != CREDENTIAL_INVALID))
        return false;
    return !request_has_twice(request, "authorization") && !authorization_may_hold_ours(request_header(request, "authorization"));
}

bool proxy_token_needs_key(const struct request *request)
{
    const struct api *api = request_app(request);
    return admit_principal(request)->kind != PRINCIPAL_NONE && api->config->private_token.len == 0 &&
           api->config->shared_secret.len == 0 && !signing_is_ready(api);
}

/* Returns the place of the token for that subject and audience. Other pairs may share the place. */
static struct proxy_token *find_place(struct proxies *proxies, struct str subject, struct str audience)
{
    unsigned hash = 5381; /* Bernstein's */
    for (size_t i = 0; i < subject.len; i++)
        hash = hash * 33 + (unsigned char)subject.ptr[i];
    for (size_t i = 0; i < audience.len; i++)
        hash = hash * 33 + (unsigned char)audience.ptr[i];
    return &proxies->tokens[hash % PROXY_TOKENS_MAX];
}

static void make_token(const struct api *api, struct proxy_token *place, struct str subject, struct str audience, int64_t now)
{
    size_t count;
    const struct signing_key *signs;
    (void)directory_keys(api->directory, &count, &signs);
    place->text.len = 0;
    snprintf(place->subject, sizeof(place->subject), "%.*s", STR_PRINTF(subject));
    snprintf(place->audience, sizeof(place->audience), "%.*s", STR_PRINTF(audience));
    place->good_until = now + DISPATCH_TOKEN_S / 2;
    if (api->config->shared_secret.len > 0)
        dispatch_token_share(api->config->shared_secret, subject, now + DISPATCH_TOKEN_S, &place->text);
    else if (signs != NULL)
        dispatch_token_sign(signs, subject, audience, now + DISPATCH_TOKEN_S, &place->text);
}

void proxy_write_token(struct buffer *out, struct proxies *proxies, struct request *request, struct str worker_id)
{
    const struct api *api = request_app(request);
    const struct principal *principal = admit_principal(request);
    if (principal->kind == PRINCIPAL_NONE || api->config->private_token.len > 0)
        return;
    int64_t now = clock_wall_ms() / 1000;
    struct str subject = str_from(principal->name), audience = api->config->shared_secret.len > 0 ? STR("") : worker_id;
    struct proxy_token *place = find_place(proxies, subject, audience);
    if (place->good_until <= now || place->good_until > now + DISPATCH_TOKEN_S || !str_eq(str_from(place->subject), subject) ||
        !str_eq(str_from(place->audience), audience))
        make_token(api, place, subject, audience, now);
    if (place->text.len == 0)
        return;
    buffer_append(out, STR("Bearer "));
    buffer_append(out, buffer_str(&place->text));
}
