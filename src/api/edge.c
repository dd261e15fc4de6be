/*
 * Edge nodes: workers of tier 4 whose agents know two paths of their own. Some of them, and a page, ask for a DHT: there is none.
 */
#include "api/api.h"
#include "http/reply.h"

static void on_heartbeat(void *data, enum err err, bool revived)
{
    (void)revived;
    struct request *request = api_resume(data, err);
    if (request != NULL)
        reply_constant(request, 200, STR("{\"status\":\"ok\"}"));
}

void api_edge_heartbeat(struct request *request)
{
    const struct api *api = request_app(request);
    struct heartbeat heartbeat;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    enum err err = heartbeat_parse(request->body, &heartbeat, &faults, &why);
    if (err != ERR_NONE) {
        api_refuse(request, err, why, &faults);
        return;
    }
    request_name_worker(request, heartbeat.worker_id);
    struct pending *pending = api_wait(request, 0);
    err = store_heartbeat(api->store, &heartbeat, false, on_heartbeat, pending);
    heartbeat_fini(&heartbeat);
    api_sent(pending, err);
}

void api_dht_stats(struct request *request)
{
    reply_constant(request, 200, STR("{\"dht_enabled\":false}"));
}

void api_dht_topology(struct request *request)
{
    reply_constant(request, 200,
                   STR("{\"nodes\":[],\"edges\":[],\"connections\":[],\"stats\":{\"total_nodes\":0,\"coordinator_count\":0,"
                       "\"worker_count\":0,\"healthy_count\":0}}"));
}
