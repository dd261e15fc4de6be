/*
 * A catalogue that is taken must be in order, its names fit for Redis keys, its containers JSON. One that is refused must say
 * why in whole lines, and none of them may tell what an environment variable holds.
 */
#include "model/catalogue_file.h"
#include "model/id.h"
#include "model/json.h"
#include "must.h"

#include <stdint.h>

#define PATH "c.json"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char secret[] = "\1secret\1"; /* no text that is JSON has these bytes */
static char broken[] = "\1secret\1\xFF";
static char empty[] = "";

static char *lookup(const char *variable)
{
    size_t length = strlen(variable);
    must(length > 0 && length <= CATALOGUE_VARIABLE_MAX);
    return variable[0] == 'A' ? secret : variable[0] == 'B' ? broken : variable[0] == 'C' ? empty : NULL;
}

static void check_word(struct str word, size_t max)
{
    must(word.ptr != NULL && word.len > 0 && word.len <= max);
    for (size_t i = 0; i < word.len; i++)
        must(word.ptr[i] > ' ' && word.ptr[i] <= '~');
}

static void check_service(const struct catalogue_service *service)
{
    must(id_is_valid(service->name));
    check_word(service->container, CATALOGUE_CONTAINER_MAX);
    check_word(service->image, CATALOGUE_IMAGE_MAX);
    must(service->tier >= TIER_GPU && service->tier <= TIER_EDGE);
    must(service->alias_count <= CATALOGUE_ALIASES_MAX);
    for (size_t i = 0; i < service->alias_count; i++)
        must(id_is_valid(service->aliases[i]) && !str_eq(service->aliases[i], service->name));
    must(service->port >= 1 && service->port <= 65535 && service->priority >= 1);
    const struct catalogue_passing *passing = &service->passing;
    must(passing->head_timeout_s >= 1 && passing->silence_timeout_s >= 1 && passing->route_count <= CATALOGUE_ROUTES_MAX);
    for (size_t i = 0; i < passing->route_count; i++) {
        struct str from = passing->routes[i].from, to = passing->routes[i].to;
        must(from.len > 1 && from.ptr[0] == '/' && from.ptr[from.len - 1] != '/' && memchr(from.ptr, '{', from.len) == NULL);
        must(to.len == 0 || (to.ptr[0] == '/' && to.ptr[to.len - 1] != '/'));
    }

    struct buffer container = BUFFER_INIT;
    catalogue_write_container(&container, service, STR("http://host"), STR("w"), true);
    cJSON *document;
    const char *why;
    must(json_parse_object(buffer_str(&container), &document, &why) == ERR_NONE);
    const cJSON *env = cJSON_GetObjectItemCaseSensitive(document, "env");
    must(cJSON_GetArraySize(env) >= 2);
    for (const cJSON *variable = env->child; variable != NULL; variable = variable->next) {
        must(cJSON_IsString(variable) && variable->string[0] != '\0');
        must(cJSON_GetObjectItemCaseSensitive(env, variable->string) == variable);
    }
    cJSON_Delete(document);
    buffer_fini(&container);
}

static void check_faults(struct str faults)
{
    must(faults.len > 0 && faults.ptr[faults.len - 1] == '\n');
    must(memmem(faults.ptr, faults.len, secret, sizeof(secret) - 1) == NULL);
    while (faults.len > 0) {
        struct str line = str_cut(&faults, '\n');
        must(line.len > sizeof(PATH) && memcmp(line.ptr, PATH ":", sizeof(PATH)) == 0);
        must(line.ptr[sizeof(PATH)] >= '1' && line.ptr[sizeof(PATH)] <= '9');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct catalogue_file file;
    struct buffer faults = BUFFER_INIT;
    struct str text = size > 0 ? (struct str){(const char *)data, size} : STR("");
    if (catalogue_file_parse(PATH, text, lookup, &file, &faults) != ERR_NONE) {
        check_faults(buffer_str(&faults));
    } else {
        must(faults.len == 0 && file.count > 0 && file.count <= CATALOGUE_SERVICES_MAX);
        for (size_t i = 0; i < file.count; i++) {
            check_service(&file.services[i]);
            must(i == 0 || catalogue_compare(&file.services[i - 1], &file.services[i]) < 0);
        }
    }
    buffer_fini(&faults);
    catalogue_file_fini(&file);
    return 0;
}
