/*
 * The text and the tree that cJSON makes of it are walked side by side: the tree has the values, the text has the lines.
 */
#include "model/catalogue_file.h"

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
#define NAME_SHOWN_MAX 128 /* of a member's name, in a fault */

/* The members of a service. */
enum { NAME, TIER, CONTAINER, IMAGE, PORT, PRIORITY, ENV, MEMBER_COUNT };

static const struct {
    const char *name;
    bool required;
} members[MEMBER_COUNT] = {
    [NAME] = {"name", true},   [TIER] = {"tier", true}, [CONTAINER] = {"container", false},
    [IMAGE] = {"image", true}, [PORT] = {"port", true}, [PRIORITY] = {"priority", false},
    [ENV] = {"env", false},
};

struct reading {
    const char *path;
    struct str text;
    catalogue_lookup *lookup;
    struct catalogue_file *file;
    struct buffer *faults;
    const char *counted; /* the line of this place is `line` */
    size_t line;
};

/* A value somewhere in the file. */
struct member {
    const cJSON *value; /* NULL: it is not there */
    struct str text;
    char path[NAME_SHOWN_MAX + 64]; /* "services[2].env.MODEL" */
};

/* Faults come in the file's order but for few, so counting goes on from the last one. */
static size_t line_of(struct reading *reading, const char *place)
{
    if (place < reading->counted) {
        reading->counted = reading->text.ptr;
        reading->line = 1;
    }
    for (; reading->counted < place; reading->counted++)
        reading->line += *reading->counted == '\n';
    return reading->line;
}

__attribute__((format(printf, 4, 5))) static void add_fault(struct reading *reading, const char *place, const char *path,
                                                            const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    buffer_append(reading->faults, str_from(reading->path));
    buffer_printf(reading->faults, ":%zu: %s %s\n", line_of(reading, place), path, message);
}

/* The path of a member that stands in the text under `name`. */
static void set_path(struct member *member, const char *parent, struct str name)
{
    int length = name.len < NAME_SHOWN_MAX ? (int)name.len : NAME_SHOWN_MAX;
    snprintf(member->path, sizeof(member->path), "%.60s.%.*s", parent, length, name.ptr);
}

/* Takes a whole number from low to high. Here and below, a member that is absent or wrong leaves *out alone. */
static void read_number(struct reading *reading, const struct member *member, int low, int high, int *out)
{
    if (member->value == NULL)
        return;
    double number = member->value->valuedouble;
    if (!cJSON_IsNumber(member->value) || number != floor(number) || number < low || number > high)
        add_fault(reading, member->text.ptr, member->path, "must be a whole number from %d to %d", low, high);
    else
        *out = (int)number;
}

/* Names of containers and images: no blanks, nothing that a shell or a terminal would stumble over. */
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
        add_fault(reading, member->text.ptr, member->path, "must be a string of 1 to %zu printable ASCII characters without blanks",
                  max);
}

/* In Redis a worker's services stand with commas between; a "-" alone means none. */
static void read_name(struct reading *reading, const struct member *member, size_t index, struct str *out)
{
    if (member->value == NULL)
        return;
    struct str name = cJSON_IsString(member->value) ? str_from(member->value->valuestring) : STR("");
    if (!id_is_valid(name) || str_eq(name, STR("-"))) {
        add_fault(reading, member->text.ptr, member->path, ID_RULE ", nor be a - alone");
        return;
    }
    for (size_t i = 0; i < index; i++) {
        if (str_eq(reading->file->services[i].name, name)) {
            add_fault(reading, member->text.ptr, member->path, "is that of services[%zu], too", i);
            return;
        }
    }
    *out = name;
}

/* How many characters of `text` are the name of an environment variable; 0: it begins with none. */
static size_t variable_length(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    size_t length = *text >= '0' && *text <= '9' ? 0 : strspn(text, letters);
    return length <= CATALOGUE_VARIABLE_MAX ? length : 0;
}

/* Appends what the ${…} at `text`, which ends at `end`, stands for. False when it has not that form. */
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
        add_fault(reading, member->text.ptr, member->path, "needs the environment variable %s, which is not set", variable);
    else if (!json_is_utf8(value))
        add_fault(reading, member->text.ptr, member->path, "needs the environment variable %s, which is not UTF-8", variable);
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
            add_fault(reading, member->text.ptr, member->path,
                      "has a $ that is neither ${NAME} nor ${NAME:-default}; write $$ for a dollar sign");
            return;
        }
        text = end + 1;
    }
}

static void read_variable(struct reading *reading, const struct member *member, const char *name, struct buffer *env)
{
    size_t length = strlen(name);
    if (length == 0 || variable_length(name) != length) {
        add_fault(reading, member->text.ptr, member->path, "must be named by 1 to %d characters of A-Z a-z 0-9 _, no digit first",
                  CATALOGUE_VARIABLE_MAX);
    } else if (strcmp(name, "COORDINATOR_URL") == 0 || strcmp(name, "WORKER_ID") == 0) {
        add_fault(reading, member->text.ptr, member->path, "is set by the coordinator");
    } else if (!cJSON_IsString(member->value)) {
        add_fault(reading, member->text.ptr, member->path, "must be a string");
    } else {
        struct buffer value = BUFFER_INIT;
        expand(reading, member, &value);
        buffer_append(env, STR(","));
        buffer_json_string(env, (struct str){name, length});
        buffer_append(env, STR(":"));
        buffer_json_string(env, value.len > 0 ? buffer_str(&value) : STR(""));
        buffer_fini(&value);
    }
}

/* Whether a member before `value` among those of `object` has its name. */
static bool is_repeated(const cJSON *object, const cJSON *value)
{
    return cJSON_GetObjectItemCaseSensitive(object, value->string) != value;
}

