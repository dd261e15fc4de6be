#include "model/worker.h"

#include "base/ascii.h"
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

struct str worker_join_token(const struct worker *worker)
{
    return worker->fields[WORKER_lapsed].len > 0 ? (struct str){NULL, 0} : worker->fields[WORKER_join];
}

bool worker_is_healthy(const struct worker *worker)
{
    struct str status = worker_status(worker);
    return str_eq(status, worker_status_words[WORKER_HEALTHY]) || str_eq(status, worker_status_words[WORKER_DRAINING]);
}

/* Whether `text` is a decimal number that JSON takes as it stands: "-12.5", but not "01", "1.", "1e5" or "nan". */
static bool is_json_number(struct str text)
{
    size_t i = 0, start;
    if (i < text.len && text.ptr[i] == '-')
        i++;
    for (start = i; i < text.len && ascii_is_digit(text.ptr[i]);)
        i++;
    if (i == start || (text.ptr[start] == '0' && i > start + 1))
        return false;
    if (i == text.len)
        return true;
    if (text.ptr[i++] != '.')
        return false;
    for (start = i; i < text.len && ascii_is_digit(text.ptr[i]);)
        i++;
    return i > start && i == text.len;
}

/* Reads a whole number, such as milliseconds since 1970; false if it is none, or is after the year 9999. */
static bool parse_whole(struct str text, int64_t *milliseconds)
{
    const int64_t last = 253402300799999; /* the end of year 9999 */
    int64_t value = 0;
    if (text.len == 0 || text.len > 15)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!ascii_is_digit(text.ptr[i]))
            return false;
        value = value * 10 + (text.ptr[i] - '0');
    }
    if (value > last)
        return false;
    *milliseconds = value;
    return true;
}

/* Writes a number from the hash. A field that is not there becomes `missing`; one that is not a number becomes 0. */
static void write_number(struct buffer *out, const char *key, struct str value, struct str missing)
{
    if (value.len == 0)
        json_add_raw(out, key, missing);
    else
        json_add_raw(out, key, is_json_number(value) ? value : STR("0"));
}

/* Writes the larger number of two: the requests that the worker reports, and those that coordinators have sent to it. */
static void write_active(struct buffer *out, const struct worker *worker)
{
    struct str reported = worker->fields[WORKER_active_requests];
    int64_t count = 0;
    if (worker->requests > 0 && (!parse_whole(reported, &count) || count < worker->requests))
        json_add_integer(out, "active_requests", worker->requests);
    else
        write_number(out, "active_requests", reported, STR("null"));
}

static void write_json(struct buffer *out, const char *key, struct str value, struct str empty)
{
    json_add_raw(out, key, value.len > 0 ? value : empty);
}

static void write_time(struct buffer *out, const char *key, struct str value)
{
    int64_t milliseconds;
    if (parse_whole(value, &milliseconds))
        json_add_time(out, key, milliseconds);
    else
        json_add_null(out, key);
}

static void write_age(struct buffer *out, struct str last_heartbeat, int64_t now)
{
    int64_t milliseconds;
    if (parse_whole(last_heartbeat, &milliseconds))
        json_add_number(out, "age_seconds", now > milliseconds ? (double)(now - milliseconds) / 1000 : 0);
    else
        json_add_null(out, "age_seconds");
}

/* Takes the next name of a list with commas between; false at its end. */
static bool next_name(struct str *list, struct str *name)
{
    while (list->len > 0) {
        *name = str_cut(list, ',');
        if (name->len > 0)
            return true;
    }
    return false;
}

static void write_names(struct buffer *out, const char *key, struct str names)
{
    struct str name;
    json_begin_array(out, key);
    while (next_name(&names, &name))
        json_add_text(out, NULL, name);
    json_end_array(out);
}

/* Writes the assigned services, without those that the catalogue no longer has. */
static void write_assigned_containers(struct buffer *out, struct str names, struct str coordinator_url, struct str worker_id,
                                      bool secrets)
{
    struct str name;
    json_begin_array(out, "assigned_containers");
    while (next_name(&names, &name)) {
        const struct catalogue_service *service = catalogue_find(name);
        if (service != NULL && coordinator_url.ptr != NULL)
            catalogue_write_container(out, service, coordinator_url, worker_id, secrets);
        else if (service != NULL)
            json_add_text(out, NULL, service->container);
    }
    json_end_array(out);
}

static void write_available_memory(struct buffer *out, struct str told)
{
    struct size size;
    json_add_text(out, "available_memory", told);
    if (size_parse(told, &size))
        hardware_write_size(out, "available_memory_size", size);
    else
        json_add_null(out, "available_memory_size");
}

/* Writes each service as an object, also if the worker advertised only its name. */
static void write_services(struct buffer *out, struct str services)
{
    struct json_items items = json_items(services.len > 0 ? services : STR("[]"));
    struct json_item item;
    json_begin_array(out, "services");
    while (json_next(&items, &item)) {
        if (item.value.len > 0 && item.value.ptr[0] == '"') {
            json_begin_object(out, NULL);
            json_add_raw(out, "name", item.value);
            json_end_object(out);
        } else {
            json_add_raw(out, NULL, item.value);
        }
    }
    json_end_array(out);
}

