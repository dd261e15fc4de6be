#include "model/registration.h"

#include "model/catalogue.h"
#include "model/endpoint.h"
#include "model/health.h"
#include "model/id.h"
#include "model/json.h"
#include "model/labels.h"
#include "model/minify.h"
#include "model/placeholder.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CPU_CORES_MAX 1e6

static void read_id(const cJSON *root, const char *name, struct str *out, struct faults *faults)
{
    struct str id = {NULL, 0};
    json_get_string(root, name, SIZE_MAX, name, &id, faults);
    if (placeholder_is_id(id))
        return;
    if (!id_is_valid(id))
        faults_add(faults, name, ID_RULE);
    else
        *out = id;
}

static void read_worker_type(const cJSON *capabilities, struct str *out, struct faults *faults)
{
    json_get_string(capabilities, "worker_type", SIZE_MAX, "capabilities.worker_type", out, faults);
    if (out->ptr == NULL)
        return;
    for (int tier = TIER_GPU; tier <= TIER_EDGE; tier++)
        if (str_eq(*out, str_from(tier_worker_type((enum tier)tier))))
            return;
    faults_add(faults, "capabilities.worker_type", "must be cpu, gpu, storage or edge");
}

static enum tier read_tier(const cJSON *capabilities, struct buffer *hardware, struct faults *faults)
{
    struct tier_evidence evidence = {.cpu_cores = -1};
    bool has_public_ip = false;

    read_worker_type(capabilities, &evidence.worker_type, faults);
    json_get_bool(capabilities, "has_gpu", "capabilities.has_gpu", &evidence.has_gpu, faults);
    json_get_bool(capabilities, "has_storage", "capabilities.has_storage", &evidence.has_storage, faults);
    json_get_bool(capabilities, "has_edge", "capabilities.has_edge", &evidence.has_edge, faults);
    json_get_bool(capabilities, "has_public_ip", "capabilities.has_public_ip", &has_public_ip, faults);
    evidence.has_edge = evidence.has_edge || has_public_ip;
    evidence.gpu_ruled_out = cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(capabilities, "has_gpu"));
    json_get_number(capabilities, "cpu_cores", 0, CPU_CORES_MAX, "capabilities.cpu_cores", &evidence.cpu_cores, faults);
    hardware_read(&evidence.hardware, capabilities, faults);
    hardware_store(hardware, &evidence.hardware);
    return tier_decide(&evidence);
}

static void add_service_name(struct registration *out, struct str name)
{
    for (size_t i = 0; i < out->service_count; i++)
        if (str_eq(out->service_names[i], name))
            return;
    out->service_names[out->service_count++] = name;
}

/* A service is its name, or an object with its name. */
static void read_service(const cJSON *item, size_t index, struct registration *out, struct faults *faults)
{
    char field[40];
    const cJSON *name = cJSON_IsObject(item) ? cJSON_GetObjectItemCaseSensitive(item, "name") : item;
    snprintf(field, sizeof(field), "services[%zu]", index);
    endpoint_check(item, field, &out->ignored);
    snprintf(field, sizeof(field), "services[%zu]%s", index, cJSON_IsObject(item) ? ".name" : "");
    if (cJSON_IsString(name) && id_is_valid(str_from(name->valuestring)))
        add_service_name(out, catalogue_name(str_from(name->valuestring)));
    else if (cJSON_IsString(name))
        faults_add(faults, field, ID_RULE);
    else if (!cJSON_IsObject(item))
        faults_add(faults, field, "must be a name, or an object with a name");
    else if (name == NULL || cJSON_IsNull(name))
        faults_add(faults, field, "is required");
    else
        faults_add(faults, field, "must be a string");
}

static void read_services(const cJSON *services, struct registration *out, struct faults *faults)
{
    if (cJSON_GetArraySize(services) > REGISTRATION_SERVICES_MAX) {
        faults_add(faults, "services", "must have at most %d entries", REGISTRATION_SERVICES_MAX);
        return;
    }
    size_t index = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, services)
    {
        read_service(item, index++, out, faults);
    }
}

/* Returns the name of an advertised service or container; absent if it has no usable name. */
static struct str name_of(const cJSON *item)
{
    struct str name = str_from(cJSON_GetStringValue(cJSON_IsObject(item) ? cJSON_GetObjectItemCaseSensitive(item, "name") : item));
    return id_is_valid(name) ? catalogue_name(name) : (struct str){NULL, 0};
}

/* Adds the names of containers, since some agents list their services there. Containers without names are skipped. */
static void add_containers(const cJSON *containers, struct registration *out)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, containers)
    {
        struct str name = name_of(item);
        if (name.len > 0 && out->service_count < REGISTRATION_SERVICES_MAX)
            add_service_name(out, name);
    }
}

