#include "model/submission.h"

#include "model/catalogue.h"
#include "model/id.h"
#include "model/iso_time.h"
#include "model/json.h"
#include "model/labels.h"
#include "model/minify.h"
#include "model/model_name.h"
#include "model/size.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DAY_SECONDS 86400.0
#define YEAR_MS ((int64_t)366 * 86400 * 1000)
#define DAY_MS ((int64_t)86400 * 1000)

/* What a task demands of a worker. Absent or negative: it does not demand that. */
struct demands {
    struct str service, model, worker_id, region;
    double tier;
    double gpu_memory; /* bytes */
};

static void read_id(const cJSON *object, const char *name, const char *field, struct str *out, struct faults *faults)
{
    struct str text = {NULL, 0};
    json_get_string(object, name, SIZE_MAX, field, &text, faults);
    if (text.ptr != NULL && !id_is_valid(text))
        faults_add(faults, field, ID_RULE);
    else if (text.ptr != NULL)
        *out = text;
}

/* Reads a text, which must be not empty and have no control characters. */
static void read_text(const cJSON *object, const char *name, size_t max, struct str *out, struct faults *faults)
{
    json_get_string(object, name, max, name, out, faults);
    if (out->ptr == NULL)
        return;
    if (out->len == 0)
        faults_add(faults, name, "must not be empty");
    for (size_t i = 0; i < out->len; i++) {
        if ((unsigned char)out->ptr[i] < ' ' || out->ptr[i] == 0x7f) {
            faults_add(faults, name, "must not have control characters");
            return;
        }
    }
}

/* Reads seconds, perhaps with a fraction, as milliseconds. */
static void read_seconds(const cJSON *root, const char *name, double low, double high, int64_t *ms, struct faults *faults)
{
    double seconds = -1;
    json_get_number(root, name, low, high, name, &seconds, faults);
    if (seconds >= 0)
        *ms = (int64_t)floor(seconds * 1000 + 0.5);
}

static void read_whole(const cJSON *root, const char *name, double low, double high, const char *field, double *out,
                       struct faults *faults)
{
    json_get_number(root, name, low, high, field, out, faults);
    if (floor(*out) < *out)
        faults_add(faults, field, "must be a whole number");
}

static void read_run_at(const cJSON *root, int64_t now, struct submission *out, struct faults *faults)
{
    struct str text = {NULL, 0};
    json_get_string(root, "run_at", 64, "run_at", &text, faults);
    if (text.ptr == NULL)
        return;
    if (!iso_time_parse(text, &out->run_at))
        faults_add(faults, "run_at", "must be a time as in 2026-03-01T12:00:00Z");
    else if (out->run_at < now - DAY_MS || out->run_at > now + YEAR_MS)
        faults_add(faults, "run_at", "must not be more than a day ago, nor more than 366 days ahead");
    else if (out->delay_ms >= 0)
        faults_add(faults, "run_at", "can't be told together with delay_seconds");
}

static void read_gpu_memory(const cJSON *requirements, double *out, struct faults *faults)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(requirements, "min_gpu_memory");
    struct size size = SIZE_UNKNOWN;
    if (item == NULL || cJSON_IsNull(item))
        return;
    if (cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble < 1e15)
        size = size_of_number(item->valuedouble);
    if (!size_is_known(size) && !(cJSON_IsString(item) && size_parse(str_from(item->valuestring), &size)))
        faults_add(faults, "requirements.min_gpu_memory", "must be a size as in \"16GB\" or 16384 (MiB)");
    else
        *out = size.bytes;
}

static void check_names(const cJSON *requirements, struct faults *faults)
{
    static const char *const known[] = {"tier", "service", "model", "worker_id", "min_gpu_memory", "region", "labels"};
    const cJSON *item;
    bool told[sizeof(known) / sizeof(known[0])] = {false};
    cJSON_ArrayForEach(item, requirements)
    {
        size_t i = 0;
        while (i < sizeof(known) / sizeof(known[0]) && strcmp(item->string, known[i]) != 0)
            i++;
        if (i < sizeof(known) / sizeof(known[0])) {
            if (told[i]) /* readers of JSON differ in which one counts */
                faults_add(faults, "requirements", "names %s twice", known[i]);
            told[i] = true;
            continue;
        }
        char field[96] = "requirements";
        if (id_is_valid(str_from(item->string)))
            snprintf(field, sizeof(field), "requirements.%.60s", item->string);
        faults_add(faults, field,
                   "can't be required: there are tier, service, model, worker_id, min_gpu_memory, region and labels");
        return;
    }
}

