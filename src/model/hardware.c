#include "model/hardware.h"

#include "base/json_writer.h"
#include "model/gpu.h"
#include "model/json.h"

#include <math.h>

#define BYTES_MAX 9e15 /* the largest size that is written: whole numbers up to it are exact in JSON */

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

static void store_size(struct buffer *out, struct size size)
{
    if (size_is_known(size))
        buffer_printf(out, " %.0f:%.0f", fmin(size.bytes, BYTES_MAX), fmin(size.shown * 1024, BYTES_MAX));
    else
        buffer_append(out, STR(" -"));
}

void hardware_store(struct buffer *out, const struct hardware *hardware)
{
    buffer_append(out, hardware->gpu ? STR("g") : STR("-"));
    store_size(out, hardware->gpu_memory);
    store_size(out, hardware->ram);
    store_size(out, hardware->storage);
}

/* Reads decimal digits; -1 if there is anything else. */
static double read_number(struct str text)
{
    double number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -1;
        number = number * 10 + (text.ptr[i] - '0');
    }
    return text.len > 0 && text.len <= 16 ? number : -1;
}

void hardware_write(struct buffer *out, const char *key, struct str stored)
{
    static const char *const names[] = {"gpu_memory", "ram", "storage"};
    json_begin_object(out, key);
    if (stored.len > 0)
        json_add_bool(out, "gpu", str_eq(str_cut(&stored, ' '), STR("g")));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct str shown = str_cut(&stored, ' ');
        struct str bytes = str_cut(&shown, ':');
        struct size size = {read_number(bytes), 0, read_number(shown) / 1024};
        if (size.bytes >= 0 && size.shown >= 0)
            hardware_write_size(out, names[i], size);
    }
    json_end_object(out);
}
