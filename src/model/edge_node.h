/*
 * Edge nodes, which are workers, as the old registry of them showed them.
 */
#ifndef MODEL_EDGE_NODE_H
#define MODEL_EDGE_NODE_H

#include "model/worker.h"

/* Append a worker, of which all fields were read: an element of GET /api/admin/coordinators; a seed of GET /api/dht/bootstrap. */
void edge_node_write(struct buffer *out, const struct worker *worker);
void edge_node_write_seed(struct buffer *out, const struct worker *worker);

#endif
