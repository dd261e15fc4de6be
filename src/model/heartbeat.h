/*
 * POST /api/worker/heartbeat, from its JSON to a checked struct.
 *
 * A live worker must not go offline because of a bad value. So a heartbeat is refused only for a bad worker_id. Any other bad
 * member is left out, or gets the value that is clearly meant.
 */
#ifndef MODEL_HEARTBEAT_H
#define MODEL_HEARTBEAT_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/faults.h"
#include "model/whereabouts.h"

#define HEARTBEAT_JSON_MAX 8192 /* bytes of loaded_models and of services_status, each */
#define HEARTBEAT_MEMORY_MAX 64 /* bytes of available_memory */
#define HEARTBEAT_SPECIALIZATION_MAX 128
#define HEARTBEAT_STATUS_MAX 64 /* bytes of reported_status; a longer one is cut */
#define HEARTBEAT_RANKED_MODELS_MAX 32
#define HEARTBEAT_TASKS_MAX 256    /* tasks that the worker may say it works on */
#define HEARTBEAT_SILENCE_MAX 3600 /* seconds of expect_silence */

struct heartbeat {
    struct str worker_id; /* a valid id */
    struct str join;      /* the join token with which the worker must have registered; absent: any. Not part of the body */
    /* Absent (NULL, or negative for numbers) if the request has no usable value: the earlier value then stays. */
    struct str status; /* what it counts as: "healthy", "degraded", "draining" or "offline"; "online" has become "healthy" */
    struct str reported_status; /* the unknown word that it sent, and for which it counts as degraded */
    double current_load;        /* 0 to 1; more has become 1 */
    struct str available_memory;
    struct str specialization;
    struct str loaded_models;   /* JSON array of strings */
    struct str services_status; /* JSON object, as it came */
    double active_requests;     /* a whole number */
    double gpu_utilization;     /* percent */
    struct whereabouts where;   /* the addresses that it tells; complete after heartbeat_settle */
    double expect_silence;      /* seconds, at most HEARTBEAT_SILENCE_MAX */
    bool tells_tasks;           /* it says on which tasks it works: those of `tasks` */

    /* Owned: the names of the members that were left out or changed, with commas between; "other" for an unknown member. */
    struct buffer ignored;
    struct buffer tasks;  /* owned: ids with blanks between */
    void *document;       /* owned: the parsed JSON */
    struct buffer models; /* owned: loaded_models points into it, or into the body */
    struct buffer mended; /* owned: the mended body, if the body can't be used as it came */
};

/*
 * Fills *out from a request body. Returns ERR_BAD_REQUEST with *why set (not a JSON object), or ERR_INVALID with the faults of
 * the worker_id in *faults; *out is then unchanged and *ignored empty. On ERR_NONE *ignored names the members that were left
 * out or changed, and the caller releases *out with heartbeat_fini. Both lists must come in empty. loaded_models and
 * services_status may point into `body`, which must outlive them.
 */
MUST_CHECK enum err heartbeat_parse(struct str body, struct heartbeat *out, struct faults *faults, struct faults *ignored,
                                    const char **why);

/* Notes that the heartbeat came from `caller` (see whereabouts_settle). *ignored is the list that heartbeat_parse filled. */
void heartbeat_settle(struct heartbeat *heartbeat, struct str caller, struct faults *ignored);

/*
 * Appends the normal forms (see model_name.h) of the loaded models' names, with commas between, of the first
 * HEARTBEAT_RANKED_MODELS_MAX that can be asked for. Returns whether there was any.
 */
bool heartbeat_write_model_names(struct buffer *out, const struct heartbeat *heartbeat);

/* Appends the reports of services_status in the form of health_write. Returns whether there are any. */
bool heartbeat_write_health(struct buffer *out, const struct heartbeat *heartbeat);

void heartbeat_fini(struct heartbeat *heartbeat);

#endif
