#include "model/record.h"

#include "base/json_writer.h"
#include "model/address.h"
#include "model/catalogue.h"
#include "model/drain.h"
#include "model/hardware.h"
#include "model/id.h"
#include "model/iso_time.h"
#include "model/json.h"
#include "model/labels.h"
#include "model/minify.h"
#include "model/placeholder.h"
#include "model/registration.h"
#include "model/status.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define REGION_MAX 64
#define LABELS_TEXT_MAX (LABELS_MAX * (LABEL_NAME_MAX + 3 * LABEL_VALUE_MAX + 2)) /* a byte may become three */
#define TASKS_MAX 9007199254740991.0 /* 2^53 - 1: above it a double skips whole numbers */
#define TIME_RULE "must be a time like \"2025-12-01T14:20:00.123456\", UTC unless it has a zone"

/* The members that are read; none may be repeated. */
static const char *const known_members[] = {
    "worker_id",         "tier",           "status",        "current_load",
    "tasks_completed",   "last_heartbeat", "registered_at", "drained",
    "services",          "boot_id",        "ip_address",    "tunnel_url",
    "capabilities",      "containers",     "vpn_ip",        "region",
    "provides",          "instance_id",    "fingerprint",   "assigned_containers",
    "assigned_services", "drained_at",     "drain_reason",  "drained_from",
    "location",          "dht_port",       "labels",        "tls_fingerprint",
};
#define KNOWN_COUNT (sizeof(known_members) / sizeof(known_members[0]))

static void read_worker_id(const cJSON *root, struct str id, struct faults *faults)
{
    struct str said = id;
    json_get_string(root, "worker_id", SIZE_MAX, "worker_id", &said, faults);
    if (!str_eq(said, id))
        faults_add(faults, "worker_id", "is not the id under which the record stands");
}

static void read_id(const cJSON *root, const char *name, struct str *out, struct faults *faults)
{
    json_get_string(root, name, SIZE_MAX, name, out, faults);
    if (placeholder_is_id(*out))
        *out = (struct str){NULL, 0};
    else if (!id_is_valid(*out))
        faults_add(faults, name, ID_RULE);
}

static void read_fingerprint(const cJSON *root, char room[TLS_FINGERPRINT_SIZE], struct faults *faults)
{
    struct str text = {NULL, 0};
    json_get_string(root, "tls_fingerprint", SIZE_MAX, "tls_fingerprint", &text, faults);
    if (text.ptr != NULL && !endpoint_read_fingerprint(text, room))
        faults_add(faults, "tls_fingerprint", "must be the SHA-256 of a certificate as 64 hex digits");
}

static void read_line(const cJSON *root, const char *name, size_t max, struct str *out, struct faults *faults)
{
    json_get_string(root, name, max, name, out, faults);
    for (size_t i = 0; i < out->len; i++)
        if ((unsigned char)out->ptr[i] < ' ' || out->ptr[i] == 0x7f) {
            faults_add(faults, name, "must have no control characters");
            return;
        }
}

static void read_whole_number(const cJSON *root, const char *name, double low, double high, double *out, struct faults *faults)
{
    json_get_number(root, name, low, high, name, out, faults);
    if (floor(*out) < *out)
        faults_add(faults, name, "must be a whole number");
}

static void read_tier(const cJSON *root, enum tier *out, struct faults *faults)
{
    double tier = 0;
    size_t before = faults->count;
    read_whole_number(root, "tier", TIER_GPU, TIER_COUNT, &tier, faults);
    if (tier >= TIER_GPU)
        *out = (enum tier)tier;
    else if (faults->count == before)
        faults_add(faults, "tier", "is required");
}

static void read_status(const cJSON *root, struct str *out, struct faults *faults)
{
    enum worker_status status;
    struct str said = worker_status_words[WORKER_HEALTHY];
    json_get_string(root, "status", SIZE_MAX, "status", &said, faults);
    if (worker_status_parse_told(said, &status))
        *out = worker_status_words[status];
    else
        faults_add(faults, "status", WORKER_STATUS_TOLD_RULE);
}

