#include "model/model_name.h"

#include "base/ascii.h"

struct str model_name_normal(struct str name, char room[MODEL_NAME_MAX])
{
    static const struct str tag = {":latest", 7};
    static const struct str homes[] = {{"registry.ollama.ai/library/", 27}, {"ollama.com/library/", 19}, {"library/", 8}};
    const struct str none = {NULL, 0};
    if (name.len == 0 || name.len > MODEL_NAME_MAX)
        return none;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (c <= ' ' || c > '~' || c == ',')
            return none;
        room[i] = ascii_lower(c);
    }
    struct str normal = {room, name.len};
    if (normal.len > tag.len && memcmp(room + normal.len - tag.len, tag.ptr, tag.len) == 0)
        normal.len -= tag.len;
    for (size_t i = 0; i < sizeof(homes) / sizeof(homes[0]); i++)
        if (normal.len > homes[i].len && memcmp(normal.ptr, homes[i].ptr, homes[i].len) == 0) {
            normal = (struct str){normal.ptr + homes[i].len, normal.len - homes[i].len};
            break;
        }
    if (str_eq(normal, STR("-")) || str_eq(normal, STR("="))) /* in the registry these two mean something else */
        return none;
    return normal;
}

const char *model_names_find(const cJSON *models, struct str normal)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, models)
    {
        char room[MODEL_NAME_MAX];
        if (str_eq(model_name_normal(str_from(cJSON_GetStringValue(item)), room), normal))
            return item->valuestring;
    }
    return NULL;
}

bool model_names_have(struct str models, struct str normal)
{
    cJSON *list = models.len > 0 && normal.len > 0 ? cJSON_ParseWithLength(models.ptr, models.len) : NULL;
    bool found = model_names_find(list, normal) != NULL;
    cJSON_Delete(list);
    return found;
}
