#include "model/heartbeat.h"

#include "base/ascii.h"
#include "base/json_writer.h"
#include "base/utf8.h"
#include "model/health.h"
#include "model/id.h"
#include "model/json.h"
#include "model/model_name.h"
#include "model/status.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define REQUESTS_MAX 1e9
#define UTILIZATION_MAX 1e4 /* some drivers add up their cards */
#define WORD_MAX 16         /* longer than any status */

/* What the readers of members share. */
struct reading {
    struct str body;
    struct heartbeat *out;
    struct faults *faults, *ignored;
    bool tells_where;
};

static void read_worker_id(struct reading *reading, const cJSON *item)
{
    struct str id = str_trim(str_from(cJSON_GetStringValue(item)));
    if (id.ptr == NULL)
        faults_add(reading->faults, "worker_id", "must be a string");
    else if (!id_is_valid(id))
        faults_add(reading->faults, "worker_id", ID_RULE);
    reading->out->worker_id = id;
}

/* Cuts a text to at most `max` bytes, after a whole character. */
static struct str cut(struct str text, size_t max)
{
    size_t len = 0, next;
    struct str rest = text;
    while ((next = utf8_length(rest)) > 0 && len + next <= max) {
        len += next;
        rest.ptr += next;
        rest.len -= next;
    }
    return (struct str){text.ptr, len};
}

static bool is_one_of(struct str text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (str_eq_nocase(text, str_from(*words)))
            return true;
    return false;
}

/* Returns a short text in lower case, in `room`; a long one as it is. */
static struct str lower_case(struct str text, char room[WORD_MAX])
{
    if (text.len > WORD_MAX)
        return text;
    for (size_t i = 0; i < text.len; i++)
        room[i] = ascii_lower(text.ptr[i]);
    return (struct str){room, text.len};
}

static void read_status(struct reading *reading, const cJSON *item)
{
    static const char *const nothing[] = {"", "none", "null", "n/a", NULL};
    char room[WORD_MAX];
    enum worker_status status;
    struct str said = str_trim(str_from(cJSON_GetStringValue(item)));
    if (said.ptr == NULL || is_one_of(said, nothing)) {
        faults_add(reading->ignored, "status", WORKER_STATUS_TOLD_RULE);
    } else if (worker_status_parse_told(lower_case(said, room), &status)) {
        reading->out->status = worker_status_words[status];
    } else {
        reading->out->status = worker_status_words[WORKER_DEGRADED];
        reading->out->reported_status = cut(said, HEARTBEAT_STATUS_MAX);
        faults_add(reading->ignored, "status", WORKER_STATUS_TOLD_RULE "; it counts as degraded");
    }
}

/* Reads a number, or a text that is one: "0.5", "0,5" and, for a percentage, "65 %". False if it is no number. */
static bool number_of(const cJSON *item, bool is_percent, double *number)
{
    char room[64], *end;
    struct str text = str_trim(str_from(cJSON_GetStringValue(item)));
    *number = cJSON_IsNumber(item) ? item->valuedouble : 0;
    if (cJSON_IsNumber(item) || text.len == 0 || text.len >= sizeof(room))
        return cJSON_IsNumber(item);
    if (is_percent && text.ptr[text.len - 1] == '%')
        text = str_trim((struct str){text.ptr, text.len - 1});
    memcpy(room, text.ptr, text.len);
    room[text.len] = '\0';
    char *comma = strchr(room, ',');
    if (comma != NULL)
        *comma = '.';
    *number = strtod(room, &end);
    return text.len > 0 && strspn(room, "0123456789.eE+-") == text.len && *end == '\0' && isfinite(*number);
}

