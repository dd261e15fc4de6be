#include "model/broadcast.h"

#include "model/catalogue.h"
#include "model/json.h"
#include "model/minify.h"
#include "model/status.h"
#include "model/submission.h"

#include <stdlib.h>

#define CAPABILITY_MAX 128

/* Reads a text, which must have no control characters. */
static void read_text(const cJSON *root, const char *name, size_t max, struct str *out, struct faults *faults)
{
    json_get_string(root, name, max, name, out, faults);
    for (size_t i = 0; i < out->len; i++)
        if ((unsigned char)out->ptr[i] < ' ' || out->ptr[i] == 0x7f) {
            faults_add(faults, name, "must have no control characters");
            return;
        }
}

enum err broadcast_parse(struct str body, struct broadcast *out, struct faults *faults, const char **why)
{
    cJSON *root;
    enum err err = json_parse_object(body, &root, why);
    if (err != ERR_NONE)
        return err;
    struct broadcast job = {.document = root};
    read_text(root, "job_type", TASK_TYPE_MAX, &job.type, faults);
    read_text(root, "required_capability", CAPABILITY_MAX, &job.capability, faults);
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(root, "job_type");
    if (type == NULL || cJSON_IsNull(type) || (cJSON_IsString(type) && type->valuestring[0] == '\0'))
        faults_add(faults, "job_type", "is required");
    struct str data = json_member_text(body, "job_data");
    if (data.ptr == NULL)
        data = STR("null");
    job.text = malloc(data.len);
    if (job.text == NULL)
        abort();
    job.data = (struct str){job.text, json_minify(data, job.text)};
    if (job.data.len > TASK_PAYLOAD_MAX) {
        *why = "The job_data is larger than 256 KiB of JSON; put it where the workers can fetch it, and send its address.";
        err = ERR_TOO_LARGE;
    } else if (faults->count > 0) {
        err = ERR_INVALID;
    }
    if (err != ERR_NONE)
        broadcast_fini(&job);
    else
        *out = job;
    return err;
}

static bool is_true(const cJSON *item)
{
    if (cJSON_IsString(item))
        return item->valuestring[0] != '\0';
    if (cJSON_IsNumber(item))
        return item->valuedouble < 0 || item->valuedouble > 0;
    return cJSON_IsTrue(item) || (item != NULL && item->child != NULL);
}

static bool has_member(struct str json, struct str name)
{
    cJSON *object = json.len > 0 ? cJSON_ParseWithLength(json.ptr, json.len) : NULL;
    bool found = false;
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        found = found || (item->string != NULL && str_eq(str_from(item->string), name) && is_true(item));
    }
    cJSON_Delete(object);
    return found;
}

/* Whether one of the services or containers in a JSON array has `name` among its own capabilities. */
static bool is_advertised(struct str json, struct str name)
{
    cJSON *list = json.len > 0 ? cJSON_ParseWithLength(json.ptr, json.len) : NULL;
    bool found = false;
    const cJSON *item, *capability;
    cJSON_ArrayForEach(item, list)
    {
        cJSON_ArrayForEach(capability, cJSON_GetObjectItemCaseSensitive(item, "capabilities"))
        {
            found = found || str_eq(str_from(cJSON_GetStringValue(capability)), name) ||
                    (capability->string != NULL && str_eq(str_from(capability->string), name) && is_true(capability));
        }
    }
    cJSON_Delete(list);
    return found;
}

static bool is_provided(struct str names, struct str service)
{
    while (names.len > 0)
        if (str_eq(str_cut(&names, ','), service))
            return true;
    return false;
}

bool broadcast_reaches(const struct broadcast *job, const struct worker *worker)
{
    const struct str *fields = worker->fields;
    struct str status = worker_status(worker), tier = fields[WORKER_tier];
    if ((!str_eq(tier, STR("1")) && !str_eq(tier, STR("2"))) || str_eq(status, worker_status_words[WORKER_OFFLINE]) ||
        str_eq(status, worker_status_words[WORKER_DRAINING]))
        return false;
    return job->capability.len == 0 || has_member(fields[WORKER_capabilities], job->capability) ||
           is_provided(fields[WORKER_provides], catalogue_name(job->capability)) ||
           is_advertised(fields[WORKER_services], job->capability) || is_advertised(fields[WORKER_containers], job->capability);
}

void broadcast_fini(struct broadcast *job)
{
    cJSON_Delete(job->document);
    free(job->text);
    *job = (struct broadcast){.text = NULL};
}