static void read_time(const cJSON *root, const char *name, int64_t *out, struct faults *faults)
{
    struct str text = {NULL, 0};
    json_get_string(root, name, SIZE_MAX, name, &text, faults);
    if (text.ptr != NULL && !iso_time_parse(text, out))
        faults_add(faults, name, TIME_RULE);
}

static void add_name(struct buffer *names, struct str name)
{
    struct str rest = buffer_str(names);
    while (rest.len > 0)
        if (str_eq(str_cut(&rest, ','), name))
            return;
    if (names->len > 0)
        buffer_append(names, STR(","));
    buffer_append(names, name);
}

/* Returns the first element of an optional array; NULL if it has none, or is no array. */
static const cJSON *first_of(const cJSON *root, const char *name, struct faults *faults)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(root, name);
    if (array == NULL || cJSON_IsNull(array))
        return NULL;
    if (!cJSON_IsArray(array)) {
        faults_add(faults, name, "must be an array");
        return NULL;
    }
    if (cJSON_GetArraySize(array) > REGISTRATION_SERVICES_MAX) {
        faults_add(faults, name, "must have at most %d entries", REGISTRATION_SERVICES_MAX);
        return NULL;
    }
    return array->child;
}

static void read_names(const cJSON *root, const char *member, struct buffer *names, struct faults *faults)
{
    size_t index = 0;
    for (const cJSON *item = first_of(root, member, faults); item != NULL; item = item->next, index++) {
        char field[48];
        struct str name = str_from(cJSON_GetStringValue(item));
        snprintf(field, sizeof(field), "%s[%zu]", member, index);
        if (name.ptr == NULL)
            faults_add(faults, field, "must be a string");
        else if (!id_is_valid(name) || str_eq(name, STR("-"))) /* a "-" alone means no services */
            faults_add(faults, field, ID_RULE ", nor be a - alone");
        else
            add_name(names, catalogue_name(name));
    }
}

/* A container is its name, or an object with its name. */
static void read_containers(const cJSON *root, struct buffer *names, size_t *unknown, struct faults *faults)
{
    size_t index = 0;
    for (const cJSON *item = first_of(root, "assigned_containers", faults); item != NULL; item = item->next, index++) {
        const cJSON *name = cJSON_IsObject(item) ? cJSON_GetObjectItemCaseSensitive(item, "name") : item;
        const struct catalogue_service *service = NULL;
        char field[48];
        snprintf(field, sizeof(field), "assigned_containers[%zu]", index);
        if (!cJSON_IsString(name))
            faults_add(faults, field, "must be an object with a name, or a name");
        else if ((service = catalogue_find_container(str_from(name->valuestring))) != NULL)
            add_name(names, service->name);
        else
            (*unknown)++;
    }
}

/* Reads addresses. Those that can't be used are left out, since the old registry did not check them. */
static void read_whereabouts(const cJSON *root, struct whereabouts *where, struct faults *faults)
{
    struct faults ignored = FAULTS_INIT;
    const cJSON *port = cJSON_GetObjectItemCaseSensitive(root, "port");
    whereabouts_read(where, root, &ignored, faults);
    if (where->port == 0 && cJSON_IsNumber(port))
        where->port = port_of_number(port->valuedouble);
    faults_fini(&ignored);
}

/* Reads the hardware. What can't be read counts as unknown, since the old registry did not check it. */
static void read_hardware(const cJSON *root, struct buffer *out)
{
    struct hardware hardware;
    struct faults ignored = FAULTS_INIT;
    hardware_read(&hardware, cJSON_GetObjectItemCaseSensitive(root, "capabilities"), &ignored);
    hardware_store(out, &hardware);
    faults_fini(&ignored);
}

/* Minifies the text of a member of that type to *at, which it moves on. *out stays absent if there is no such member. */
static void keep_json(struct str raw, cJSON *root, const char *name, int type, size_t max, char **at, struct str *out,
                      struct faults *faults)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, name);
    if (item == NULL || cJSON_IsNull(item))
        return;
    if ((item->type & 0xFF) != type) {
        faults_add(faults, name, type == cJSON_Object ? "must be an object" : "must be an array");
        return;
    }
    *out = (struct str){*at, json_minify(json_member_text(raw, name), *at)};
    *at += out->len;
    if (out->len > max)
        faults_add(faults, name, "must be at most %zu bytes of JSON", max);
}

