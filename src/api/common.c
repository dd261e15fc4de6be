#include "api/common.h"

#include "api/api.h"
#include "http/client.h"
#include "http/reply.h"
#include "model/id.h"
#include "model/json.h"

#include <stdio.h>

struct pending *api_wait(struct request *request, size_t payload_size)
{
    return pending_new(request, NULL, payload_size);
}

void api_sent(struct pending *pending, enum err err)
{
    if (err != ERR_NONE)
        (void)api_resume(pending, err);
}

struct request *api_resume(struct pending *pending, enum err err)
{
    struct request *request = pending_take(pending);
    pending_release(pending, ERR_INTERNAL);
    if (request == NULL || err == ERR_NONE)
        return request;
    if (err == ERR_OTHERS)
        admit_refuse_other(request);
    else
        reading_fail(request, err);
    return NULL;
}

struct str api_coordinator_url(const struct request *request, char room[512])
{
    const struct api_config *config = ((const struct api *)request_app(request))->config;
    return config->public_url.len > 0 ? config->public_url : client_base_url(request, room, 512);
}

/* Names the worker of a refused body in the request's log line, if the body names one. */
static void name_worker(struct request *request)
{
    struct str text = json_member_text(request->body, "worker_id");
    struct str id = text.len > 2 ? (struct str){text.ptr + 1, text.len - 2} : (struct str){NULL, 0};
    if (request_parameter(request, "worker_id").ptr == NULL && id.len > 0 && text.ptr[0] == '"' && id_is_valid(id))
        request_name_worker(request, id);
}

void api_refuse(struct request *request, enum err err, const char *why, struct faults *faults)
{
    if (err == ERR_INVALID)
        name_worker(request);
    reply_error(request, err, err == ERR_BAD_REQUEST ? why : NULL, err == ERR_INVALID ? faults : NULL);
    faults_fini(faults);
}

void api_query_number(const struct request *request, const char *name, int most, int *out, struct faults *faults)
{
    char room[16];
    struct str text = request_query(request, name, room, sizeof(room));
    int number = 0;
    for (size_t i = 0; i < text.len && number <= most; i++)
        number = text.ptr[i] >= '0' && text.ptr[i] <= '9' ? number * 10 + (text.ptr[i] - '0') : most + 1;
    if (text.ptr != NULL && (number == 0 || number > most))
        faults_add(faults, name, "must be a whole number from 1 to %d", most);
    else if (text.ptr != NULL)
        *out = number;
}

bool api_check_id(struct request *request, const char *name)
{
    if (id_is_valid(request_parameter(request, name)))
        return true;
    struct faults faults = FAULTS_INIT;
    faults_add(&faults, name, ID_RULE);
    request_forget_parameter(request, name);
    api_refuse(request, ERR_INVALID, NULL, &faults);
    return false;
}

bool api_query_switch(struct request *request, const char *name, bool *on)
{
    char room[8];
    struct str text = request_query(request, name, room, sizeof(room));
    *on = str_eq(text, STR("1")) || str_eq(text, STR("true"));
    if (text.len == 0 || *on || str_eq(text, STR("0")) || str_eq(text, STR("false")))
        return true;
    struct faults faults = FAULTS_INIT;
    faults_add(&faults, name, "must be 1 or true, or 0 or false");
    api_refuse(request, ERR_INVALID, NULL, &faults);
    return false;
}

struct str api_query_model(const struct request *request, char room[MODEL_NAME_MAX], struct faults *faults)
{
    char asked_room[MODEL_NAME_MAX + 1];
    struct str asked = request_query(request, "model", asked_room, sizeof(asked_room));
    struct str model = model_name_normal(asked, room);
    if (asked.ptr != NULL && model.ptr == NULL)
        faults_add(faults, "model", "must be 1 to 128 visible ASCII characters without a comma");
    return model;
}

size_t api_count_elements(struct str list, size_t most)
{
    size_t count = 0;
    if (list.ptr == NULL || list.ptr[0] != '[')
        return 0;
    struct json_items items = json_items(list);
    struct json_item item;
    while (count <= most && json_next(&items, &item))
        count++;
    return count;
}

void api_reply_limited(struct request *request, int64_t wait_ms)
{
    char seconds[24];
    snprintf(seconds, sizeof(seconds), "%lld", (long long)(wait_ms + 999) / 1000);
    request_replace_header(request, "Retry-After", seconds);
    reply_error(request, ERR_LIMITED, NULL, NULL);
}

enum err api_common_error(const enum err *first, size_t stride, size_t count)
{
    enum err common = ERR_NONE;
    for (size_t i = 0; i < count; i++) {
        enum err err = *(const enum err *)(const void *)((const char *)first + i * stride);
        if (err == ERR_NONE || err == ERR_QUEUES_FULL)
            return ERR_NONE;
        if (err_is_retryable(err))
            common = err;
    }
    return common;
}
