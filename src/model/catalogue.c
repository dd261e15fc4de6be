#include "model/catalogue.h"

#define SERVICE(name, tier, container, image, port, priority)                                                                      \
    {                                                                                                                              \
        {name, sizeof(name) - 1}, tier, {container, sizeof(container) - 1}, {image, sizeof(image) - 1}, port, priority,            \
        {                                                                                                                          \
            NULL, 0, 0                                                                                                             \
        }                                                                                                                          \
    }

static const struct catalogue_service built_in[] = {
    SERVICE("vision", TIER_GPU, "rma-ollama-vision-worker", "ghcr.io/rma/ollama-vision-worker:latest", 11434, 1),
    SERVICE("vllm", TIER_GPU, "rma-vllm-worker", "ghcr.io/rma/vllm-worker:latest", 8000, 1),
    SERVICE("rag", TIER_SERVICE, "rma-rag-worker", "ghcr.io/rma/rag-worker:latest", 8102, 1),
    SERVICE("ner", TIER_SERVICE, "rma-ner-worker", "ghcr.io/rma/ner-worker:latest", 8108, 2),
    SERVICE("notes", TIER_SERVICE, "rma-notes-worker", "ghcr.io/rma/notes-worker:latest", 8100, 2),
    SERVICE("upload", TIER_SERVICE, "rma-upload-worker", "ghcr.io/rma/upload-worker:latest", 8103, 3),
    SERVICE("client-rag", TIER_SERVICE, "rma-client-rag-worker", "ghcr.io/rma/client-rag-worker:latest", 8101, 4),
    SERVICE("doc-processor", TIER_SERVICE, "rma-doc-processor-worker", "ghcr.io/rma/doc-processor-worker:latest", 8104, 4),
    SERVICE("postgres", TIER_DATA, "rma-postgres-worker", "postgres:16-alpine", 5432, 1),
    SERVICE("neo4j", TIER_DATA, "rma-neo4j-worker", "neo4j:5.15", 7687, 2),
    SERVICE("redis", TIER_DATA, "rma-redis-worker", "redis:7-alpine", 6379, 3),
    SERVICE("edge-proxy", TIER_EDGE, "rma-edge-proxy-worker", "ghcr.io/rma/edge-proxy:latest", 8787, 1),
};

const struct catalogue_service *catalogue = built_in;
size_t catalogue_count = sizeof(built_in) / sizeof(built_in[0]);

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

const struct catalogue_service *catalogue_find_container(struct str container)
{
    for (size_t i = 0; i < catalogue_count; i++)
        if (str_eq(catalogue[i].container, container))
            return &catalogue[i];
    return NULL;
}

void catalogue_write_container(struct buffer *out, const struct catalogue_service *service, struct str coordinator_url,
                               struct str worker_id)
{
    buffer_append(out, STR("{\"name\":"));
    buffer_json_string(out, service->container);
    buffer_append(out, STR(",\"image\":"));
    buffer_json_string(out, service->image);
    buffer_printf(out, ",\"port\":%d,\"env\":{\"COORDINATOR_URL\":", service->port);
    buffer_json_string(out, coordinator_url);
    buffer_append(out, STR(",\"WORKER_ID\":"));
    buffer_json_string(out, worker_id);
    buffer_append(out, buffer_str(&service->env));
    buffer_append(out, STR("}}"));
}