static void check_repeated(const cJSON *root, struct faults *faults)
{
    for (const cJSON *item = root->child; item != NULL; item = item->next)
        for (size_t i = 0; i < KNOWN_COUNT; i++)
            if (strcmp(item->string, known_members[i]) == 0 && cJSON_GetObjectItemCaseSensitive(root, item->string) != item)
                faults_add(faults, known_members[i], "is given twice");
}

static void read_members(cJSON *root, struct str raw, struct record *out, size_t *unknown, struct faults *faults)
{
    check_repeated(root, faults);
    read_worker_id(root, out->id, faults);
    read_tier(root, &out->tier, faults);
    read_status(root, &out->status, faults);
    json_get_number(root, "current_load", 0, INFINITY, "current_load", &out->current_load, faults);
    out->current_load = fmin(out->current_load, 1); /* rounding may take it above 1 */
    read_whole_number(root, "tasks_completed", 0, TASKS_MAX, &out->tasks_completed, faults);
    read_time(root, "last_heartbeat", &out->last_heartbeat, faults);
    out->registered_at = out->last_heartbeat;
    read_time(root, "registered_at", &out->registered_at, faults);
    json_get_bool(root, "drained", "drained", &out->drained, faults);
    read_time(root, "drained_at", &out->drained_at, faults);
    read_line(root, "drain_reason", DRAIN_REASON_MAX, &out->drain_reason, faults);
    read_line(root, "drained_from", DRAIN_REASON_MAX, &out->drained_from, faults);
    read_whereabouts(root, &out->where, faults);
    read_line(root, "region", REGION_MAX, &out->region, faults);
    read_line(root, "location", REGISTRATION_LOCATION_MAX, &out->location, faults);
    read_line(root, "labels", LABELS_TEXT_MAX, &out->labels, faults);
    read_whole_number(root, "dht_port", 1, 65535, &out->dht_port, faults);
    read_id(root, "instance_id", &out->instance_id, faults);
    read_id(root, "boot_id", &out->boot_id, faults);
    read_id(root, "fingerprint", &out->fingerprint, faults);
    read_fingerprint(root, out->tls_fingerprint, faults);
    read_names(root, "assigned_services", &out->assigned_services, faults);
    read_containers(root, &out->assigned_services, unknown, faults);
    buffer_append(&out->provides, buffer_str(&out->assigned_services));
    read_names(root, "provides", &out->provides, faults);

    read_hardware(root, &out->hardware);
    char *at = out->text;
    keep_json(raw, root, "capabilities", cJSON_Object, REGISTRATION_CAPABILITIES_MAX, &at, &out->capabilities, faults);
    keep_json(raw, root, "services", cJSON_Array, REGISTRATION_SERVICES_TEXT_MAX, &at, &out->services, faults);
    keep_json(raw, root, "containers", cJSON_Array, REGISTRATION_SERVICES_TEXT_MAX, &at, &out->containers, faults);
}

void record_parse(struct str id, struct str text, struct record *out, size_t *unknown, struct faults *faults)
{
    cJSON *root = NULL;
    const char *ignored;
    *out = (struct record){.id = id};
    if (!id_is_valid(id))
        faults_add(faults, "", "the id " ID_RULE);
    if (text.ptr[0] != '{') {
        faults_add(faults, "", "the record must be an object");
        return;
    }
    if (text.len > RECORD_MAX) {
        faults_add(faults, "", "the record must be at most %zu bytes long", RECORD_MAX);
        return;
    }
    if (json_parse_object(text, &root, &ignored) != ERR_NONE) {
        faults_add(faults, "", "the record is JSON that this program can't read");
        return;
    }
    out->document = root;
    out->text = malloc(text.len);
    if (out->text == NULL)
        abort();
    read_members(root, text, out, unknown, faults);
}

