#include "model/heartbeat.h"

#include "model/health.h"
#include "model/id.h"
#include "model/json.h"
#include "model/model_name.h"
#include "model/status.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>

#define REQUESTS_MAX 1e9
#define UTILIZATION_MAX 1e4 /* some drivers add up their cards */

static void read_worker_id(const cJSON *root, struct heartbeat *out, struct faults *faults)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, "worker_id");
    if (item == NULL || cJSON_IsNull(item)) {
        faults_add(faults, "worker_id", "is required");
        return;
    }
    json_get_string(root, "worker_id", SIZE_MAX, "worker_id", &out->worker_id, faults);
    if (out->worker_id.ptr != NULL && !id_is_valid(out->worker_id))
        faults_add(faults, "worker_id", ID_RULE);
}

static void read_status(const cJSON *root, struct heartbeat *out, struct faults *faults)
{
    enum worker_status status;
    struct str said = worker_status_words[WORKER_HEALTHY];
    json_get_string(root, "status", SIZE_MAX, "status", &said, faults);
    if (worker_status_parse_told(said, &status))
        out->status = worker_status_words[status];
    else
        faults_add(faults, "status", WORKER_STATUS_TOLD_RULE);
}

static void read_load(const cJSON *root, struct heartbeat *out, struct faults *faults)
{
    json_get_number(root, "current_load", 0, INFINITY, "current_load", &out->current_load, faults);
    out->current_load = fmin(out->current_load, 1); /* agents round up */
}

static void read_active_requests(const cJSON *root, struct heartbeat *out, struct faults *faults)
{
    json_get_number(root, "active_requests", 0, REQUESTS_MAX, "active_requests", &out->active_requests, faults);
    if (floor(out->active_requests) < out->active_requests)
        faults_add(faults, "active_requests", "must be a whole number");
}

/* What only informs is left out where it is too long: a live worker must not go offline for it. */
static struct str unless_longer(struct str text, size_t max)
{
    return text.len <= max ? text : (struct str){NULL, 0};
}

static void read_text(const cJSON *root, const char *name, size_t max, struct str *out, struct faults *faults)
{
    json_get_string(root, name, SIZE_MAX, name, out, faults);
    *out = unless_longer(*out, max);
}

static void read_loaded_models(const cJSON *root, struct str body, struct heartbeat *out, struct faults *faults)
{
    const cJSON *models = cJSON_GetObjectItemCaseSensitive(root, "loaded_models");
    if (models == NULL || cJSON_IsNull(models))
        return;
    if (!cJSON_IsArray(models)) {
        faults_add(faults, "loaded_models", "must be an array of strings");
        return;
    }
    size_t index = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, models)
    {
        char field[48];
        size_t at = index++;
        if (cJSON_IsString(item))
            continue;
        snprintf(field, sizeof(field), "loaded_models[%zu]", at);
        faults_add(faults, field, "must be a string");
    }
    out->loaded_models = unless_longer(json_member_text(body, "loaded_models"), HEARTBEAT_JSON_MAX);
}

static void read_services_status(const cJSON *root, struct str body, struct heartbeat *out, struct faults *faults)
{
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(root, "services_status");
    if (status == NULL || cJSON_IsNull(status))
        return;
    if (cJSON_IsObject(status))
        out->services_status = unless_longer(json_member_text(body, "services_status"), HEARTBEAT_JSON_MAX);
    else
        faults_add(faults, "services_status", "must be an object");
}

enum err heartbeat_parse(struct str body, struct heartbeat *out, struct faults *faults, const char **why)
{
    cJSON *root;
    enum err err = json_parse_object(body, &root, why);
    if (err != ERR_NONE)
        return err;
    struct heartbeat heartbeat = {.active_requests = -1, .gpu_utilization = -1, .expect_silence = -1, .document = root};
    read_worker_id(root, &heartbeat, faults);
    read_status(root, &heartbeat, faults);
    read_load(root, &heartbeat, faults);
    read_active_requests(root, &heartbeat, faults);
    read_loaded_models(root, body, &heartbeat, faults);
    read_services_status(root, body, &heartbeat, faults);
    read_text(root, "available_memory", HEARTBEAT_MEMORY_MAX, &heartbeat.available_memory, faults);
    read_text(root, "specialization", HEARTBEAT_SPECIALIZATION_MAX, &heartbeat.specialization, faults);
    json_get_number(root, "gpu_utilization", 0, UTILIZATION_MAX, "gpu_utilization", &heartbeat.gpu_utilization, faults);
    json_get_number(root, "expect_silence", 0, HEARTBEAT_SILENCE_MAX, "expect_silence", &heartbeat.expect_silence, faults);
    if (faults->count > 0) {
        heartbeat_fini(&heartbeat);
        return ERR_INVALID;
    }
    *out = heartbeat;
    return ERR_NONE;
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
    *heartbeat = (struct heartbeat){0};
}
