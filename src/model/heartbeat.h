/*
 * POST /api/worker/heartbeat, from its JSON to a checked struct.
 */
#ifndef MODEL_HEARTBEAT_H
#define MODEL_HEARTBEAT_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/faults.h"

#define HEARTBEAT_JSON_MAX 8192 /* bytes of loaded_models and of services_status, each */
#define HEARTBEAT_MEMORY_MAX 64 /* bytes of available_memory */
#define HEARTBEAT_SPECIALIZATION_MAX 128
#define HEARTBEAT_RANKED_MODELS_MAX 32
#define HEARTBEAT_SILENCE_MAX 3600 /* seconds of expect_silence */

struct heartbeat {
    struct str worker_id; /* a valid id */
    struct str status;    /* "healthy", "degraded", "draining" or "offline"; "online" has become "healthy" */
    double current_load;  /* 0 to 1; more has become 1 */
    /* absent (NULL, or negative for numbers) when the request does not say, or a text is too long: what was known before stays */
    struct str available_memory;
    struct str specialization;
    struct str loaded_models;   /* JSON array of strings, as it came */
    struct str services_status; /* JSON object, as it came */
    double active_requests;     /* a whole number */
    double gpu_utilization;     /* percent */
    double expect_silence;      /* seconds */

    void *document; /* owned: the parsed JSON; loaded_models and services_status point into the request body instead */
};

/* As registration_parse. loaded_models and services_status point into `body`, which must outlive them. */
MUST_CHECK enum err heartbeat_parse(struct str body, struct heartbeat *out, struct faults *faults, const char **why);

/*
 * Appends the normal forms (see model_name.h) of the loaded models' names, with commas between, of the first HEARTBEAT_RANKED_MODELS_MAX
 * that can be asked for. Returns whether there was any.
 */
bool heartbeat_write_model_names(struct buffer *out, const struct heartbeat *heartbeat);

/* Appends what services_status tells, as health_write does. Returns whether it tells anything. */
bool heartbeat_write_health(struct buffer *out, const struct heartbeat *heartbeat);

void heartbeat_fini(struct heartbeat *heartbeat);

#endif
