/*
 * The variables that a service's container gets: those of "env", in which ${NAME} stands for one of the coordinator's own, and
 * those that "pass_env" names.
 */
#include "model/catalogue_reading.h"

#include <stdio.h>

#define NOT_UTF8 "needs the environment variable %s, which is not UTF-8"

/* Returns the length of the name of a variable with which `text` begins; 0 if there is none, or it is too long. */
static size_t variable_length(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    size_t length = *text >= '0' && *text <= '9' ? 0 : strspn(text, letters);
    return length <= CATALOGUE_VARIABLE_MAX ? length : 0;
}

/* Appends the value of the ${…} from `text` to `end`. False if it does not have that form. */
static bool replace(struct reading *reading, const struct member *member, const char *text, const char *end, struct buffer *out)
{
    const char *name = text + strlen("${");
    size_t length = variable_length(name);
    const char *fallback = name + length;
    bool has_fallback = strncmp(fallback, ":-", 2) == 0;
    if (length == 0 || (!has_fallback && fallback != end))
        return false;
    fallback += has_fallback ? 2 : 0;
    if (memchr(fallback, '$', (size_t)(end - fallback)) != NULL)
        return false;

    char variable[CATALOGUE_VARIABLE_MAX + 1];
    snprintf(variable, sizeof(variable), "%.*s", (int)length, name);
    struct str value = str_from(reading->lookup(variable));
    if (has_fallback && value.len == 0)
        value = (struct str){fallback, (size_t)(end - fallback)};
    if (value.ptr == NULL)
        reading_add_fault(reading, member->text.ptr, member->path, "needs the environment variable %s, which is not set", variable);
    else if (!json_is_utf8(value))
        reading_add_fault(reading, member->text.ptr, member->path, NOT_UTF8, variable);
    else
        buffer_append(out, value);
    return true;
}

/* Appends the value with its variables replaced. */
static void expand(struct reading *reading, const struct member *member, struct buffer *out)
{
    const char *text = member->value->valuestring;
    for (;;) {
        size_t plain = strcspn(text, "$");
        buffer_append(out, (struct str){text, plain});
        text += plain;
        if (*text == '\0')
            return;
        if (text[1] == '$') {
            buffer_append(out, STR("$"));
            text += 2;
            continue;
        }
        const char *end = text[1] == '{' ? strchr(text, '}') : NULL;
        if (end == NULL || !replace(reading, member, text, end, out)) {
            reading_add_fault(reading, member->text.ptr, member->path,
                              "has a $ that is neither ${NAME} nor ${NAME:-default}; write $$ for a dollar sign");
            return;
        }
        text = end + 1;
    }
}

/* Whether a variable of a container may have that name; else adds a fault. */
static bool check_variable(struct reading *reading, const struct member *member, const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || variable_length(name) != length)
        reading_add_fault(reading, member->text.ptr, member->path,
                          "must be named by 1 to %d characters of A-Z a-z 0-9 _, no digit first", CATALOGUE_VARIABLE_MAX);
    else if (strcmp(name, "COORDINATOR_URL") == 0 || strcmp(name, "WORKER_ID") == 0)
        reading_add_fault(reading, member->text.ptr, member->path, "is set by the coordinator");
    else
        return true;
    return false;
}

static void write_variable(struct buffer *env, const char *name, struct str value)
{
    buffer_append(env, STR(","));
    buffer_json_string(env, str_from(name));
    buffer_append(env, STR(":"));
    buffer_json_string(env, value.len > 0 ? value : STR(""));
}

static void read_variable(struct reading *reading, const struct member *member, const char *name, struct buffer *env)
{
    if (!check_variable(reading, member, name))
        return;
    if (!cJSON_IsString(member->value)) {
        reading_add_fault(reading, member->text.ptr, member->path, "must be a string");
        return;
    }
    struct buffer value = BUFFER_INIT;
    expand(reading, member, &value);
    write_variable(env, name, buffer_str(&value));
    buffer_fini(&value);
}

static void read_env(struct reading *reading, const struct member *member, struct buffer *env)
{
    struct members members = reading_members(reading, member);
    struct member variable;
    struct str name;
    while (reading_next_member(&members, &variable, &name)) {
        if (reading_is_repeated(member->value, variable.value))
            reading_add_fault(reading, name.ptr, variable.path, "is given twice");
        else
            read_variable(reading, &variable, variable.value->string, env);
    }
}

/* Adds the coordinator's variables that pass_env names, under the same names, if they are set. */
static void read_pass_env(struct reading *reading, const struct member *member, const cJSON *env, struct buffer *out)
{
    if (member->value == NULL)
        return;
    if (!cJSON_IsArray(member->value)) {
        reading_add_fault(reading, member->text.ptr, member->path, "must be an array of names");
        return;
    }
    struct json_items items = json_items(member->text);
    struct json_item item;
    int position = 0;
    for (const cJSON *value = member->value->child; json_next(&items, &item); value = value->next) {
        struct member variable = {.value = value, .text = item.value};
        snprintf(variable.path, sizeof(variable.path), "%.100s[%d]", member->path, position++);
        const char *name = cJSON_IsString(value) ? value->valuestring : "";
        if (!check_variable(reading, &variable, name))
            continue;
        bool repeated = cJSON_GetObjectItemCaseSensitive(env, name) != NULL;
        for (const cJSON *before = member->value->child; before != value; before = before->next)
            repeated = repeated || (cJSON_IsString(before) && strcmp(before->valuestring, name) == 0);
        struct str text = str_from(reading->lookup(name));
        if (repeated)
            reading_add_fault(reading, variable.text.ptr, variable.path, "is given twice");
        else if (text.len > 0 && !json_is_utf8(text))
            reading_add_fault(reading, variable.text.ptr, variable.path, NOT_UTF8, name);
        else if (text.len > 0)
            write_variable(out, name, text);
    }
}

void catalogue_read_env(struct reading *reading, const struct member *env, const struct member *pass_env, struct buffer *out)
{
    read_env(reading, env, out);
    read_pass_env(reading, pass_env, env->value, out);
    if (out->len > CATALOGUE_ENV_MAX)
        reading_add_fault(reading, env->value != NULL ? env->text.ptr : pass_env->text.ptr, env->path,
                          "must be at most %d bytes long with its variables replaced", CATALOGUE_ENV_MAX);
}
