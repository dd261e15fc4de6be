/*
 * Walks the text and the tree that cJSON makes of it side by side: the tree has the values, the text has the lines.
 */
#include "model/catalogue_reading.h"

#include "base/file.h"
#include "model/id.h"
#include "model/json.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PRIORITY_DEFAULT 5
#define PRIORITY_MAX 1000
#define PORT_MAX 65535

/* The members of a service. */
enum { NAME, TIER, CONTAINER, IMAGE, PORT, PRIORITY, ALIASES, ENV, PASS_ENV, OWN_COUNT };
#define MEMBER_COUNT (OWN_COUNT + PASSING_COUNT) /* then come those of struct catalogue_passing */

static const struct {
    const char *name;
    bool required;
} members[MEMBER_COUNT] = {[NAME] = {"name", true},
                           [TIER] = {"tier", true},
                           [CONTAINER] = {"container", false},
                           [IMAGE] = {"image", true},
                           [PORT] = {"port", true},
                           [PRIORITY] = {"priority", false},
                           [ALIASES] = {"aliases", false},
                           [ENV] = {"env", false},
                           [PASS_ENV] = {"pass_env", false},
#define X(place, name) [OWN_COUNT + (place)] = {name, false},
                           PASSING_MEMBERS(X)
#undef X
};

void reading_add_fault(struct reading *reading, const char *place, const char *path, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    buffer_append(reading->faults, str_from(reading->path));
    buffer_printf(reading->faults, ":%zu: %s %s\n", line_of(&reading->lines, place), path, message);
}

/* Sets the path of a member from its `name` in the text. */
static void set_path(struct member *member, const char *parent, struct str name)
{
    int length = name.len < NAME_SHOWN_MAX ? (int)name.len : NAME_SHOWN_MAX;
    snprintf(member->path, sizeof(member->path), "%.60s.%.*s", parent, length, name.ptr);
}

void reading_take_number(struct reading *reading, const struct member *member, int low, int high, int *out)
{
    if (member->value == NULL)
        return;
    double number = member->value->valuedouble;
    if (!cJSON_IsNumber(member->value) || number != floor(number) || number < low || number > high)
        reading_add_fault(reading, member->text.ptr, member->path, "must be a whole number from %d to %d", low, high);
    else
        *out = (int)number;
}

/* Reads the name of a container or an image: printable ASCII without blanks, for shells and terminals. */
static void read_word(struct reading *reading, const struct member *member, size_t max, struct str *out)
{
    if (member->value == NULL)
        return;
    struct str word = cJSON_IsString(member->value) ? str_from(member->value->valuestring) : STR("");
    bool valid = word.len > 0 && word.len <= max;
    for (size_t i = 0; valid && i < word.len; i++)
        valid = word.ptr[i] > ' ' && word.ptr[i] <= '~';
    if (valid)
        *out = word;
    else
        reading_add_fault(reading, member->text.ptr, member->path,
                          "must be a string of 1 to %zu printable ASCII characters without blanks", max);
}

/*
 * Reads a name of the service `index`. Neither the service itself nor one before it may have that name already. A "-" alone is
 * refused, since in Redis it means that a worker has no services.
 */
static bool read_name(struct reading *reading, const struct member *member, size_t index, struct str *out)
{
    if (member->value == NULL)
        return false;
    struct str name = cJSON_IsString(member->value) ? str_from(member->value->valuestring) : STR("");
    if (!id_is_valid(name) || str_eq(name, STR("-"))) {
        reading_add_fault(reading, member->text.ptr, member->path, ID_RULE ", nor be a - alone");
        return false;
    }
    for (size_t i = 0; i <= index; i++) {
        const struct catalogue_service *service = &reading->file->services[i];
        bool is_name = str_eq(service->name, name);
        if (is_name || catalogue_has_alias(service, name)) {
            reading_add_fault(reading, member->text.ptr, member->path, "is that of services[%zu]%s, too", i,
                              is_name ? "" : ".aliases");
            return false;
        }
    }
    *out = name;
    return true;
}