/* Reads a number from 0 to `high` into *out. `counts_as_high`: a higher one becomes `high`; else it is left out. */
static void read_number(struct reading *reading, const cJSON *item, double high, bool counts_as_high, double *out)
{
    double number;
    bool is_percent = strcmp(item->string, "gpu_utilization") == 0;
    if (!number_of(item, is_percent, &number)) {
        faults_add(reading->ignored, item->string, "must be a number");
    } else if (number > high && counts_as_high) {
        faults_add(reading->ignored, item->string, "must be from 0 to %.15g; it counts as %.15g", high, high);
        *out = high;
    } else if (number < 0 || number > high) {
        faults_add(reading->ignored, item->string, "must be from 0 to %.15g", high);
    } else {
        *out = number == 0 ? 0 : number; /* no negative zero */
    }
}

static void read_load(struct reading *reading, const cJSON *item)
{
    read_number(reading, item, 1, true, &reading->out->current_load);
}

static void read_active_requests(struct reading *reading, const cJSON *item)
{
    double number = -1;
    read_number(reading, item, REQUESTS_MAX, false, &number);
    if (floor(number) < number)
        faults_add(reading->ignored, "active_requests", "must be a whole number");
    else
        reading->out->active_requests = number;
}

static void read_gpu_utilization(struct reading *reading, const cJSON *item)
{
    read_number(reading, item, UTILIZATION_MAX, false, &reading->out->gpu_utilization);
}

/* Reads the tasks. If one id is bad, all are left out: a task that the list lacks would be taken from the worker. */
static void read_tasks(struct reading *reading, const cJSON *item)
{
    struct heartbeat *out = reading->out;
    const cJSON *task;
    int count = 0;
    cJSON_ArrayForEach(task, item)
    {
        struct str id = str_from(cJSON_GetStringValue(task));
        if (!id_is_valid(id) || ++count > HEARTBEAT_TASKS_MAX)
            break;
        if (count > 1)
            buffer_append(&out->tasks, STR(" "));
        buffer_append(&out->tasks, id);
    }
    out->tells_tasks = cJSON_IsArray(item) && task == NULL;
    if (out->tells_tasks)
        return;
    out->tasks.len = 0; /* those before the bad one */
    faults_add(reading->ignored, "tasks", "must be an array of at most %d ids of tasks", HEARTBEAT_TASKS_MAX);
}

static void read_expect_silence(struct reading *reading, const cJSON *item)
{
    read_number(reading, item, HEARTBEAT_SILENCE_MAX, true, &reading->out->expect_silence);
}

static void read_text(struct reading *reading, const cJSON *item, size_t max, struct str *out)
{
    struct str text = str_from(cJSON_GetStringValue(item));
    if (text.ptr == NULL)
        faults_add(reading->ignored, item->string, "must be a string");
    else if (text.len > max)
        faults_add(reading->ignored, item->string, "must be at most %zu bytes long", max);
    else
        *out = text;
}

static void read_available_memory(struct reading *reading, const cJSON *item)
{
    read_text(reading, item, HEARTBEAT_MEMORY_MAX, &reading->out->available_memory);
}

static void read_specialization(struct reading *reading, const cJSON *item)
{
    read_text(reading, item, HEARTBEAT_SPECIALIZATION_MAX, &reading->out->specialization);
}

/* Keeps JSON that is not too long. */
static void keep_json(struct reading *reading, const char *field, struct str text, struct str *out)
{
    if (text.len > HEARTBEAT_JSON_MAX)
        faults_add(reading->ignored, field, "must be at most %d bytes of JSON", HEARTBEAT_JSON_MAX);
    else
        *out = text;
}

/* Returns the name of a model that comes as an object; absent if it has none. */
static struct str name_in(const cJSON *item)
{
    static const char *const members[] = {"name", "model", "id"};
    struct str name = {NULL, 0};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]) && name.len == 0; i++)
        name = str_from(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, members[i])));
    return name.len > 0 ? name : (struct str){NULL, 0};
}

/* Adds the name of a model, to the text and to the parsed names. */
static void add_model(struct reading *reading, cJSON *names, const char *name)
{
    struct buffer *text = &reading->out->models;
    json_add_text(text, NULL, str_from(name));
    cJSON *item = cJSON_CreateString(name);
    if (item == NULL || !cJSON_AddItemToArray(names, item))
        abort();
}

