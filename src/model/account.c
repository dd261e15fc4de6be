#include "model/account.h"

#include "base/ascii.h"
#include "model/id.h"
#include "model/json.h"
#include "model/tier.h"

#include <math.h>
#include <stdio.h>

#define WORKERS_MAX 1000 /* workers of one join token: a registration that finds it full goes through all of them */

bool account_name_is_valid(struct str name)
{
    if (name.len == 0 || name.len > ACCOUNT_NAME_MAX || !ascii_is_alphanumeric(name.ptr[0]))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_is_alphanumeric(name.ptr[i]) && name.ptr[i] != '.' && name.ptr[i] != '_' && name.ptr[i] != '-')
            return false;
    return true;
}

static void read_role(const cJSON *root, struct str *out, struct faults *faults)
{
    json_get_string(root, "role", SIZE_MAX, "role", out, faults);
    if (out->ptr != NULL && !str_list_has(STR("viewer,user,operator,admin"), *out))
        faults_add(faults, "role", "must be viewer, user, operator or admin");
}

static void require(bool there, const char *name, struct faults *faults)
{
    if (!there)
        faults_add(faults, name, "is required");
}

enum err account_parse(struct str body, bool change, struct account *out, struct faults *faults, const char **why)
{
    cJSON *root;
    enum err err = json_parse_object(body, &root, why);
    if (err != ERR_NONE)
        return err;
    struct account account = {.document = root};
    json_get_string(root, "password", SIZE_MAX, "password", &account.password, faults);
    read_role(root, &account.role, faults);
    if (change) {
        require(account.password.ptr != NULL || account.role.ptr != NULL, "password", faults);
    } else {
        json_get_string(root, "username", SIZE_MAX, "username", &account.username, faults);
        require(account.username.ptr != NULL, "username", faults);
        require(account.password.ptr != NULL, "password", faults);
        require(account.role.ptr != NULL, "role", faults);
        if (account.username.ptr != NULL && !account_name_is_valid(account.username))
            faults_add(faults, "username", "must have 1 to %d of A-Z a-z 0-9 . _ - and begin with a letter or a digit",
                       ACCOUNT_NAME_MAX);
    }
    if (faults->count > 0) {
        account_fini(&account);
        return ERR_INVALID;
    }
    *out = account;
    return ERR_NONE;
}

void account_fini(struct account *account)
{
    if (account->password.ptr != NULL)
        explicit_bzero((char *)(uintptr_t)account->password.ptr, account->password.len);
    cJSON_Delete(account->document);
    *account = (struct account){0};
}

static void read_kind(const cJSON *root, bool *join, struct faults *faults)
{
    struct str kind = {NULL, 0};
    json_get_string(root, "kind", SIZE_MAX, "kind", &kind, faults);
    *join = str_eq(kind, STR("join"));
    if (!*join && !str_eq(kind, STR("api")))
        faults_add(faults, "kind", "must be join (for workers) or api (for a program)");
}

/* Refuses an empty list: it must not make a token without that limit. */
static void refuse_empty(const cJSON *list, const char *name, struct faults *faults)
{
    if (list != NULL && cJSON_IsArray(list) && list->child == NULL)
        faults_add(faults, name, "must not be empty; leave it out for a token without this limit");
}

static void read_tiers(const cJSON *root, char tiers[8], struct faults *faults)
{
    bool wanted[TIER_COUNT + 1] = {false};
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "tiers"), *item;
    if (list != NULL && !cJSON_IsNull(list) && !cJSON_IsArray(list))
        faults_add(faults, "tiers", "must be an array of numbers from 1 to 4");
    refuse_empty(list, "tiers", faults);
    cJSON_ArrayForEach(item, list)
    {
        double tier = cJSON_IsNumber(item) ? item->valuedouble : 0;
        if (floor(tier) == tier && tier >= TIER_GPU && tier <= TIER_EDGE)
            wanted[(int)tier] = true;
        else
            faults_add(faults, "tiers", "must have numbers from 1 to 4 alone");
    }
    char *at = tiers;
    for (int tier = TIER_GPU; tier <= TIER_EDGE; tier++) {
        if (!wanted[tier])
            continue;
        if (at > tiers)
            *at++ = ',';
        *at++ = (char)('0' + tier);
    }
    *at = '\0';
}

static void read_services(const cJSON *root, struct buffer *services, struct faults *faults)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "services"), *item;
    if (list != NULL && !cJSON_IsNull(list) && !cJSON_IsArray(list))
        faults_add(faults, "services", "must be an array of names");
    refuse_empty(list, "services", faults);
    cJSON_ArrayForEach(item, list)
    {
        struct str name = str_from(cJSON_GetStringValue(item));
        if (name.ptr == NULL || !id_is_valid(name)) {
            faults_add(faults, "services", "must have names of services alone");
            continue;
        }
        buffer_append(services, services->len > 0 ? STR(",") : STR(""));
        buffer_append(services, name);
    }
    if (services->len > ACCOUNT_SERVICES_MAX)
        faults_add(faults, "services", "must have at most %d bytes together", ACCOUNT_SERVICES_MAX);
}

static void read_name(const cJSON *root, struct str *name, struct faults *faults)
{
    json_get_string(root, "name", ACCOUNT_NAME_MAX, "name", name, faults);
    require(name->len > 0, "name", faults);
    for (size_t i = 0; i < name->len; i++) {
        if ((unsigned char)name->ptr[i] < ' ' || name->ptr[i] == 0x7f) {
            faults_add(faults, "name", "must have no control characters");
            return;
        }
    }
}

/* Refuses unknown members: a misspelt limit must not make a token without that limit. */
static void refuse_other_members(const cJSON *root, struct faults *faults)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, root)
    {
        if (!str_list_has(STR("kind,name,role,expires_seconds,max_workers,tiers,services"), str_from(item->string)))
            faults_add(
                faults, item->string,
                "is no member of this request; there are kind, name, role, expires_seconds, max_workers, tiers and services");
    }
}

enum err token_request_parse(struct str body, struct token_request *out, struct faults *faults, const char **why)
{
    cJSON *root;
    enum err err = json_parse_object(body, &root, why);
    if (err != ERR_NONE)
        return err;
    struct token_request request = {.services = BUFFER_INIT, .document = root};
    read_kind(root, &request.join, faults);
    read_name(root, &request.name, faults);
    read_role(root, &request.role, faults);
    json_get_number(root, "expires_seconds", 1, ACCOUNT_EXPIRES_MAX, "expires_seconds", &request.expires_s, faults);
    json_get_number(root, "max_workers", 1, WORKERS_MAX, "max_workers", &request.max_workers, faults);
    read_tiers(root, request.tiers, faults);
    read_services(root, &request.services, faults);
    refuse_other_members(root, faults);
    if (floor(request.max_workers) != request.max_workers)
        faults_add(faults, "max_workers", "must be a whole number");
    bool limited = request.max_workers > 0 || request.tiers[0] != '\0' || request.services.len > 0;
    if (request.join && request.role.ptr != NULL)
        faults_add(faults, "role", "is for api tokens: a join token has no role");
    if (!request.join)
        require(request.role.ptr != NULL, "role", faults);
    if (!request.join && limited)
        faults_add(faults, "kind", "must be join where max_workers, tiers or services are given");
    if (faults->count > 0) {
        token_request_fini(&request);
        return ERR_INVALID;
    }
    *out = request;
    return ERR_NONE;
}

void token_request_fini(struct token_request *request)
{
    buffer_fini(&request->services);
    cJSON_Delete(request->document);
    *request = (struct token_request){0};
}