/* Reads the aliases, after the service's name has been read. */
static void read_aliases(struct reading *reading, const struct member *member, size_t index)
{
    if (member->value == NULL)
        return;
    if (!cJSON_IsArray(member->value) || cJSON_GetArraySize(member->value) > CATALOGUE_ALIASES_MAX) {
        reading_add_fault(reading, member->text.ptr, member->path, "must be an array of at most %d names", CATALOGUE_ALIASES_MAX);
        return;
    }
    struct catalogue_service *service = &reading->file->services[index];
    struct json_items items = json_items(member->text);
    struct json_item item;
    int position = 0;
    for (const cJSON *value = member->value->child; json_next(&items, &item); value = value->next) {
        struct member alias = {.value = value, .text = item.value};
        snprintf(alias.path, sizeof(alias.path), "%.100s[%d]", member->path, position++);
        service->alias_count += read_name(reading, &alias, index, &service->aliases[service->alias_count]);
    }
}

struct members reading_members(struct reading *reading, const struct member *object)
{
    bool is_object = object->value != NULL && cJSON_IsObject(object->value);
    if (object->value != NULL && !is_object)
        reading_add_fault(reading, object->text.ptr, object->path, "must be an object");
    return (struct members){.object = object,
                            .items = json_items(is_object ? object->text : STR("{}")),
                            .next = is_object ? object->value->child : NULL};
}

bool reading_next_member(struct members *walk, struct member *out, struct str *name)
{
    struct json_item item;
    if (!json_next(&walk->items, &item))
        return false;
    *out = (struct member){.value = walk->next, .text = item.value};
    set_path(out, walk->object->path, item.name);
    *name = item.name;
    walk->next = walk->next->next;
    return true;
}

bool reading_is_repeated(const cJSON *object, const cJSON *value)
{
    return cJSON_GetObjectItemCaseSensitive(object, value->string) != value;
}

/* Sorts the members of a service into found[]. Unknown, repeated and missing members are faults. */
static void find_members(struct reading *reading, const struct member *service, struct member found[MEMBER_COUNT])
{
    for (int i = 0; i < MEMBER_COUNT; i++) {
        found[i].value = NULL;
        set_path(&found[i], service->path, str_from(members[i].name));
    }
    struct json_items items = json_items(service->text);
    struct json_item item;
    for (const cJSON *value = service->value->child; json_next(&items, &item); value = value->next) {
        int i = 0;
        while (i < MEMBER_COUNT && strcmp(members[i].name, value->string) != 0)
            i++;
        if (i == MEMBER_COUNT) {
            struct member unknown;
            set_path(&unknown, service->path, item.name);
            reading_add_fault(reading, item.name.ptr, unknown.path,
                              "is unknown; there are name, tier, container, image, port, priority, aliases, env, pass_env, "
                              "routes, proxy, spread, idempotent, pass_authorization, loads_models, set_cookie and timeouts");
        } else if (found[i].value != NULL) {
            reading_add_fault(reading, item.name.ptr, found[i].path, "is given twice");
        } else {
            found[i].value = value;
            found[i].text = item.value;
        }
    }
    for (int i = 0; i < MEMBER_COUNT; i++)
        if (members[i].required && found[i].value == NULL)
            reading_add_fault(reading, service->text.ptr, found[i].path, "is missing");
}

static void read_service(struct reading *reading, cJSON *object, struct str text, size_t index)
{
    struct catalogue_service *out = &reading->file->services[index];
    struct member service = {.value = object, .text = text};
    snprintf(service.path, sizeof(service.path), "services[%zu]", index);
    if (!cJSON_IsObject(object)) {
        reading_add_fault(reading, text.ptr, service.path, "must be an object");
        return;
    }
    struct member found[MEMBER_COUNT];
    find_members(reading, &service, found);
    int tier = TIER_GPU;
    out->priority = PRIORITY_DEFAULT;
    read_name(reading, &found[NAME], index, &out->name);
    reading_take_number(reading, &found[TIER], TIER_GPU, TIER_COUNT, &tier);
    read_word(reading, &found[CONTAINER], CATALOGUE_CONTAINER_MAX, &out->container);
    read_word(reading, &found[IMAGE], CATALOGUE_IMAGE_MAX, &out->image);
    reading_take_number(reading, &found[PORT], 1, PORT_MAX, &out->port);
    reading_take_number(reading, &found[PRIORITY], 1, PRIORITY_MAX, &out->priority);
    read_aliases(reading, &found[ALIASES], index);
    catalogue_read_env(reading, &found[ENV], &found[PASS_ENV], &out->env);
    out->tier = (enum tier)tier;
    catalogue_read_passing(reading, &found[OWN_COUNT], index);
    if (found[CONTAINER].value == NULL && out->name.ptr != NULL) {
        char container[CATALOGUE_CONTAINER_MAX + 1];
        snprintf(container, sizeof(container), "rma-%.*s-worker", STR_PRINTF(out->name));
        const cJSON *added = cJSON_AddStringToObject(object, members[CONTAINER].name, container); /* the document owns it */
        if (added == NULL)
            abort();
        out->container = str_from(added->valuestring);
    }
}

