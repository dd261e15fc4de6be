#include "model/edge_node.h"

#include "base/json_writer.h"

#define DHT_PORT_DEFAULT 8468

/* Reads decimal text from Redis; `missing` if it is no number. */
static int64_t number_of(struct str text, int64_t missing)
{
    int64_t number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || i == 15)
            return missing;
        number = number * 10 + (text.ptr[i] - '0');
    }
    return text.len > 0 ? number : missing;
}

static struct str location_of(const struct worker *worker)
{
    struct str location = worker->fields[WORKER_location];
    return location.len > 0 ? location : STR("unknown");
}

void edge_node_write(struct buffer *out, const struct worker *worker)
{
    const struct str *fields = worker->fields;
    int64_t port = number_of(fields[WORKER_dht_port], 0);
    json_begin_object(out, NULL);
    json_add_text(out, "worker_id", worker->id);
    json_add_text(out, "tunnel_url", fields[WORKER_tunnel_url]);
    json_add_text(out, "location", location_of(worker));
    if (port > 0)
        json_add_integer(out, "dht_port", port);
    else
        json_add_null(out, "dht_port");
    json_add_integer(out, "registered_at", number_of(fields[WORKER_registered_at], 0));
    json_add_integer(out, "last_seen", number_of(fields[WORKER_last_heartbeat], 0));
    json_end_object(out);
}

void edge_node_write_seed(struct buffer *out, const struct worker *worker)
{
    json_begin_object(out, NULL);
    json_add_text(out, "worker_id", worker->id);
    json_add_text(out, "node_id", worker->id);
    json_add_text(out, "tunnel_url", worker->fields[WORKER_tunnel_url]);
    json_add_integer(out, "dht_port", number_of(worker->fields[WORKER_dht_port], DHT_PORT_DEFAULT));
    json_add_text(out, "location", location_of(worker));
    json_end_object(out);
}
