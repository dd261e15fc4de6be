#include "model/model_request.h"

#include "model/json.h"

#define MAX_TOKENS_DEFAULT "512"
#define TEMPERATURE_DEFAULT "0.7"

/* Copies the text of a JSON string to `room`, cut to `size` bytes. False if `json` is no string, or has a NUL. */
static bool read_string(struct str json, char *room, size_t size, size_t *len)
{
    if (json.len < 2 || json.ptr[0] != '"')
        return false;
    struct str plain = {json.ptr + 1, json.len - 2};
    cJSON *parsed = NULL;
    if (memchr(plain.ptr, '\\', plain.len) != NULL) {
        parsed = cJSON_ParseWithLength(json.ptr, json.len);
        if (!cJSON_IsString(parsed) || memmem(plain.ptr, plain.len, "\\u0000", 6) != NULL) {
            cJSON_Delete(parsed);
            return false;
        }
        plain = str_from(parsed->valuestring);
    }
    *len = plain.len < size ? plain.len : size;
    memcpy(room, plain.ptr, *len);
    cJSON_Delete(parsed);
    return true;
}

static void read_session(struct str body, struct model_request *out)
{
    static const char *const names[] = {"prompt_cache_key", "user"};
    out->session_len = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && out->session_len == 0; i++)
        if (!read_string(json_member_text(body, names[i]), out->session, sizeof(out->session), &out->session_len))
            out->session_len = 0;
}

static void read_model(struct str body, struct model_request *out, struct faults *faults)
{
    char name[MODEL_NAME_MAX + 1], room[MODEL_NAME_MAX];
    size_t len = 0;
    struct str normal = {NULL, 0};
    if (json_has_several(body, "model")) {
        faults_add(faults, "model", "must be there once: the worker might read another one");
        return;
    }
    if (read_string(json_member_text(body, "model"), name, sizeof(name), &len))
        normal = model_name_normal((struct str){name, len}, room);
    if (normal.ptr == NULL) {
        faults_add(faults, "model", "must be the name of a model: 1 to %d visible ASCII characters without a comma",
                   MODEL_NAME_MAX);
        return;
    }
    memcpy(out->model, normal.ptr, normal.len);
    out->model_len = normal.len;
}

enum err model_request_read(struct str body, struct model_request *out, struct faults *faults, const char **why)
{
    *out = (struct model_request){.model_len = 0};
    if (body.len == 0) {
        *why = "The body is missing.";
        return ERR_BAD_REQUEST;
    }
    enum err err = json_check_body(&body, why);
    if (err != ERR_NONE)
        return err;
    read_model(body, out, faults);
    read_session(body, out);
    return faults->count > 0 ? ERR_INVALID : ERR_NONE;
}

static bool is_number(struct str json)
{
    return json.len > 0 && (json.ptr[0] == '-' || (json.ptr[0] >= '0' && json.ptr[0] <= '9'));
}

/* Returns a number as it came, or its default if there is none. */
static struct str read_number(struct str body, const char *name, struct str fallback, struct faults *faults)
{
    struct str json = json_member_text(body, name);
    if (json.ptr == NULL || str_eq(json, STR("null")))
        return fallback;
    if (!is_number(json))
        faults_add(faults, name, "must be a number");
    return json;
}

enum err completion_request_read(struct str body, struct completion_request *out, struct model_request *model,
                                 struct faults *faults, const char **why)
{
    enum err err = model_request_read(body, model, faults, why);
    if (err == ERR_BAD_REQUEST)
        return err;
    out->model = json_member_text(body, "model");
    out->prompt = json_member_text(body, "prompt");
    if (out->prompt.len < 2 || out->prompt.ptr[0] != '"')
        faults_add(faults, "prompt", "must be a string");
    out->max_tokens = read_number(body, "max_tokens", STR(MAX_TOKENS_DEFAULT), faults);
    out->temperature = read_number(body, "temperature", STR(TEMPERATURE_DEFAULT), faults);
    return faults->count > 0 ? ERR_INVALID : ERR_NONE;
}
