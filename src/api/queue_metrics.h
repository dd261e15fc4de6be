/*
 * The metrics of queues and their tasks.
 */
#ifndef API_QUEUE_METRICS_H
#define API_QUEUE_METRICS_H

#include "store/tasks.h"

#define QUEUE_METRICS_MAX 100 /* so many queues have series of their own: anybody may make up names */

struct queue_metrics;

/* Makes an empty one. Release it with free. */
struct queue_metrics *queue_metrics_new(void);

/* Adds a queue. Queues come in the order of their names; those after QUEUE_METRICS_MAX are added up as "(others)". */
void queue_metrics_add(struct queue_metrics *queues, const struct queue *queue);

/* Appends the metrics in the exposition format of Prometheus. */
void queue_metrics_write(struct buffer *out, const struct queue_metrics *queues);

#endif
