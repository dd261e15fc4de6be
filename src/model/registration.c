#include "model/registration.h"

#include "model/address.h"
#include "model/catalogue.h"
#include "model/endpoint.h"
#include "model/health.h"
#include "model/id.h"
#include "model/json.h"
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

/* A text that names a place, without the white space around it; absent when it stands for nothing. */
static struct str read_place_text(const cJSON *root, const char *name, struct faults *faults)
{
    struct str text = {NULL, 0};
    json_get_string(root, name, REGISTRATION_URL_MAX, name, &text, faults);
    while (text.len > 0 && strchr(" \t\r\n", text.ptr[0]) != NULL) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && strchr(" \t\r\n", text.ptr[text.len - 1]) != NULL)
        text.len--;
    return placeholder_is(text) && !str_eq(text, STR("::")) ? (struct str){NULL, 0} : text;
}

/* Whether `text` has a control character, though not one of `allowed`. */
static bool has_control_character(struct str text, const char *allowed)
{
    for (size_t i = 0; i < text.len; i++)
        if (((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f) && strchr(allowed, text.ptr[i]) == NULL)
            return true;
    return false;
}

static struct str keep_place(struct registration *out, const struct place *place)
{
    size_t at = out->places.len;
    place_write(&out->places, place); /* has room: see registration_parse */
    return (struct str){out->places.ptr + at, out->places.len - at};
}

/* The tunnel. */
static void read_url(const cJSON *root, const char *name, struct registration *out, struct faults *faults)
{
    struct place place;
    struct str text = read_place_text(root, name, faults);
    if (text.len == 0)
        return;
    if (has_control_character(text, "")) {
        faults_add(faults, name, "must have no control characters");
        return;
    }
    const char *why = place_read_url(text, &place);
    if (why == NULL && (!place_is_web(&place) || place.reach == REACH_NOWHERE))
        why = "must be an http or https URL that other machines can reach";
    if (why != NULL) {
        faults_add(&out->ignored, name, "%s", why);
        return;
    }
    if (place.had_user)
        faults_add(&out->ignored, name, "must have no user name or password; they were left out");
    out->tunnel_url = keep_place(out, &place);
    struct str told = str_from(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, name)));
    if (!str_eq(told, out->tunnel_url))
        out->told_tunnel = told;
}

/* An address or several; of several one is taken. What only the worker's own machine can reach is kept for registration_settle. */
static void read_address(const cJSON *root, const char *name, struct registration *out, struct str *address, struct faults *faults)
{
    struct place place;
    size_t others;
    struct str text = read_place_text(root, name, faults);
    if (text.len == 0)
        return;
    const char *why = place_read_address(text, &place, &others);
    if (has_control_character(text, why == NULL ? "\t\r\n" : "")) {
        faults_add(faults, name, "must have no control characters");
        return;
    }
    if (why == NULL && out->port == 0 && place.scheme[0] == '\0')
        out->port = place.port;
    if (why == NULL && place.reach == REACH_NOWHERE)
        why = "must be an address that other machines can reach";
    if (why == NULL)
        *address = keep_place(out, &place);
    if (why != NULL)
        faults_add(&out->ignored, name, "%s", why);
    else if (others > 0)
        faults_add(&out->ignored, name, "must be one address; %s is taken", place.host);
}

static bool is_self(struct str text)
{
    struct place place;
    size_t others;
    return text.len > 0 && place_read_address(text, &place, &others) == NULL && place.reach == REACH_SELF;
}

static bool is_url(struct str text)
{
    return text.len > 0 && memmem(text.ptr, text.len, "://", 3) != NULL;
}

void registration_settle(struct registration *registration, struct str caller)
{
    bool is_local = is_self(caller);
    struct {
        const char *name;
        struct str *text;
    } const told[] = {
        {"ip_address", &registration->ip_address}, {"vpn_ip", &registration->vpn_ip}, {"tunnel_url", &registration->tunnel_url}};
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        if (is_local || !is_self(*told[i].text))
            continue;
        faults_add(&registration->ignored, told[i].name, "must be an address that other machines can reach");
        *told[i].text = (struct str){NULL, 0};
    }
    /* a URL is another one at each start */
    registration->origin =
        registration->ip_address.len > 0 && !is_url(registration->ip_address) ? registration->ip_address : caller;
    registration->address_is_taken = registration->ip_address.len == 0;
    if (registration->address_is_taken)
        registration->ip_address = caller;
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
    hardware_write(hardware, &evidence.hardware);
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

/* The name of an advertised service or container; absent when it has none that can be used. */
static struct str name_of(const cJSON *item)
{
    struct str name = str_from(cJSON_GetStringValue(cJSON_IsObject(item) ? cJSON_GetObjectItemCaseSensitive(item, "name") : item));
    return id_is_valid(name) ? catalogue_name(name) : (struct str){NULL, 0};
}

/* Some agents have their services' manifest in `containers`; others have containers without names there. */
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

/* An optional top-level array; NULL when it is absent, or none. */
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
    const cJSON *item; /* NULL: absent, *out stays so */
    size_t max;        /* bytes, minified */
    struct str *out;
};

/* Keeps the text of members, minified, in one block that is returned; NULL when all are absent. */
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

/* What only an edge node says, and what it may leave out. */
static void read_edge(const cJSON *root, struct registration *out, struct faults *faults)
{
    struct faults ignored = FAULTS_INIT;
    double port = 0;
    const cJSON *capabilities = cJSON_GetObjectItemCaseSensitive(root, "capabilities");
    if (out->tunnel_url.len == 0)
        read_url(root, "url", out, faults);
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
    if (out->worker_id.len + out->instance_id.len + out->tunnel_url.len == 0)
        faults_add(faults, "tunnel_url", "is required where nothing else says which node it is: worker_id, instance_id or url");
}

static void read_root(const cJSON *root, struct str body, bool is_edge, struct registration *out, struct faults *faults)
{
    read_id(root, "worker_id", &out->worker_id, faults);
    read_id(root, "instance_id", &out->instance_id, faults);
    read_id(root, "boot_id", &out->boot_id, faults);
    buffer_reserve(&out->places, 3 * (REGISTRATION_URL_MAX + 16)); /* more than their normal forms need: nothing moves */
    read_address(root, "vpn_ip", out, &out->vpn_ip, faults);
    read_address(root, "ip_address", out, &out->ip_address, faults);
    read_url(root, "tunnel_url", out, faults);

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
    enum err err = json_parse_object(body, &root, why);
    if (err != ERR_NONE)
        return err;
    struct registration registration = {.document = root};
    read_root(root, body, is_edge, &registration, faults);
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

/* Appends text that is the same for the same JSON, however its members are ordered and spaced. No deeper than JSON_DEPTH_MAX. */
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

void registration_fini(struct registration *registration)
{
    cJSON_Delete(registration->document);
    free(registration->text);
    buffer_fini(&registration->hardware);
    buffer_fini(&registration->places);
    faults_fini(&registration->ignored);
    *registration = (struct registration){0};
}
