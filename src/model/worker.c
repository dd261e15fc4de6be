#include "model/worker.h"

#include "base/json_writer.h"
#include "model/catalogue.h"
#include "model/hardware.h"
#include "model/json.h"
#include "model/status.h"

#include <stdio.h>

#define CONFLICT_SHOWN_MS 3600000 /* as in lua/lib/machines.lua */

const struct str worker_field_names[WORKER_FIELD_COUNT] = {
#define X(name) {#name, sizeof(#name) - 1},
    WORKER_FIELDS(X)
#undef X
};

struct str worker_status(const struct worker *worker)
{
    return worker->online.len > 0 ? worker->online : worker_status_words[WORKER_OFFLINE];
}

bool worker_is_healthy(const struct worker *worker)
{
    struct str status = worker_status(worker);
    return str_eq(status, worker_status_words[WORKER_HEALTHY]) || str_eq(status, worker_status_words[WORKER_DRAINING]);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Whether `text` is a decimal number that JSON takes as it stands: "-12.5", but not "01", "1.", "1e5" or "nan". */
static bool is_json_number(struct str text)
{
    size_t i = 0, start;
    if (i < text.len && text.ptr[i] == '-')
        i++;
    for (start = i; i < text.len && is_digit(text.ptr[i]);)
        i++;
    if (i == start || (text.ptr[start] == '0' && i > start + 1))
        return false;
    if (i == text.len)
        return true;
    if (text.ptr[i++] != '.')
        return false;
    for (start = i; i < text.len && is_digit(text.ptr[i]);)
        i++;
    return i > start && i == text.len;
}

/* Reads milliseconds since 1970; false when `text` is none that buffer_json_time can write. */
static bool parse_time(struct str text, int64_t *milliseconds)
{
    const int64_t last = 253402300799999; /* the end of year 9999 */
    int64_t value = 0;
    if (text.len == 0 || text.len > 15)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i]))
            return false;
        value = value * 10 + (text.ptr[i] - '0');
    }
    if (value > last)
        return false;
    *milliseconds = value;
    return true;
}

/* `key` is the name with its quotes, the comma before it and the colon behind it. */
static void write_string(struct buffer *out, struct str key, struct str value)
{
    buffer_append(out, key);
    buffer_json_string(out, value);
}

/* What the hash has not is `missing`, what is no number 0. */
static void write_number(struct buffer *out, struct str key, struct str value, struct str missing)
{
    buffer_append(out, key);
    if (value.len == 0)
        buffer_append(out, missing);
    else
        buffer_append(out, is_json_number(value) ? value : STR("0"));
}

static void write_json(struct buffer *out, struct str key, struct str value, struct str empty)
{
    buffer_append(out, key);
    buffer_append(out, value.len > 0 ? value : empty);
}

static void write_time(struct buffer *out, struct str key, struct str value)
{
    int64_t milliseconds;
    buffer_append(out, key);
    if (parse_time(value, &milliseconds))
        buffer_json_time(out, milliseconds);
    else
        buffer_append(out, STR("null"));
}

static void write_age(struct buffer *out, struct str last_heartbeat, int64_t now)
{
    int64_t milliseconds;
    buffer_append(out, STR(",\"age_seconds\":"));
    if (parse_time(last_heartbeat, &milliseconds))
        buffer_json_number(out, now > milliseconds ? (double)(now - milliseconds) / 1000 : 0);
    else
        buffer_append(out, STR("null"));
}

/* The next name of a list with commas between; false at its end. */
static bool next_name(struct str *list, struct str *name)
{
    while (list->len > 0) {
        *name = str_cut(list, ',');
        if (name->len > 0)
            return true;
    }
    return false;
}

static void write_names(struct buffer *out, struct str key, struct str names)
{
    struct str name, separator = STR("");
    buffer_append(out, key);
    for (; next_name(&names, &name); separator = STR(","))
        write_string(out, separator, name);
    buffer_append(out, STR("]"));
}

/* A service that the catalogue no longer has is left out. */
static void write_assigned_containers(struct buffer *out, struct str names, struct str coordinator_url, struct str worker_id)
{
    struct str name, separator = STR("");
    buffer_append(out, STR(",\"assigned_containers\":["));
    while (next_name(&names, &name)) {
        const struct catalogue_service *service = catalogue_find(name);
        if (service == NULL)
            continue;
        buffer_append(out, separator);
        if (coordinator_url.ptr != NULL)
            catalogue_write_container(out, service, coordinator_url, worker_id);
        else
            buffer_json_string(out, service->container);
        separator = STR(",");
    }
    buffer_append(out, STR("]"));
}

static void write_available_memory(struct buffer *out, struct str told)
{
    struct size size;
    write_string(out, STR(",\"available_memory\":"), told);
    if (size_parse(told, &size))
        hardware_write_size(out, "available_memory_size", size);
    else
        json_add_null(out, "available_memory_size");
}

/* Each as an object, also one that was advertised by its name alone. */
static void write_services(struct buffer *out, struct str services)
{
    struct json_items items = json_items(services.len > 0 ? services : STR("[]"));
    struct json_item item;
    struct str separator = STR("");
    buffer_append(out, STR(",\"services\":["));
    for (; json_next(&items, &item); separator = STR(",")) {
        bool is_name = item.value.len > 0 && item.value.ptr[0] == '"';
        buffer_append(out, separator);
        buffer_append(out, is_name ? STR("{\"name\":") : STR(""));
        buffer_append(out, item.value);
        buffer_append(out, is_name ? STR("}") : STR(""));
    }
    buffer_append(out, STR("]"));
}

