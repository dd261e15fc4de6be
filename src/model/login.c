#include "model/login.h"

#include "model/id.h"
#include "model/json.h"

static void read_text(const cJSON *root, const char *name, size_t max, struct str *out, struct faults *faults)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, name);
    if (item == NULL || cJSON_IsNull(item))
        faults_add(faults, name, "is required");
    else
        json_get_string(root, name, max, name, out, faults);
}

enum err login_parse(struct str body, struct login *out, struct faults *faults, const char **why)
{
    cJSON *root;
    enum err err = json_parse_object(body, &root, why);
    if (err != ERR_NONE)
        return err;
    struct login login = {.document = root};
    read_text(root, "username", LOGIN_NAME_MAX, &login.username, faults);
    read_text(root, "password", LOGIN_PASSWORD_MAX, &login.password, faults);
    if (faults->count > 0) {
        login_fini(&login);
        return ERR_INVALID;
    }
    if (!id_is_valid(login.username))
        login.username = STR("-"); /* a name that nobody has: only a valid id may become part of a key */
    *out = login;
    return ERR_NONE;
}

void login_fini(struct login *login)
{
    if (login->password.ptr != NULL)
        explicit_bzero((char *)(uintptr_t)login->password.ptr, login->password.len);
    cJSON_Delete(login->document);
    *login = (struct login){0};
}

bool login_read_token(struct str body, char *room, size_t size, struct str *token)
{
    cJSON *root;
    const char *why;
    *token = (struct str){room, 0};
    if (json_parse_object(body, &root, &why) != ERR_NONE)
        return false;
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, "token");
    struct str text = str_from(cJSON_GetStringValue(item));
    bool fine = (item == NULL || cJSON_IsNull(item) || cJSON_IsString(item)) && text.len <= size;
    if (fine && text.len > 0) {
        memcpy(room, text.ptr, text.len);
        token->len = text.len;
    }
    cJSON_Delete(root);
    return fine;
}