static void read_containers(const cJSON *containers, struct faults *ignored, struct faults *faults)
{
    size_t index = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, containers)
    {
        char field[40];
        snprintf(field, sizeof(field), "containers[%zu]", index++);
        if (cJSON_IsObject(item))
            endpoint_check(item, field, ignored);
        else
            faults_add(faults, field, "must be an object");
    }
}

/* Returns an optional top-level array; NULL if it is absent, or no array. */
static const cJSON *find_array(const cJSON *root, const char *name, struct faults *faults)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, name);
    if (item == NULL || cJSON_IsNull(item))
        return NULL;
    if (cJSON_IsArray(item))
        return item;
    faults_add(faults, name, "must be an array");
    return NULL;
}

struct member {
    const char *name;
    const cJSON *item; /* NULL: it is absent, and *out stays absent */
    size_t max;        /* bytes, minified */
    struct str *out;
};

/* Minifies the text of members into one block, which it returns; NULL if all members are absent. */
static char *keep_text(struct str body, const struct member *members, size_t count, struct faults *faults)
{
    char *text = NULL;
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        if (members[i].item == NULL)
            continue;
        if (text == NULL)
            text = malloc(body.len);
        if (text == NULL)
            abort();
        struct str raw = json_member_text(body, members[i].name);
        *members[i].out = (struct str){text + len, json_minify(raw, text + len)};
        len += members[i].out->len;
        if (members[i].out->len > members[i].max)
            faults_add(faults, members[i].name, "must be at most %zu bytes of JSON", members[i].max);
    }
    return text;
}

/* Reads the members of edge nodes, and allows what only an edge node may leave out. */
static void read_edge(const cJSON *root, struct registration *out, struct faults *faults)
{
    struct faults ignored = FAULTS_INIT;
    double port = 0;
    const cJSON *capabilities = cJSON_GetObjectItemCaseSensitive(root, "capabilities");
    whereabouts_read_tunnel(&out->where, root, "url", &out->ignored, faults);
    json_get_number(root, "dht_port", 1, 65535, "dht_port", &port, &ignored);
    json_get_string(root, "location", REGISTRATION_LOCATION_MAX, "location", &out->location, &ignored);
    if (out->location.len == 0)
        json_get_string(capabilities, "location", REGISTRATION_LOCATION_MAX, "location", &out->location, &ignored);
    faults_fini(&ignored);
    out->dht_port = (int)port;
    out->tier = TIER_EDGE;
    if (capabilities != NULL && !cJSON_IsNull(capabilities))
        return;
    out->capabilities = STR("{}");
    if (out->worker_id.len + out->instance_id.len + out->where.tunnel_url.len == 0)
        faults_add(faults, "tunnel_url", "is required where nothing else says which node it is: worker_id, instance_id or url");
}

/* Reads the labels. Some agents send them among the capabilities. If they are bad, the worker is registered without them. */
static void read_labels(const cJSON *root, const cJSON *capabilities, struct registration *out)
{
    const cJSON *own = cJSON_GetObjectItemCaseSensitive(root, "labels");
    bool is_told = own != NULL && !cJSON_IsNull(own);
    labels_read(is_told ? root : capabilities, is_told ? "labels" : "capabilities.labels", "", ",", &out->labels, &out->ignored);
}

static void read_fingerprint(const cJSON *root, struct registration *out)
{
    struct str text = {NULL, 0};
    json_get_string(root, "tls_fingerprint", SIZE_MAX, "tls_fingerprint", &text, &out->ignored);
    if (!placeholder_is(text) && !endpoint_read_fingerprint(text, out->tls_fingerprint))
        faults_add(&out->ignored, "tls_fingerprint", "must be the SHA-256 of a certificate as 64 hex digits");
}

static void read_root(const cJSON *root, struct str body, bool is_edge, struct registration *out, struct faults *faults)
{
    read_id(root, "worker_id", &out->worker_id, faults);
    read_id(root, "instance_id", &out->instance_id, faults);
    read_id(root, "boot_id", &out->boot_id, faults);
    whereabouts_read(&out->where, root, &out->ignored, faults);
    read_fingerprint(root, out);

    const cJSON *capabilities = cJSON_GetObjectItemCaseSensitive(root, "capabilities");
    if (cJSON_IsObject(capabilities)) {
        out->tier = read_tier(capabilities, &out->hardware, faults);
    } else {
        bool is_absent = capabilities == NULL || cJSON_IsNull(capabilities);
        if (!is_absent || !is_edge)
            faults_add(faults, "capabilities", is_absent ? "is required" : "must be an object");
        capabilities = NULL;
    }
    if (is_edge)
        read_edge(root, out, faults);
    read_labels(root, capabilities, out);
    const cJSON *services = find_array(root, "services", faults);
    const cJSON *containers = find_array(root, "containers", faults);
    read_services(services, out, faults);
    read_containers(containers, &out->ignored, faults);
    add_containers(containers, out);

    const struct member members[] = {
        {"capabilities", capabilities, REGISTRATION_CAPABILITIES_MAX, &out->capabilities},
        {"services", services, REGISTRATION_SERVICES_TEXT_MAX, &out->services},
        {"containers", containers, REGISTRATION_SERVICES_TEXT_MAX, &out->containers},
    };
    out->text = keep_text(body, members, sizeof(members) / sizeof(members[0]), faults);
}