/* The word that the worker told, where it is no status and so counts as degraded. */
static void write_reported_status(struct buffer *out, const struct worker *worker)
{
    struct str word = worker->fields[WORKER_reported_status];
    if (word.len > 0 && str_eq(worker->fields[WORKER_status], worker_status_words[WORKER_DEGRADED]))
        write_string(out, STR(",\"reported_status\":"), word);
}

/* Two machines that use its id; null when that was not seen for a while. */
static void write_conflict(struct buffer *out, struct str conflict, int64_t now)
{
    int64_t since, last;
    struct str count = conflict;
    struct str since_text = str_cut(&count, ' '), last_text = str_cut(&count, ' ');
    if (!parse_time(since_text, &since) || !parse_time(last_text, &last) || now - last > CONFLICT_SHOWN_MS) {
        json_add_null(out, "conflict");
        return;
    }
    json_begin_object(out, "conflict");
    json_add_time(out, "since", since);
    json_add_time(out, "last_seen", last);
    write_number(out, STR(",\"count\":"), count, STR("0"));
    json_end_object(out);
}

void worker_write(struct buffer *out, const struct worker *worker, int64_t now, struct str coordinator_url)
{
    const struct str *fields = worker->fields;
    const struct str null = STR("null"), zero = STR("0"), no_array = STR("[]"), no_object = STR("{}");

    write_string(out, STR("{\"worker_id\":"), worker->id);
    write_number(out, STR(",\"tier\":"), fields[WORKER_tier], zero);
    write_string(out, STR(",\"worker_type\":"), fields[WORKER_worker_type]);
    write_string(out, STR(",\"status\":"), worker_status(worker));
    write_reported_status(out, worker);
    write_number(out, STR(",\"current_load\":"), fields[WORKER_current_load], zero);
    write_number(out, STR(",\"tasks_completed\":"), fields[WORKER_tasks_completed], zero);
    write_assigned_containers(out, fields[WORKER_assigned_services], coordinator_url, worker->id);
    write_names(out, STR(",\"assigned_services\":["), fields[WORKER_assigned_services]);
    write_services(out, fields[WORKER_services]);
    write_json(out, STR(",\"containers\":"), fields[WORKER_containers], no_array);
    write_time(out, STR(",\"last_heartbeat\":"), fields[WORKER_last_heartbeat]);
    write_time(out, STR(",\"registered_at\":"), fields[WORKER_registered_at]);
    write_age(out, fields[WORKER_last_heartbeat], now);
    write_json(out, STR(",\"is_healthy\":"), worker_is_healthy(worker) ? STR("true") : STR("false"), null);
    write_conflict(out, fields[WORKER_conflict], now);
    write_json(out, STR(",\"drained\":"), fields[WORKER_drained].len > 0 ? STR("true") : STR("false"), null);
    write_string(out, STR(",\"drain_reason\":"), fields[WORKER_drain_reason]);
    write_time(out, STR(",\"drained_at\":"), fields[WORKER_drained_at]);
    write_string(out, STR(",\"drained_from\":"), fields[WORKER_drained_from]);
    write_string(out, STR(",\"ip_address\":"), fields[WORKER_ip_address]);
    write_number(out, STR(",\"port\":"), fields[WORKER_port], null);
    write_string(out, STR(",\"tunnel_url\":"), fields[WORKER_tunnel_url]);
    write_string(out, STR(",\"vpn_ip\":"), fields[WORKER_vpn_ip]);
    write_string(out, STR(",\"instance_id\":"), fields[WORKER_instance_id]);
    write_string(out, STR(",\"region\":"), fields[WORKER_region]);
    write_json(out, STR(",\"capabilities\":"), fields[WORKER_capabilities], no_object);
    write_json(out, STR(",\"hardware\":"), fields[WORKER_hardware], no_object);
    write_available_memory(out, fields[WORKER_available_memory]);
    write_number(out, STR(",\"active_requests\":"), fields[WORKER_active_requests], null);
    write_number(out, STR(",\"gpu_utilization\":"), fields[WORKER_gpu_utilization], null);
    write_json(out, STR(",\"loaded_models\":"), fields[WORKER_loaded_models], no_array);
    write_string(out, STR(",\"specialization\":"), fields[WORKER_specialization]);
    write_json(out, STR(",\"services_status\":"), fields[WORKER_services_status], no_object);
    write_names(out, STR(",\"unwell_services\":["), fields[WORKER_unwell]);
    buffer_append(out, STR("}"));
}

void worker_write_load(struct buffer *out, const struct worker *worker)
{
    write_number(out, STR(""), worker->fields[WORKER_current_load], STR("0"));
}

void worker_write_discovered(struct buffer *out, const struct worker *worker, struct str url)
{
    const struct str *fields = worker->fields;
    write_string(out, STR("{\"worker_id\":"), worker->id);
    write_string(out, STR(",\"worker_url\":"), url);
    write_string(out, STR(",\"tunnel_url\":"), fields[WORKER_tunnel_url]);
    write_string(out, STR(",\"vpn_ip\":"), fields[WORKER_vpn_ip]);
    write_string(out, STR(",\"ip_address\":"), fields[WORKER_ip_address]);
    write_string(out, STR(",\"status\":"), worker_status(worker));
    write_string(out, STR(",\"region\":"), fields[WORKER_region]);
    write_json(out, STR(",\"capabilities\":"), fields[WORKER_capabilities], STR("{}"));
    write_number(out, STR(",\"load\":"), fields[WORKER_current_load], STR("0"));
    write_number(out, STR(",\"active_requests\":"), fields[WORKER_active_requests], STR("null"));
    write_json(out, STR(",\"loaded_models\":"), fields[WORKER_loaded_models], STR("[]"));
    write_time(out, STR(",\"last_heartbeat\":"), fields[WORKER_last_heartbeat]);
    buffer_append(out, STR("}"));
}
