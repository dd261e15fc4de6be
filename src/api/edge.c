/*
 * Answers edge nodes and a page of the field that ask about a DHT. The fleet has none.
 */
#include "api/api.h"
#include "http/reply.h"

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