static void add_demand(struct buffer *shape, const char *name, struct str value)
{
    if (value.ptr == NULL)
        return;
    buffer_printf(shape, "%s=%.*s;", name, STR_PRINTF(value));
}

/* Writes the demands: the most selective equality as the group, the rest as the shape; see lua/KEYS.md. */
static void write_demands(struct submission *out, struct demands demands, struct str labels)
{
    char tier[2] = {(char)('0' + (int)fmax(demands.tier, 0)), '\0'};
    struct {
        char letter;
        struct str *value;
    } groups[] = {{'w', &demands.worker_id}, {'m', &demands.model}, {'s', &demands.service}, {'t', NULL}};
    struct str told_tier = demands.tier >= 1 ? str_from(tier) : (struct str){NULL, 0};
    groups[3].value = &told_tier;
    for (size_t i = 0; i < 4 && out->group.len == 0; i++) {
        if (groups[i].value->ptr == NULL)
            continue;
        buffer_printf(&out->group, "%c:%.*s", groups[i].letter, STR_PRINTF(*groups[i].value));
        *groups[i].value = (struct str){NULL, 0};
    }
    if (out->group.len == 0)
        buffer_append(&out->group, demands.gpu_memory >= 0 ? STR("g") : STR("a"));
    add_demand(&out->shape, "tier", told_tier);
    add_demand(&out->shape, "service", demands.service);
    add_demand(&out->shape, "model", demands.model);
    if (demands.gpu_memory >= 0)
        buffer_printf(&out->shape, "gpu=%.0f;", demands.gpu_memory);
    add_demand(&out->shape, "region", demands.region);
    buffer_append(&out->shape, labels);
    if (out->shape.len > 0)
        out->shape.len--; /* the last semicolon */
}

static void read_requirements(const cJSON *requirements, struct submission *out, struct faults *faults)
{
    struct demands demands = {.tier = -1, .gpu_memory = -1};
    struct buffer labels = BUFFER_INIT;
    check_names(requirements, faults);
    read_whole(requirements, "tier", 1, 4, "requirements.tier", &demands.tier, faults);
    read_id(requirements, "service", "requirements.service", &demands.service, faults);
    if (demands.service.ptr != NULL)
        demands.service = catalogue_name(demands.service); /* workers' services have the catalogue's names, too */
    read_id(requirements, "worker_id", "requirements.worker_id", &demands.worker_id, faults);
    read_id(requirements, "region", "requirements.region", &demands.region, faults);
    json_get_string(requirements, "model", SIZE_MAX, "requirements.model", &demands.model, faults);
    char normal[MODEL_NAME_MAX];
    if (demands.model.ptr != NULL) {
        demands.model = model_name_normal(demands.model, normal);
        if (demands.model.ptr == NULL || memchr(demands.model.ptr, ';', demands.model.len) != NULL)
            faults_add(faults, "requirements.model", "must be 1 to 128 visible characters without commas and semicolons");
    }
    read_gpu_memory(requirements, &demands.gpu_memory, faults);
    labels_read(requirements, "requirements.labels", "label.", ";", &labels, faults);
    if (faults->count == 0)
        write_demands(out, demands, buffer_str(&labels));
    buffer_fini(&labels);
}

/* Keeps the payload and the requirements, minified. */
static enum err keep_text(struct str body, bool has_requirements, struct submission *out, struct faults *faults, const char **why)
{
    struct str payload = json_member_text(body, "payload"), requirements = {NULL, 0};
    if (payload.ptr == NULL)
        payload = STR("null");
    if (has_requirements)
        requirements = json_member_text(body, "requirements");
    out->text = malloc(payload.len + requirements.len + 1);
    if (out->text == NULL)
        abort();
    out->payload = (struct str){out->text, json_minify(payload, out->text)};
    if (out->payload.len > TASK_PAYLOAD_MAX) {
        *why = "The payload is larger than 256 KiB of JSON; put it where the worker can fetch it, and send its address.";
        return ERR_TOO_LARGE;
    }
    char *rest = out->text + out->payload.len;
    if (requirements.ptr != NULL)
        out->requirements = (struct str){rest, json_minify(requirements, rest)};
    if (out->requirements.len > TASK_REQUIREMENTS_MAX)
        faults_add(faults, "requirements", "must be at most %d bytes of JSON", TASK_REQUIREMENTS_MAX);
    return ERR_NONE;
}

static void read_on_conflict(const cJSON *root, struct submission *out, struct faults *faults)
{
    struct str word = STR("return");
    json_get_string(root, "on_conflict", SIZE_MAX, "on_conflict", &word, faults);
    out->replace = str_eq(word, STR("replace"));
    if (!out->replace && !str_eq(word, STR("return")))
        faults_add(faults, "on_conflict", "must be return or replace");
}