static void read_services(struct reading *reading, const cJSON *services, struct str text)
{
    int count = cJSON_GetArraySize(services);
    if (!cJSON_IsArray(services) || count == 0 || count > CATALOGUE_SERVICES_MAX) {
        reading_add_fault(reading, text.ptr, "services", "must be an array of 1 to %d services", CATALOGUE_SERVICES_MAX);
        return;
    }
    struct catalogue_file *file = reading->file;
    file->count = (size_t)count;
    file->services = calloc(file->count, sizeof(*file->services));
    if (file->services == NULL)
        abort();
    struct json_items items = json_items(text);
    struct json_item item;
    size_t index = 0;
    for (cJSON *service = services->child; json_next(&items, &item); service = service->next)
        read_service(reading, service, item.value, index++);
}

static void read_document(struct reading *reading, const cJSON *document)
{
    struct json_items items = json_items(reading->text);
    struct json_item item;
    for (const cJSON *value = document->child; json_next(&items, &item); value = value->next) {
        if (strcmp(value->string, "services") != 0)
            reading_add_fault(reading, item.name.ptr, "the file", "has an unknown member \"%.*s\"; there is services",
                              item.name.len < NAME_SHOWN_MAX ? (int)item.name.len : NAME_SHOWN_MAX, item.name.ptr);
        else if (reading_is_repeated(document, value))
            reading_add_fault(reading, item.name.ptr, "services", "is given twice");
        else
            read_services(reading, value, item.value);
    }
    if (cJSON_GetObjectItemCaseSensitive(document, "services") == NULL)
        reading_add_fault(reading, reading->text.ptr, "services", "is missing");
}

enum err catalogue_file_parse(const char *path, struct str text, catalogue_lookup *lookup, struct catalogue_file *file,
                              struct buffer *faults)
{
    struct reading reading = {path, text, lookup, file, faults, line_counter_begin(text)};
    size_t before = faults->len;
    cJSON *document = NULL;
    const char *place = text.ptr, *why = "is JSON that this program can't read.", *ignored;
    *file = (struct catalogue_file){NULL, 0, NULL};
    if (json_find_fault(text, &place, &why) || json_parse_object(text, &document, &ignored) != ERR_NONE) {
        line_add_syntax_fault(&reading.lines, path, place, why, faults);
        return ERR_INVALID;
    }
    file->document = document;
    read_document(&reading, document);
    if (faults->len > before)
        return ERR_INVALID;
    qsort(file->services, file->count, sizeof(*file->services), catalogue_compare);
    return ERR_NONE;
}

enum err catalogue_file_built_in(catalogue_lookup *lookup, struct catalogue_file *file, struct buffer *faults)
{
    return catalogue_file_parse("the built-in catalogue", embedded_catalogue_json, lookup, file, faults);
}

enum err catalogue_file_load(const char *path, catalogue_lookup *lookup, struct catalogue_file *file, struct buffer *faults)
{
    *file = (struct catalogue_file){NULL, 0, NULL};
    struct buffer text = BUFFER_INIT;
    enum err err = ERR_INVALID;
    if (file_read(path, CATALOGUE_FILE_MAX, &text)) {
        err = catalogue_file_parse(path, buffer_str(&text), lookup, file, faults);
    } else {
        int cause = errno;
        buffer_append(faults, str_from(path));
        if (cause == EFBIG)
            buffer_append(faults, STR(": is larger than 1 MiB\n"));
        else
            buffer_printf(faults, ": can't be read: %s\n", strerror(cause));
    }
    buffer_fini(&text);
    return err;
}

void catalogue_file_fini(struct catalogue_file *file)
{
    for (size_t i = 0; i < file->count; i++)
        buffer_fini(&file->services[i].env);
    free(file->services);
    cJSON_Delete(file->document);
    *file = (struct catalogue_file){NULL, 0, NULL};
}
