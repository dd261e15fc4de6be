/*
 * Reads how workers report the health of a service: as a word, a boolean, or an object that has one.
 */
#ifndef MODEL_HEALTH_H
#define MODEL_HEALTH_H

#include "base/buffer.h"

struct cJSON;

enum health { HEALTH_UNTOLD, HEALTH_WELL, HEALTH_UNWELL };

/*
 * Reads the health of one service: "healthy", "Exited (1) 3 minutes ago", false, {"status": "down"}, {"healthy": false}. A
 * service counts as unhealthy only if the value says so: an unknown word counts as healthy. The value may also be an advertised
 * service: an object with such a member among others. NULL and JSON null say nothing.
 */
enum health health_read(const struct cJSON *value);

#define HEALTH_SERVICES_MAX 128

/* What a worker reports about its services. */
struct health_list {
    struct str names[HEALTH_SERVICES_MAX]; /* the catalogue's, each once */
    bool well[HEALTH_SERVICES_MAX];
    size_t count;
};

/*
 * Adds the report on a service. If a service has two entries, the healthy one counts. It leaves out entries that say nothing,
 * absent names, and entries above the limit.
 */
void health_add(struct health_list *list, struct str name, enum health health);

/* Adds the reports in the object services_status (NULL: it is absent). */
void health_add_all(struct health_list *list, const struct cJSON *services_status);

/* Appends a list as lua/lib/health.lua reads it: names with commas between, a "!" before those that are not well. */
void health_write(struct buffer *out, const struct health_list *list);

#endif