/* Writes the word that the worker reported, if it is not a status and therefore counts as degraded. */
static void write_reported_status(struct buffer *out, const struct worker *worker)
{
    struct str word = worker->fields[WORKER_reported_status];
    if (word.len > 0 && str_eq(worker->fields[WORKER_status], worker_status_words[WORKER_DEGRADED]))
        json_add_text(out, "reported_status", word);
}

/* Writes since when two machines use the worker's id; null if this was not seen for CONFLICT_SHOWN_MS. */
static void write_conflict(struct buffer *out, struct str conflict, int64_t now)
{
    int64_t since, last;
    struct str count = conflict;
    struct str since_text = str_cut(&count, ' '), last_text = str_cut(&count, ' ');
    if (!parse_whole(since_text, &since) || !parse_whole(last_text, &last) || now - last > CONFLICT_SHOWN_MS) {
        json_add_null(out, "conflict");
        return;
    }
    json_begin_object(out, "conflict");
    json_add_time(out, "since", since);
    json_add_time(out, "last_seen", last);
    write_number(out, "count", count, STR("0"));
    json_end_object(out);
}

void worker_write(struct buffer *out, const struct worker *worker, int64_t now, struct str coordinator_url, bool secrets)
{
    const struct str *fields = worker->fields;
    const struct str null = STR("null"), zero = STR("0"), no_array = STR("[]"), no_object = STR("{}");

    json_begin_object(out, NULL);
    json_add_text(out, "worker_id", worker->id);
    write_number(out, "tier", fields[WORKER_tier], zero);
    json_add_text(out, "worker_type", fields[WORKER_worker_type]);
    json_add_text(out, "status", worker_status(worker));
    write_reported_status(out, worker);
    write_number(out, "current_load", fields[WORKER_current_load], zero);
    write_number(out, "tasks_completed", fields[WORKER_tasks_completed], zero);
    write_assigned_containers(out, fields[WORKER_assigned_services], coordinator_url, worker->id, secrets);
    write_names(out, "assigned_services", fields[WORKER_assigned_services]);
    write_services(out, fields[WORKER_services]);
    write_json(out, "containers", fields[WORKER_containers], no_array);
    write_time(out, "last_heartbeat", fields[WORKER_last_heartbeat]);
    write_time(out, "registered_at", fields[WORKER_registered_at]);
    write_age(out, fields[WORKER_last_heartbeat], now);
    json_add_bool(out, "is_healthy", worker_is_healthy(worker));
    write_conflict(out, fields[WORKER_conflict], now);
    write_time(out, "suspect_since", fields[WORKER_suspect_since]);
    json_add_text(out, "join_token", worker_join_token(worker));
    json_add_bool(out, "drained", fields[WORKER_drained].len > 0);
    json_add_text(out, "drain_reason", fields[WORKER_drain_reason]);
    write_time(out, "drained_at", fields[WORKER_drained_at]);
    json_add_text(out, "drained_from", fields[WORKER_drained_from]);
    json_add_text(out, "ip_address", fields[WORKER_ip_address]);
    write_number(out, "port", fields[WORKER_port], null);
    json_add_text(out, "tunnel_url", fields[WORKER_tunnel_url]);
    json_add_text(out, "vpn_ip", fields[WORKER_vpn_ip]);
    json_add_text(out, "instance_id", fields[WORKER_instance_id]);
    json_add_text(out, "region", fields[WORKER_region]);
    write_json(out, "capabilities", fields[WORKER_capabilities], no_object);
    hardware_write(out, "hardware", fields[WORKER_hardware]);
    write_available_memory(out, fields[WORKER_available_memory]);
    write_active(out, worker);
    write_number(out, "gpu_utilization", fields[WORKER_gpu_utilization], null);
    write_json(out, "loaded_models", fields[WORKER_loaded_models], no_array);
    json_add_text(out, "specialization", fields[WORKER_specialization]);
    write_json(out, "services_status", fields[WORKER_services_status], no_object);
    write_names(out, "unwell_services", fields[WORKER_unwell]);
    if (coordinator_url.ptr != NULL) {
        json_add_text(out, "tls_fingerprint", fields[WORKER_tls_fingerprint]);
        json_add_integer(out, "requests_left", worker->requests);
        write_number(out, "requests_served", fields[WORKER_requests_served], zero);
    }
    json_end_object(out);
}

void worker_write_load(struct buffer *out, const struct worker *worker)
{
    write_number(out, NULL, worker->fields[WORKER_current_load], STR("0"));
}

void worker_write_discovered(struct buffer *out, const struct worker *worker, struct str url)
{
    const struct str *fields = worker->fields;
    json_begin_object(out, NULL);
    json_add_text(out, "worker_id", worker->id);
    json_add_text(out, "worker_url", url);
    json_add_text(out, "tunnel_url", fields[WORKER_tunnel_url]);
    json_add_text(out, "vpn_ip", fields[WORKER_vpn_ip]);
    json_add_text(out, "ip_address", fields[WORKER_ip_address]);
    json_add_text(out, "status", worker_status(worker));
    json_add_text(out, "region", fields[WORKER_region]);
    write_json(out, "capabilities", fields[WORKER_capabilities], STR("{}"));
    write_number(out, "load", fields[WORKER_current_load], STR("0"));
    write_active(out, worker);
    write_json(out, "loaded_models", fields[WORKER_loaded_models], STR("[]"));
    write_time(out, "last_heartbeat", fields[WORKER_last_heartbeat]);
    json_end_object(out);
}