/* Takes the names out of an array that does not only have names. */
static void take_names(struct reading *reading, const cJSON *models, cJSON *names)
{
    size_t index = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, models)
    {
        char field[48];
        snprintf(field, sizeof(field), "loaded_models[%zu]", index++);
        struct str name = cJSON_IsObject(item) ? name_in(item) : str_from(cJSON_GetStringValue(item));
        if (name.ptr != NULL)
            add_model(reading, names, name.ptr);
        if (name.ptr != NULL && cJSON_IsObject(item))
            faults_add(reading->ignored, field, "must be a string; its name is taken");
        else if (name.ptr == NULL && !cJSON_IsNull(item)) /* a null stands for a value that was named already */
            faults_add(reading->ignored, field, "must be a string");
    }
}

/* Reads names with commas between. */
static void split_names(struct reading *reading, char *text, cJSON *names)
{
    for (char *rest = text, *name; (name = strsep(&rest, ",")) != NULL;) {
        struct str trimmed = str_trim(str_from(name));
        name[trimmed.ptr + trimmed.len - name] = '\0';
        if (trimmed.len > 0)
            add_model(reading, names, trimmed.ptr);
    }
    faults_add(reading->ignored, "loaded_models", "must be an array of strings; the names in it are taken");
}

static bool has_names_alone(const cJSON *models)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, models)
    {
        if (!cJSON_IsString(item))
            return false;
    }
    return cJSON_IsArray(models);
}

static void read_loaded_models(struct reading *reading, const cJSON *item)
{
    struct heartbeat *out = reading->out;
    if (has_names_alone(item)) {
        keep_json(reading, "loaded_models", json_member_text(reading->body, "loaded_models"), &out->loaded_models);
        return;
    }
    if (!cJSON_IsArray(item) && !cJSON_IsString(item)) {
        faults_add(reading->ignored, "loaded_models", "must be an array of strings");
        return;
    }
    cJSON *names = cJSON_CreateArray();
    if (names == NULL)
        abort();
    json_begin_array(&out->models, NULL);
    if (cJSON_IsArray(item))
        take_names(reading, item, names);
    else
        split_names(reading, item->valuestring, names);
    json_end_array(&out->models);
    if (cJSON_GetArraySize(names) > 0)
        keep_json(reading, "loaded_models", buffer_str(&out->models), &out->loaded_models);
    if (!cJSON_ReplaceItemInObjectCaseSensitive(out->document, "loaded_models", names))
        abort();
}

static void read_services_status(struct reading *reading, const cJSON *item)
{
    if (cJSON_IsObject(item))
        keep_json(reading, "services_status", json_member_text(reading->body, "services_status"), &reading->out->services_status);
    else
        faults_add(reading->ignored, "services_status", "must be an object");
}

/* Notes that there are such members. They are read together, after the others. */
static void read_whereabouts(struct reading *reading, const cJSON *item)
{
    (void)item;
    reading->tells_where = true;
}

static const struct member {
    const char *name;
    void (*read)(struct reading *reading, const cJSON *item); /* called unless the value is null */
} members[] = {
    {"worker_id", read_worker_id},
    {"status", read_status},
    {"current_load", read_load},
    {"available_memory", read_available_memory},
    {"active_requests", read_active_requests},
    {"gpu_utilization", read_gpu_utilization},
    {"loaded_models", read_loaded_models},
    {"services_status", read_services_status},
    {"specialization", read_specialization},
    {"expect_silence", read_expect_silence},
    {"tasks", read_tasks},
    {"ip_address", read_whereabouts},
    {"tunnel_url", read_whereabouts},
    {"vpn_ip", read_whereabouts},
};
#define MEMBER_COUNT (sizeof(members) / sizeof(members[0]))