static void read_numbers(const cJSON *root, int64_t now, struct submission *out, struct faults *faults)
{
    double priority = 0, max_attempts = -1;
    json_get_number(root, "priority", -TASK_PRIORITY_MAX, TASK_PRIORITY_MAX, "priority", &priority, faults);
    if (floor(priority) < priority)
        faults_add(faults, "priority", "must be a whole number");
    read_whole(root, "max_attempts", 1, 100, "max_attempts", &max_attempts, faults);
    out->priority = (int)priority;
    out->max_attempts = (int)max_attempts;
    read_seconds(root, "delay_seconds", 0, 366 * DAY_SECONDS, &out->delay_ms, faults);
    read_run_at(root, now, out, faults);
    read_seconds(root, "ttl_seconds", 0.001, 366 * DAY_SECONDS, &out->ttl_ms, faults);
    read_seconds(root, "result_ttl_seconds", 0, 30 * DAY_SECONDS, &out->result_ttl_ms, faults);
    read_seconds(root, "lease_seconds", 5, DAY_SECONDS, &out->lease_ms, faults);
    read_seconds(root, "max_lease_seconds", 5, 7 * DAY_SECONDS, &out->lease_max_ms, faults);
    read_seconds(root, "retry_delay_seconds", 0.001, DAY_SECONDS, &out->retry_ms, faults);
    read_seconds(root, "retry_max_seconds", 0.001, 7 * DAY_SECONDS, &out->retry_max_ms, faults);
}

static enum err read_root(const cJSON *root, struct str body, int64_t now, struct submission *out, struct faults *faults,
                          const char **why)
{
    read_text(root, "type", TASK_TYPE_MAX, &out->type, faults);
    if (out->type.ptr == NULL &&
        (cJSON_GetObjectItemCaseSensitive(root, "type") == NULL || cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(root, "type"))))
        faults_add(faults, "type", "is required");
    read_id(root, "queue", "queue", &out->queue, faults);
    read_text(root, "dedup_key", TASK_DEDUP_MAX, &out->dedup_key, faults);
    read_on_conflict(root, out, faults);
    read_numbers(root, now, out, faults);
    const cJSON *requirements = cJSON_GetObjectItemCaseSensitive(root, "requirements");
    bool has_requirements = requirements != NULL && !cJSON_IsNull(requirements);
    if (has_requirements && !cJSON_IsObject(requirements))
        faults_add(faults, "requirements", "must be an object");
    else if (has_requirements)
        read_requirements(requirements, out, faults);
    else
        buffer_append(&out->group, STR("a"));
    return keep_text(body, has_requirements && requirements->child != NULL, out, faults, why);
}

static const struct submission nothing_told = {
    .queue = {"default", 7},
    .delay_ms = -1,
    .run_at = -1,
    .ttl_ms = -1,
    .result_ttl_ms = -1,
    .lease_ms = -1,
    .lease_max_ms = -1,
    .retry_ms = -1,
    .retry_max_ms = -1,
    .max_attempts = -1,
};

enum err submission_parse(struct str body, int64_t now, struct submission *out, struct faults *faults, const char **why)
{
    cJSON *root;
    enum err err = json_parse_object(body, &root, why);
    if (err != ERR_NONE)
        return err;
    struct submission submission = nothing_told;
    submission.document = root;
    err = read_root(root, body, now, &submission, faults, why);
    if (err == ERR_NONE && faults->count > 0)
        err = ERR_INVALID;
    if (err != ERR_NONE)
        submission_fini(&submission);
    else
        *out = submission;
    return err;
}

struct submission submission_for_worker(struct str type, struct str payload, struct str worker_id)
{
    struct submission submission = nothing_told;
    submission.type = type;
    submission.payload = payload;
    submission.ttl_ms = DAY_MS; /* the worker may never come back */
    buffer_printf(&submission.group, "w:%.*s", STR_PRINTF(worker_id));
    size_t room = worker_id.len + sizeof("{\"worker_id\":\"\"}");
    submission.text = malloc(room);
    if (submission.text == NULL)
        abort();
    int len = snprintf(submission.text, room, "{\"worker_id\":\"%.*s\"}", STR_PRINTF(worker_id));
    submission.requirements = (struct str){submission.text, (size_t)len};
    return submission;
}

void submission_fini(struct submission *submission)
{
    cJSON_Delete(submission->document);
    free(submission->text);
    buffer_fini(&submission->group);
    buffer_fini(&submission->shape);
    *submission = (struct submission){0};
}
