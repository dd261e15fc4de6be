#include "model/hardware.h"

#include "base/json_writer.h"
#include "model/gpu.h"
#include "model/json.h"

#include <math.h>

#define BYTES_MAX 9e15 /* of a size that is told: a whole number up to there is exact in JSON */

static struct size read_size(const cJSON *capabilities, const char *name, const char *field, struct faults *faults)
{
    struct size size = SIZE_UNKNOWN;
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(capabilities, name);
    if (item == NULL || cJSON_IsNull(item))
        return size;
    if (cJSON_IsNumber(item) && item->valuedouble >= 0)
        size = size_of_number(item->valuedouble);
    else if (cJSON_IsNumber(item))
        faults_add(faults, field, "must be 0 or more");
    else if (!cJSON_IsString(item))
        faults_add(faults, field, "must be a string like \"15.6GB\", or a number of gigabytes");
    else if (!size_parse(str_from(item->valuestring), &size))
        return SIZE_UNKNOWN;
    return size;
}

void hardware_read(struct hardware *hardware, const cJSON *capabilities, struct faults *faults)
{
    struct str gpu_type = {NULL, 0};
    json_get_string(capabilities, "gpu_type", SIZE_MAX, "capabilities.gpu_type", &gpu_type, faults);
    *hardware = (struct hardware){
        .gpu = gpu_is_one(gpu_type),
        .gpu_memory = read_size(capabilities, "gpu_memory", "capabilities.gpu_memory", faults),
        .ram = read_size(capabilities, "ram", "capabilities.ram", faults),
        .storage = read_size(capabilities, "storage", "capabilities.storage", faults),
    };
}

void hardware_write_size(struct buffer *out, const char *key, struct size size)
{
    struct buffer text = BUFFER_INIT;
    size_write(&text, size);
    json_begin_object(out, key);
    json_add_integer(out, "bytes", (int64_t)fmin(size.bytes, BYTES_MAX));
    json_add_text(out, "text", buffer_str(&text));
    json_end_object(out);
    buffer_fini(&text);
}

void hardware_write(struct buffer *out, const struct hardware *hardware)
{
    json_begin_object(out, NULL);
    json_add_bool(out, "gpu", hardware->gpu);
    if (size_is_known(hardware->gpu_memory))
        hardware_write_size(out, "gpu_memory", hardware->gpu_memory);
    if (size_is_known(hardware->ram))
        hardware_write_size(out, "ram", hardware->ram);
    if (size_is_known(hardware->storage))
        hardware_write_size(out, "storage", hardware->storage);
    json_end_object(out);
}