static void read_members(struct reading *reading, const cJSON *root)
{
    bool seen[MEMBER_COUNT] = {false};
    for (const cJSON *item = root->child, *next; item != NULL; item = next) {
        size_t i = 0;
        next = item->next; /* a reader may replace the item */
        while (i < MEMBER_COUNT && strcmp(members[i].name, item->string) != 0)
            i++;
        if (i == MEMBER_COUNT)
            continue;
        if (seen[i])
            faults_add(reading->ignored, members[i].name, "is there more than once; the first one counts");
        else if (!cJSON_IsNull(item))
            members[i].read(reading, item);
        seen[i] = true;
    }
    if (reading->tells_where)
        whereabouts_read(&reading->out->where, root, reading->ignored, reading->ignored);
    if (reading->out->worker_id.ptr == NULL && reading->faults->count == 0)
        faults_add(reading->faults, "worker_id", "is required");
}

/* Writes the name of each member that has faults, once. The field of a fault may be a place within the member. */
static void write_ignored(struct buffer *out, const struct faults *ignored)
{
    bool named[MEMBER_COUNT + 1] = {false};
    for (size_t at = 0; at < ignored->count; at++) {
        const char *field = ignored->items[at].field;
        struct str name = {field, strcspn(field, ".[")};
        size_t i = 0;
        while (i < MEMBER_COUNT && !str_eq(str_from(members[i].name), name))
            i++;
        if (named[i])
            continue;
        named[i] = true;
        if (out->len > 0)
            buffer_append(out, STR(","));
        buffer_append(out, i < MEMBER_COUNT ? name : STR("other"));
    }
}

enum err heartbeat_parse(struct str body, struct heartbeat *out, struct faults *faults, struct faults *ignored, const char **why)
{
    cJSON *root;
    struct heartbeat heartbeat = {.current_load = -1, .active_requests = -1, .gpu_utilization = -1, .expect_silence = -1};
    enum err err = json_parse_body(JSON_PATIENT, &body, &heartbeat.mended, &root, ignored, why);
    if (err != ERR_NONE)
        return err;
    heartbeat.document = root;
    struct reading reading = {body, &heartbeat, faults, ignored, false};
    read_members(&reading, root);
    if (faults->count > 0) {
        heartbeat_fini(&heartbeat);
        faults_fini(ignored);
        return ERR_INVALID;
    }
    write_ignored(&heartbeat.ignored, ignored);
    *out = heartbeat;
    return ERR_NONE;
}

void heartbeat_settle(struct heartbeat *heartbeat, struct str caller, struct faults *ignored)
{
    size_t before = ignored->count;
    whereabouts_settle(&heartbeat->where, caller, ignored);
    if (ignored->count == before)
        return;
    heartbeat->ignored.len = 0;
    write_ignored(&heartbeat->ignored, ignored);
}

bool heartbeat_write_model_names(struct buffer *out, const struct heartbeat *heartbeat)
{
    int count = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(heartbeat->document, "loaded_models"))
    {
        char room[MODEL_NAME_MAX];
        struct str name = model_name_normal(str_from(cJSON_GetStringValue(item)), room);
        if (name.len == 0 || count == HEARTBEAT_RANKED_MODELS_MAX)
            continue;
        if (count++ > 0)
            buffer_append(out, STR(","));
        buffer_append(out, name);
    }
    return count > 0;
}

bool heartbeat_write_health(struct buffer *out, const struct heartbeat *heartbeat)
{
    struct health_list told = {.count = 0};
    if (heartbeat->services_status.ptr != NULL)
        health_add_all(&told, cJSON_GetObjectItemCaseSensitive(heartbeat->document, "services_status"));
    health_write(out, &told);
    return told.count > 0;
}

void heartbeat_fini(struct heartbeat *heartbeat)
{
    cJSON_Delete(heartbeat->document);
    buffer_fini(&heartbeat->ignored);
    buffer_fini(&heartbeat->tasks);
    whereabouts_fini(&heartbeat->where);
    buffer_fini(&heartbeat->models);
    buffer_fini(&heartbeat->mended);
    *heartbeat = (struct heartbeat){0};
}
