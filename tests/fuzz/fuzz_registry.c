/*
 * A registry that is taken must give records that are fit for Redis, each once; one that is refused must say why in whole lines of
 * visible text. What is written of a worker must be taken again as it was.
 */
#include "model/id.h"
#include "model/json.h"
#include "model/registration.h"
#include "model/registry_file.h"
#include "must.h"

#include <stdint.h>
#include <stdio.h>

#define PATH "r.json"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_names(const struct buffer *names)
{
    struct str rest = buffer_str(names);
    while (rest.len > 0)
        must(id_is_valid(str_cut(&rest, ',')));
}

static void check_line(struct str text)
{
    must(text.len <= WHEREABOUTS_MAX + 64); /* the normal form of a URL may be longer than the URL */
    for (size_t i = 0; i < text.len; i++)
        must((unsigned char)text.ptr[i] >= 0x20 && text.ptr[i] != 0x7f);
}

static void check_record(const struct record *record)
{
    must(id_is_valid(record->id));
    must(record->tier >= TIER_GPU && record->tier <= TIER_EDGE);
    must(str_eq(record->status, STR("healthy")) || str_eq(record->status, STR("degraded")) ||
         str_eq(record->status, STR("draining")) || str_eq(record->status, STR("offline")));
    must(record->current_load >= 0 && record->current_load <= 1);
    must(record->tasks_completed >= 0 && record->tasks_completed == (double)(int64_t)record->tasks_completed);
    must(record->last_heartbeat >= 0 && record->registered_at >= 0 && record->registered_at < 253402300800000);
    must(record->capabilities.ptr == NULL || record->capabilities.ptr[0] == '{');
    must(record->services.ptr == NULL || record->services.ptr[0] == '[');
    must(record->containers.ptr == NULL || record->containers.ptr[0] == '[');
    must(record->instance_id.len == 0 || id_is_valid(record->instance_id));
    must(record->boot_id.len == 0 || id_is_valid(record->boot_id));
    must(record->fingerprint.len == 0 || id_is_valid(record->fingerprint));
    check_line(record->where.ip_address);
    check_line(record->where.tunnel_url);
    check_line(record->where.vpn_ip);
    check_line(record->region);
    check_names(&record->assigned_services);
    check_names(&record->provides);
}

/* Empty texts are not kept in Redis: absent then. */
static void must_eq(struct str a, struct str b)
{
    must((a.len == 0 && b.len == 0) || str_eq(a, b));
}

/* Writes the record as Redis would hold it, and reads that. */
static void check_round_trip(const struct record *record)
{
    char tier[12], tasks[32], registered_at[32];
    snprintf(tier, sizeof(tier), "%d", (int)record->tier);
    snprintf(tasks, sizeof(tasks), "%.0f", record->tasks_completed);
    snprintf(registered_at, sizeof(registered_at), "%lld", (long long)record->registered_at);
    struct worker worker = {.id = record->id};
    struct str *fields = worker.fields;
    fields[WORKER_tier] = str_from(tier);
    fields[WORKER_tasks_completed] = str_from(tasks);
    fields[WORKER_registered_at] = str_from(registered_at);
    fields[WORKER_assigned_services] = buffer_str(&record->assigned_services);
    fields[WORKER_provides] = buffer_str(&record->provides);
    fields[WORKER_capabilities] = record->capabilities;
    fields[WORKER_services] = record->services;
    fields[WORKER_containers] = record->containers;
    fields[WORKER_ip_address] = record->where.ip_address;
    fields[WORKER_tunnel_url] = record->where.tunnel_url;
    fields[WORKER_instance_id] = record->instance_id;
    struct buffer out = BUFFER_INIT, faults = BUFFER_INIT;
    buffer_append(&out, STR("{"));
    record_write(&out, &worker, record->fingerprint, STR("http://host"));
    buffer_append(&out, STR("}"));

    struct registry_file file;
    struct record again;
    must(registry_file_check(PATH, buffer_str(&out), &file, &faults) == ERR_NONE && file.count == 1);
    must(registry_file_next(&file, &again));
    must(str_eq(again.id, record->id) && again.tier == record->tier && again.registered_at == record->registered_at);
    must(again.tasks_completed == record->tasks_completed);
    must_eq(again.capabilities, record->capabilities.len > 0 ? record->capabilities : STR("{}"));
    must_eq(again.services, record->services);
    must_eq(again.containers, record->containers);
    must_eq(again.where.ip_address, record->where.ip_address);
    must_eq(again.where.tunnel_url, record->where.tunnel_url);
    must_eq(again.instance_id, record->instance_id);
    must_eq(again.fingerprint, record->fingerprint);
    must_eq(buffer_str(&again.assigned_services), buffer_str(&record->assigned_services));
    must_eq(buffer_str(&again.provides), buffer_str(&record->provides));
    record_fini(&again);
    buffer_fini(&faults);
    buffer_fini(&out);
}

static void check_faults(struct str faults)
{
    must(faults.len > 0 && faults.ptr[faults.len - 1] == '\n');
    size_t lines = 0;
    for (; faults.len > 0; lines++) {
        struct str line = str_cut(&faults, '\n');
        must(line.len > sizeof(PATH) && memcmp(line.ptr, PATH ":", sizeof(PATH)) == 0);
        for (size_t i = 0; i < line.len; i++)
            must(line.ptr[i] >= ' ' && line.ptr[i] <= '~');
    }
    must(lines <= REGISTRY_FAULTS_SHOWN + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct registry_file file;
    struct record record;
    struct buffer faults = BUFFER_INIT;
    struct str text = size > 0 ? (struct str){(const char *)data, size} : STR("");
    if (registry_file_check(PATH, text, &file, &faults) != ERR_NONE) {
        check_faults(buffer_str(&faults));
    } else {
        must(faults.len == 0);
        size_t count = 0;
        for (; registry_file_next(&file, &record); count++) {
            check_record(&record);
            check_round_trip(&record);
            record_fini(&record);
        }
        must(count == file.count);
    }
    buffer_fini(&faults);
    return 0;
}