void record_fini(struct record *record)
{
    cJSON_Delete(record->document);
    free(record->text);
    buffer_fini(&record->assigned_services);
    buffer_fini(&record->provides);
    buffer_fini(&record->hardware);
    whereabouts_fini(&record->where);
    *record = (struct record){.id = {NULL, 0}};
}

/* Writes a time as the file-based coordinator did: UTC with microseconds, without a zone. */
static void write_time(struct buffer *out, const char *key, struct str milliseconds)
{
    char room[16], *end;
    if (milliseconds.len == 0 || milliseconds.len >= sizeof(room)) {
        json_add_null(out, key);
        return;
    }
    memcpy(room, milliseconds.ptr, milliseconds.len);
    room[milliseconds.len] = '\0';
    json_add_time(out, key, strtoll(room, &end, 10));
    out->len -= strlen("Z\"");
    buffer_append(out, STR("000\""));
}

static void write_names(struct buffer *out, const char *key, struct str names)
{
    json_begin_array(out, key);
    while (names.len > 0)
        json_add_text(out, NULL, str_cut(&names, ','));
    json_end_array(out);
}

static void write_containers(struct buffer *out, const char *key, struct str names, struct str coordinator_url,
                             struct str worker_id)
{
    json_begin_array(out, key);
    while (names.len > 0) {
        const struct catalogue_service *service = catalogue_find(str_cut(&names, ','));
        if (service == NULL)
            continue;
        catalogue_write_container(out, service, coordinator_url, worker_id, false);
    }
    json_end_array(out);
}

void record_write(struct buffer *out, const struct worker *worker, struct str fingerprint, struct str coordinator_url)
{
    const struct str *fields = worker->fields;
    static const struct {
        const char *name;
        enum worker_field field;
        const char *missing; /* NULL: it is a string, and null when it is missing */
    } members[] = {
        {"tier", WORKER_tier, "null"},
        {"current_load", WORKER_current_load, "0"},
        {"tasks_completed", WORKER_tasks_completed, "0"},
        {"capabilities", WORKER_capabilities, "{}"},
        {"services", WORKER_services, "null"},
        {"containers", WORKER_containers, "null"},
        {"ip_address", WORKER_ip_address, NULL},
        {"tunnel_url", WORKER_tunnel_url, NULL},
        {"vpn_ip", WORKER_vpn_ip, NULL},
        {"port", WORKER_port, "null"},
        {"region", WORKER_region, NULL},
        {"instance_id", WORKER_instance_id, NULL},
        {"boot_id", WORKER_boot_id, NULL},
        {"location", WORKER_location, NULL},
        {"dht_port", WORKER_dht_port, "null"},
        {"labels", WORKER_labels, NULL},
        {"tls_fingerprint", WORKER_tls_fingerprint, NULL},
    };
    buffer_json_string(out, worker->id);
    buffer_append(out, STR(": "));
    json_begin_object(out, NULL);
    json_add_text(out, "worker_id", worker->id);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        struct str value = fields[members[i].field];
        if (members[i].missing == NULL)
            json_add_text(out, members[i].name, value);
        else
            json_add_raw(out, members[i].name, value.len > 0 ? value : str_from(members[i].missing));
    }
    json_add_text(out, "fingerprint", fingerprint);
    json_add_text(out, "status", worker_status(worker));
    write_time(out, "last_heartbeat", fields[WORKER_last_heartbeat]);
    write_time(out, "registered_at", fields[WORKER_registered_at]);
    write_containers(out, "assigned_containers", fields[WORKER_assigned_services], coordinator_url, worker->id);
    write_names(out, "assigned_services", fields[WORKER_assigned_services]);
    write_names(out, "provides", fields[WORKER_provides]);
    if (fields[WORKER_drained].len > 0) {
        json_add_bool(out, "drained", true);
        write_time(out, "drained_at", fields[WORKER_drained_at]);
        json_add_text(out, "drain_reason", fields[WORKER_drain_reason]);
        json_add_text(out, "drained_from", fields[WORKER_drained_from]);
    }
    json_end_object(out);
}