static enum err parse(struct str body, bool is_edge, struct registration *out, struct faults *faults, const char **why)
{
    cJSON *root;
    struct registration registration = {0};
    struct buffer mended = BUFFER_INIT;
    enum err err = json_parse_body(JSON_NAN, &body, &mended, &root, &registration.ignored, why);
    if (err != ERR_NONE)
        return err;
    registration.document = root;
    read_root(root, body, is_edge, &registration, faults);
    buffer_fini(&mended); /* the kept parts of the text were copied */
    if (faults->count > 0) {
        registration_fini(&registration);
        return ERR_INVALID;
    }
    *out = registration;
    return ERR_NONE;
}

enum err registration_parse(struct str body, struct registration *out, struct faults *faults, const char **why)
{
    return parse(body, false, out, faults, why);
}

enum err registration_parse_edge(struct str body, struct registration *out, struct faults *faults, const char **why)
{
    return parse(body, true, out, faults, why);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

static void write_canonical(struct buffer *out, const cJSON *item);

static void write_members(struct buffer *out, const cJSON *object)
{
    size_t count = (size_t)cJSON_GetArraySize(object), at = 0;
    const cJSON **members = malloc((count + 1) * sizeof(*members));
    if (members == NULL)
        abort();
    for (const cJSON *member = object->child; member != NULL; member = member->next)
        members[at++] = member;
    qsort(members, count, sizeof(*members), by_name);
    for (size_t i = 0; i < count; i++) {
        buffer_json_string(out, str_from(members[i]->string));
        write_canonical(out, members[i]);
    }
    free(members);
}

/* Appends text that is the same for the same JSON, however its members are ordered. Recurses at most JSON_DEPTH_MAX deep. */
static void write_canonical(struct buffer *out, const cJSON *item)
{
    if (cJSON_IsObject(item)) {
        buffer_append(out, STR("{"));
        write_members(out, item);
        buffer_append(out, STR("}"));
    } else if (cJSON_IsArray(item)) {
        buffer_append(out, STR("["));
        for (const cJSON *element = item->child; element != NULL; element = element->next)
            write_canonical(out, element);
        buffer_append(out, STR("]"));
    } else if (cJSON_IsString(item)) {
        buffer_json_string(out, str_from(item->valuestring));
    } else if (cJSON_IsNumber(item)) {
        buffer_printf(out, "%.17g,", item->valuedouble);
    } else {
        buffer_append(out, cJSON_IsTrue(item) ? STR("t") : cJSON_IsFalse(item) ? STR("f") : STR("n"));
    }
}

void registration_write_looks(struct buffer *out, const struct registration *registration)
{
    write_canonical(out, cJSON_GetObjectItemCaseSensitive(registration->document, "capabilities"));
}

void registration_write_health(struct buffer *out, const struct registration *registration)
{
    static const char *const lists[] = {"services", "containers"};
    struct health_list told = {.count = 0};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        const cJSON *item;
        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(registration->document, lists[i]))
        {
            if (cJSON_IsObject(item))
                health_add(&told, name_of(item), health_read(item));
        }
    }
    health_write(out, &told);
}

void registration_write_machine(struct buffer *out, const struct registration *registration)
{
    static const char *const members[] = {"cpu_cores",  "cpu_model", "gpu_type",
                                          "gpu_memory", "ram",       "hostname"}; /* that do not change while the machine runs */
    const cJSON *capabilities = cJSON_GetObjectItemCaseSensitive(registration->document, "capabilities");
    buffer_append(out, registration->boot_id.len > 0 ? STR("b:") : STR("h:"));
    if (registration->boot_id.len > 0) {
        buffer_append(out, registration->boot_id);
        return;
    }
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(capabilities, members[i]);
        buffer_json_string(out, str_from(members[i]));
        if (item != NULL)
            write_canonical(out, item);
    }
}

void registration_fini(struct registration *registration)
{
    cJSON_Delete(registration->document);
    free(registration->text);
    buffer_fini(&registration->hardware);
    whereabouts_fini(&registration->where);
    faults_fini(&registration->ignored);
    buffer_fini(&registration->labels);
    *registration = (struct registration){0};
}
