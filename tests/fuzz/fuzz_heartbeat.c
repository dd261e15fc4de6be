/*
 * What a heartbeat holds must be within its bounds, and the row of the worker that it updates must be JSON.
 */
#include "model/heartbeat.h"
#include "model/id.h"
#include "model/json.h"
#include "model/worker.h"
#include "must.h"

#include <math.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_known_status(struct str status)
{
    return str_eq(status, STR("healthy")) || str_eq(status, STR("degraded")) || str_eq(status, STR("draining")) ||
           str_eq(status, STR("offline"));
}

static void check_optional(double number, double high)
{
    must(number == -1 || (number >= 0 && number <= high && !signbit(number)));
}

static void check_row(const struct heartbeat *heartbeat)
{
    struct buffer load = BUFFER_INIT, row = BUFFER_INIT;
    double told_load = heartbeat->current_load >= 0 ? heartbeat->current_load : 0;
    buffer_json_number(&load, told_load);
    struct worker worker = {.id = heartbeat->worker_id, .online = STR("healthy")};
    worker.fields[WORKER_status] = heartbeat->status;
    worker.fields[WORKER_reported_status] = heartbeat->reported_status;
    worker.fields[WORKER_current_load] = buffer_str(&load);
    worker.fields[WORKER_available_memory] = heartbeat->available_memory;
    worker.fields[WORKER_specialization] = heartbeat->specialization;
    worker.fields[WORKER_loaded_models] = heartbeat->loaded_models;
    worker.fields[WORKER_services_status] = heartbeat->services_status;
    worker_write(&row, &worker, 0, (struct str){NULL, 0}, true);
    cJSON *document;
    const char *why;
    must(json_parse_object(buffer_str(&row), &document, &why) == ERR_NONE);
    const cJSON *shown = cJSON_GetObjectItemCaseSensitive(document, "current_load");
    must(cJSON_IsNumber(shown) && fabs(shown->valuedouble - told_load) < 1e-6);
    must(cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(document, "loaded_models")));
    must(cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(document, "services_status")));
    cJSON_Delete(document);
    buffer_fini(&row);
    buffer_fini(&load);
}

static void check_heartbeat(const struct heartbeat *heartbeat)
{
    must(id_is_valid(heartbeat->worker_id));
    must(heartbeat->status.ptr == NULL || is_known_status(heartbeat->status));
    must(heartbeat->reported_status.ptr == NULL ||
         (str_eq(heartbeat->status, STR("degraded")) && heartbeat->reported_status.len > 0));
    must(heartbeat->reported_status.len <= HEARTBEAT_STATUS_MAX && json_is_utf8(heartbeat->reported_status));
    check_optional(heartbeat->current_load, 1);
    check_optional(heartbeat->active_requests, 1e9);
    must(floor(heartbeat->active_requests) >= heartbeat->active_requests);
    check_optional(heartbeat->gpu_utilization, 1e4);
    check_optional(heartbeat->expect_silence, HEARTBEAT_SILENCE_MAX);
    must(heartbeat->available_memory.len <= HEARTBEAT_MEMORY_MAX);
    must(heartbeat->specialization.len <= HEARTBEAT_SPECIALIZATION_MAX);
    must(heartbeat->loaded_models.len <= HEARTBEAT_JSON_MAX && heartbeat->services_status.len <= HEARTBEAT_JSON_MAX);
    struct buffer health = BUFFER_INIT;
    must(heartbeat_write_health(&health, heartbeat) == (health.len > 0));
    for (size_t i = 0; i < health.len; i++)
        must(health.ptr[i] > ' ' && health.ptr[i] <= '~');
    buffer_fini(&health);
    check_row(heartbeat);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heartbeat heartbeat;
    struct faults faults = FAULTS_INIT, ignored = FAULTS_INIT;
    const char *why = NULL;
    enum err err = heartbeat_parse((struct str){(const char *)data, size}, &heartbeat, &faults, &ignored, &why);
    switch (err) {
    case ERR_NONE:
        must(faults.count == 0 && (ignored.count > 0) == (heartbeat.ignored.len > 0));
        if (ignored.count > 0)
            must_be_faults(&ignored);
        check_heartbeat(&heartbeat);
        heartbeat_fini(&heartbeat);
        faults_fini(&ignored);
        break;
    case ERR_INVALID:
        must_be_faults(&faults);
        faults_fini(&faults);
        break;
    default:
        must(err == ERR_BAD_REQUEST && ignored.items == NULL && why != NULL && faults.count == 0);
    }
    return 0;
}
