/*
 * Writes edge nodes, which are workers, in the form of the old registry of edge nodes.
 */
#ifndef MODEL_EDGE_NODE_H
#define MODEL_EDGE_NODE_H

#include "model/worker.h"

/* Append a worker, of which all fields were read: an element of GET /api/admin/coordinators; a seed of GET /api/dht/bootstrap. */
void edge_node_write(struct buffer *out, const struct worker *worker);
void edge_node_write_seed(struct buffer *out, const struct worker *worker);

#endif