static void read_env(struct reading *reading, const struct member *member, struct buffer *env)
{
    if (member->value == NULL)
        return;
    if (!cJSON_IsObject(member->value)) {
        add_fault(reading, member->text.ptr, member->path, "must be an object");
        return;
    }
    struct json_items items = json_items(member->text);
    struct json_item item;
    for (const cJSON *value = member->value->child; json_next(&items, &item); value = value->next) {
        struct member variable = {.value = value, .text = item.value};
        set_path(&variable, member->path, item.name);
        if (is_repeated(member->value, value))
            add_fault(reading, item.name.ptr, variable.path, "is given twice");
        else
            read_variable(reading, &variable, value->string, env);
    }
    if (env->len > CATALOGUE_ENV_MAX)
        add_fault(reading, member->text.ptr, member->path, "must be at most %d bytes long with its variables replaced",
                  CATALOGUE_ENV_MAX);
}

/* Sorts the members of a service into found[]; those that don't belong there, or are missing, are faults. */
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
            add_fault(reading, item.name.ptr, unknown.path,
                      "is unknown; there are name, tier, container, image, port, priority and env");
        } else if (found[i].value != NULL) {
            add_fault(reading, item.name.ptr, found[i].path, "is given twice");
        } else {
            found[i].value = value;
            found[i].text = item.value;
        }
    }
    for (int i = 0; i < MEMBER_COUNT; i++)
        if (members[i].required && found[i].value == NULL)
            add_fault(reading, service->text.ptr, found[i].path, "is missing");
}

static void read_service(struct reading *reading, cJSON *object, struct str text, size_t index)
{
    struct catalogue_service *out = &reading->file->services[index];
    struct member service = {.value = object, .text = text};
    snprintf(service.path, sizeof(service.path), "services[%zu]", index);
    if (!cJSON_IsObject(object)) {
        add_fault(reading, text.ptr, service.path, "must be an object");
        return;
    }
    struct member found[MEMBER_COUNT];
    find_members(reading, &service, found);
    int tier = TIER_GPU;
    out->priority = PRIORITY_DEFAULT;
    read_name(reading, &found[NAME], index, &out->name);
    read_number(reading, &found[TIER], TIER_GPU, TIER_COUNT, &tier);
    read_word(reading, &found[CONTAINER], CATALOGUE_CONTAINER_MAX, &out->container);
    read_word(reading, &found[IMAGE], CATALOGUE_IMAGE_MAX, &out->image);
    read_number(reading, &found[PORT], 1, PORT_MAX, &out->port);
    read_number(reading, &found[PRIORITY], 1, PRIORITY_MAX, &out->priority);
    read_env(reading, &found[ENV], &out->env);
    out->tier = (enum tier)tier;
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
        add_fault(reading, text.ptr, "services", "must be an array of 1 to %d services", CATALOGUE_SERVICES_MAX);
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
            add_fault(reading, item.name.ptr, "the file", "has an unknown member \"%.*s\"; there is services",
                      item.name.len < NAME_SHOWN_MAX ? (int)item.name.len : NAME_SHOWN_MAX, item.name.ptr);
        else if (is_repeated(document, value))
            add_fault(reading, item.name.ptr, "services", "is given twice");
        else
            read_services(reading, value, item.value);
    }
    if (cJSON_GetObjectItemCaseSensitive(document, "services") == NULL)
        add_fault(reading, reading->text.ptr, "services", "is missing");
}

/* Malformed JSON: one fault, of which line and column are known. */
static void add_syntax_fault(struct reading *reading, const char *place, const char *why)
{
    const char *start = place;
    while (start > reading->text.ptr && start[-1] != '\n')
        start--;
    buffer_append(reading->faults, str_from(reading->path));
    buffer_printf(reading->faults, ":%zu:%td: the file %s\n", line_of(reading, place), place - start + 1, why);
}

enum err catalogue_file_parse(const char *path, struct str text, catalogue_lookup *lookup, struct catalogue_file *file,
                              struct buffer *faults)
{
    struct reading reading = {path, text, lookup, file, faults, text.ptr, 1};
    size_t before = faults->len;
    cJSON *document = NULL;
    const char *place = text.ptr, *why = "is JSON that this program can't read.", *ignored;
    *file = (struct catalogue_file){NULL, 0, NULL};
    if (json_find_fault(text, &place, &why) || json_parse_object(text, &document, &ignored) != ERR_NONE) {
        add_syntax_fault(&reading, place, why);
        return ERR_INVALID;
    }
    file->document = document;
    read_document(&reading, document);
    if (faults->len > before)
        return ERR_INVALID;
    qsort(file->services, file->count, sizeof(*file->services), catalogue_compare);
    return ERR_NONE;
}

enum err catalogue_file_load(const char *path, catalogue_lookup *lookup, struct catalogue_file *file, struct buffer *faults)
{
    *file = (struct catalogue_file){NULL, 0, NULL};
    struct buffer text = BUFFER_INIT;
    buffer_reserve(&text, CATALOGUE_FILE_MAX + 1);
    errno = 0;
    FILE *stream = fopen(path, "re");
    if (stream != NULL)
        text.len = fread(text.ptr, 1, CATALOGUE_FILE_MAX + 1, stream);
    enum err err = ERR_INVALID;
    if (stream == NULL || ferror(stream)) {
        buffer_append(faults, str_from(path));
        buffer_printf(faults, ": can't be read: %s\n", strerror(errno));
    } else if (text.len > CATALOGUE_FILE_MAX) {
        buffer_append(faults, str_from(path));
        buffer_append(faults, STR(": is larger than 1 MiB\n"));
    } else {
        err = catalogue_file_parse(path, buffer_str(&text), lookup, file, faults);
    }
    if (stream != NULL)
        fclose(stream);
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
