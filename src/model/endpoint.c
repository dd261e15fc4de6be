#include "model/endpoint.h"

#include "model/address.h"
#include "model/catalogue.h"
#include "model/placeholder.h"

#include <cjson/cJSON.h>

#include <stdio.h>

/* What an entry says about where it listens. */
struct entry {
    bool has_url;     /* `url` is known; if others can't reach it, its port and path count */
    struct place url; /* points into the entry's JSON */
    int port;         /* 0: not told */
};

static bool is_told(const cJSON *item)
{
    return item != NULL && !cJSON_IsNull(item) && (!cJSON_IsString(item) || !placeholder_is(str_from(item->valuestring)));
}

static int read_port(const cJSON *item)
{
    if (cJSON_IsNumber(item))
        return port_of_number(item->valuedouble);
    return cJSON_IsString(item) ? port_of_text(str_from(item->valuestring)) : 0;
}

/* Whether a browser must not follow such a URL, even if it has a host. */
static bool is_refused_scheme(const struct place *url)
{
    static const char *const refused[] = {"javascript", "data", "file", "vbscript", "about", "blob"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (strcmp(url->scheme, refused[i]) == 0)
            return true;
    return false;
}

static bool read_url(const cJSON *item, struct place *url)
{
    return cJSON_IsString(item) && place_read_url(str_from(item->valuestring), url) == NULL && !is_refused_scheme(url);
}

static struct entry read_entry(const cJSON *item)
{
    struct entry entry = {.port = read_port(cJSON_GetObjectItemCaseSensitive(item, "port"))};
    const cJSON *url = cJSON_GetObjectItemCaseSensitive(item, "service_url");
    entry.has_url = is_told(url) && read_url(url, &entry.url);
    return entry;
}

bool endpoint_read_fingerprint(struct str text, char room[TLS_FINGERPRINT_SIZE])
{
    static const char digits[] = "0123456789abcdefABCDEF";
    struct str prefix = STR("sha256:");
    size_t len = 0;
    if (text.len > prefix.len && str_eq_nocase((struct str){text.ptr, prefix.len}, prefix))
        text = (struct str){text.ptr + prefix.len, text.len - prefix.len};
    for (size_t i = 0; i < text.len; i++) {
        const char *digit = text.ptr[i] != '\0' ? strchr(digits, text.ptr[i]) : NULL;
        if (text.ptr[i] == ':' && len % 2 == 0 && len > 0)
            continue;
        if (digit == NULL || len == TLS_FINGERPRINT_SIZE - 1) {
            len = 0;
            break;
        }
        room[len++] = digit - digits < 16 ? *digit : digit[-6];
    }
    bool whole = len == TLS_FINGERPRINT_SIZE - 1;
    room[whole ? len : 0] = '\0';
    return whole;
}

void endpoint_check(const cJSON *item, const char *field, struct faults *ignored)
{
    char name[96];
    struct place url;
    const cJSON *port = cJSON_GetObjectItemCaseSensitive(item, "port");
    const cJSON *service_url = cJSON_GetObjectItemCaseSensitive(item, "service_url");
    if (is_told(port) && read_port(port) == 0) {
        snprintf(name, sizeof(name), "%s.port", field);
        faults_add(ignored, name, "must be a whole number from 1 to 65535");
    }
    if (is_told(service_url) && !read_url(service_url, &url)) {
        snprintf(name, sizeof(name), "%s.service_url", field);
        faults_add(ignored, name, "must be a URL like \"https://host.example\"");
    }
}

struct str endpoints_at(const struct endpoints *endpoints, size_t i)
{
    if (i >= endpoints->count)
        return (struct str){NULL, 0};
    return (struct str){endpoints->text.ptr + endpoints->items[i].at, endpoints->items[i].len};
}

void endpoints_fini(struct endpoints *endpoints)
{
    buffer_fini(&endpoints->text);
    endpoints->count = 0;
}

/* Adds the URL that was appended to the text at `at`, unless it is there already. */
static void keep(struct endpoints *endpoints, size_t at)
{
    struct str url = {endpoints->text.ptr + at, endpoints->text.len - at};
    for (size_t i = 0; i < endpoints->count; i++)
        if (str_eq(endpoints_at(endpoints, i), url)) {
            endpoints->text.len = at;
            return;
        }
    endpoints->items[endpoints->count].at = at;
    endpoints->items[endpoints->count++].len = url.len;
}

/* Where the worker as a whole is reached. Values that an older coordinator stored are in the form in which they came. */
struct home {
    bool has_tunnel, has_host;
    struct place tunnel, host; /* point into the worker's fields */
};

static struct home read_home(const struct worker *worker)
{
    struct home home;
    size_t others;
    struct str tunnel = worker->fields[WORKER_tunnel_url];
    home.has_tunnel = !placeholder_is(tunnel) && place_read_url(tunnel, &home.tunnel) == NULL && place_is_web(&home.tunnel);
    home.has_host = place_read_address(worker->fields[WORKER_vpn_ip], &home.host, &others) == NULL ||
                    place_read_address(worker->fields[WORKER_ip_address], &home.host, &others) == NULL;
    return home;
}

/* Whether a service's URL that other machines can't open is as good as what is known of the worker's home. */
static bool is_as_near(const struct home *home, const struct place *url)
{
    if (home->has_tunnel)
        return home->tunnel.reach == url->reach;
    return !home->has_host || home->host.reach == REACH_SELF;
}

static void add(struct endpoints *endpoints, const struct worker *worker, struct str service, const struct entry *entry)
{
    struct home home = read_home(worker);
    struct buffer *text = &endpoints->text;
    size_t at = text->len;
    if (endpoints->count == ENDPOINTS_MAX)
        return;
    bool is_near = entry->has_url && entry->url.reach != REACH_FAR;
    if (entry->has_url && (!is_near || is_as_near(&home, &entry->url))) {
        place_write(text, &entry->url);
    } else if (home.has_tunnel) {
        place_write(text, &home.tunnel);
    } else if (home.has_host && home.host.scheme[0] != '\0') {
        place_write(text, &home.host);
    } else if (home.has_host) {
        const struct catalogue_service *known = catalogue_find(service);
        int told = port_of_text(worker->fields[WORKER_port]);
        int port = is_near && entry->url.port > 0 ? entry->url.port : entry->port;
        if (port == 0)
            port = home.host.port > 0 ? home.host.port : told;
        if (port == 0 && known != NULL)
            port = known->port;
        place_write_url(text, is_near ? entry->url.scheme : "http", str_from(home.host.host), port,
                        is_near ? entry->url.rest : STR(""));
    } else {
        return;
    }
    keep(endpoints, at);
}

/* Adds the entries of that name in a JSON array of names and objects, which was checked when it came. */
static void add_advertised(struct endpoints *endpoints, const struct worker *worker, struct str json, struct str service)
{
    cJSON *list = json.len > 0 ? cJSON_ParseWithLength(json.ptr, json.len) : NULL;
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *name = cJSON_IsObject(item) ? cJSON_GetObjectItemCaseSensitive(item, "name") : item;
        if (!str_eq(catalogue_name(str_from(cJSON_GetStringValue(name))), service))
            continue;
        struct entry entry = read_entry(item);
        add(endpoints, worker, service, &entry);
    }
    cJSON_Delete(list);
}

void endpoints_find(struct endpoints *endpoints, const struct worker *worker, struct str service)
{
    endpoints->text = BUFFER_INIT;
    endpoints->count = 0;
    add_advertised(endpoints, worker, worker->fields[WORKER_services], service);
    add_advertised(endpoints, worker, worker->fields[WORKER_containers], service);
    if (endpoints->count == 0)
        add(endpoints, worker, service, &(struct entry){.port = 0});
}
