/*
 * Reads how workers tell the health of a service: by a word, a boolean, or an object that has one.
 */
#ifndef MODEL_HEALTH_H
#define MODEL_HEALTH_H

#include "base/buffer.h"

struct cJSON;

enum health { HEALTH_UNTOLD, HEALTH_WELL, HEALTH_UNWELL };

/*
 * Reads what stands for the health of one service: "healthy", "Exited (1) 3 minutes ago", false, {"status": "down"},
 * {"healthy": false}. A service counts as not well only if this says so; unknown words count as well. Also of an advertised
 * service, an object that may have such a member among others. NULL and JSON null tell nothing.
 */
enum health health_read(const struct cJSON *value);

#define HEALTH_SERVICES_MAX 128

/* What a worker tells of its services. */
struct health_list {
    struct str names[HEALTH_SERVICES_MAX]; /* the catalogue's, each once */
    bool well[HEALTH_SERVICES_MAX];
    size_t count;
};

/*
 * Adds what is told of a service. Of two entries of one service the healthy one counts. It leaves out entries that tell
 * nothing, absent names, and what is too much.
 */
void health_add(struct health_list *list, struct str name, enum health health);

/* Adds what the object services_status (NULL: it is absent) tells. */
void health_add_all(struct health_list *list, const struct cJSON *services_status);

/* Appends a list as lua/lib/health.lua reads it: names with commas between, a "!" before those that are not well. */
void health_write(struct buffer *out, const struct health_list *list);

#endif
