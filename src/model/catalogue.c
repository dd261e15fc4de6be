#include "model/catalogue.h"

#include "base/json_writer.h"

const struct catalogue_service *catalogue;
size_t catalogue_count;

void catalogue_use(const struct catalogue_service *services, size_t count)
{
    catalogue = services;
    catalogue_count = count;
}

int catalogue_compare(const void *a, const void *b)
{
    const struct catalogue_service *first = a, *second = b;
    if (first->tier != second->tier)
        return first->tier < second->tier ? -1 : 1;
    if (first->priority != second->priority)
        return first->priority < second->priority ? -1 : 1;
    struct str x = first->name, y = second->name;
    int order = memcmp(x.ptr, y.ptr, x.len < y.len ? x.len : y.len);
    return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

const struct catalogue_service *catalogue_find(struct str name)
{
    for (size_t i = 0; i < catalogue_count; i++)
        if (str_eq(catalogue[i].name, name))
            return &catalogue[i];
    return NULL;
}

size_t catalogue_place(struct str name, size_t most)
{
    const struct catalogue_service *known = catalogue_find(name);
    size_t place = known != NULL ? (size_t)(known - catalogue) : most;
    return place < most - 1 ? place : most - 1;
}

const struct catalogue_service *catalogue_find_container(struct str container)
{
    for (size_t i = 0; i < catalogue_count; i++)
        if (str_eq(catalogue[i].container, container))
            return &catalogue[i];
    return NULL;
}

bool catalogue_has_alias(const struct catalogue_service *service, struct str name)
{
    for (size_t i = 0; i < service->alias_count; i++)
        if (str_eq(service->aliases[i], name))
            return true;
    return false;
}

/* Sets *name to the name of the service that is called `called`, by name or alias; false if there is none. */
static bool find_called(struct str called, struct str *name)
{
    for (size_t i = 0; i < catalogue_count; i++) {
        if (str_eq(catalogue[i].name, called) || catalogue_has_alias(&catalogue[i], called)) {
            *name = catalogue[i].name;
            return true;
        }
    }
    return false;
}

/* Cuts `end` off the end of *text; false if *text does not end with it, or is nothing else. */
static bool cut_end(struct str *text, struct str end)
{
    if (text->len <= end.len || memcmp(text->ptr + text->len - end.len, end.ptr, end.len) != 0)
        return false;
    text->len -= end.len;
    return true;
}

struct str catalogue_name(struct str called)
{
    struct str name = called, bare = called;
    if (called.len == 0 || find_called(called, &name))
        return name;
    const struct catalogue_service *service = catalogue_find_container(called);
    if (service != NULL)
        return service->name;
    if (!cut_end(&bare, STR("-service")) && !cut_end(&bare, STR("-worker")))
        return called;
    if (bare.len > 4 && memcmp(bare.ptr, "rma-", 4) == 0)
        bare = (struct str){bare.ptr + 4, bare.len - 4};
    return find_called(bare, &name) ? name : called;
}

bool catalogue_is_data_store(struct str name)
{
    static const struct str stores[] = {
        STR("arangodb"),    STR("cassandra"),     STR("chroma"),      STR("chromadb"),   STR("clickhouse"),
        STR("cockroachdb"), STR("consul"),        STR("couchbase"),   STR("couchdb"),    STR("database"),
        STR("db"),          STR("dragonfly"),     STR("elastic"),     STR("etcd"),       STR("influxdb"),
        STR("kafka"),       STR("keydb"),         STR("mariadb"),     STR("memcached"),  STR("memgraph"),
        STR("milvus"),      STR("minio"),         STR("mongo"),       STR("mongodb"),    STR("mssql"),
        STR("mysql"),       STR("nats"),          STR("neo4j"),       STR("opensearch"), STR("pgvector"),
        STR("postgres"),    STR("postgresql"),    STR("qdrant"),      STR("rabbitmq"),   STR("redis"),
        STR("scylladb"),    STR("sqlserver"),     STR("timescaledb"), STR("valkey"),     STR("vault"),
        STR("weaviate"),    STR("zookeeper"),     STR("cockroach"),   STR("dynamodb"),   STR("orientdb"),
        STR("surrealdb"),   STR("elasticsearch"),
    };
    if (name.len > 4 && str_eq_nocase((struct str){name.ptr, 4}, STR("rma-")))
        name = (struct str){name.ptr + 4, name.len - 4};
    size_t word = 0;
    while (word < name.len && strchr("-_.:", name.ptr[word]) == NULL)
        word++;
    while (word > 0 && name.ptr[word - 1] >= '0' && name.ptr[word - 1] <= '9') /* the version: postgres16 */
        word--;
    for (size_t i = 0; i < sizeof(stores) / sizeof(stores[0]); i++)
        if (str_eq_nocase((struct str){name.ptr, word}, stores[i]))
            return true;
    return false;
}

const struct catalogue_passing *catalogue_passing(struct str name)
{
    static const struct catalogue_passing others = {.head_timeout_s = CATALOGUE_TIMEOUT_S,
                                                    .silence_timeout_s = CATALOGUE_TIMEOUT_S},
                                          closed = {.closed = true};
    const struct catalogue_service *service = catalogue_find(name);
    if (service != NULL)
        return &service->passing;
    return catalogue_is_data_store(name) ? &closed : &others;
}

void catalogue_write_container(struct buffer *out, const struct catalogue_service *service, struct str coordinator_url,
                               struct str worker_id, bool secrets)
{
    json_begin_object(out, NULL);
    json_add_text(out, "name", service->container);
    json_add_text(out, "image", service->image);
    json_add_integer(out, "port", service->port);
    json_begin_object(out, "env");
    json_add_text(out, "COORDINATOR_URL", coordinator_url);
    json_add_text(out, "WORKER_ID", worker_id);
    if (secrets)
        buffer_append(out, buffer_str(&service->env));
    json_end_object(out);
    json_end_object(out);
}

static void write_config(struct buffer *out, const struct catalogue_service *service, struct str name)
{
    json_begin_object(out, NULL);
    json_add_text(out, "name", name);
    json_add_integer(out, "port", service->port);
    json_add_integer(out, "priority", service->priority);
    json_end_object(out);
}

void catalogue_write_configs(struct buffer *out, const struct catalogue_service *service)
{
    write_config(out, service, service->name);
    for (size_t i = 0; i < service->alias_count; i++)
        write_config(out, service, service->aliases[i]);
}
