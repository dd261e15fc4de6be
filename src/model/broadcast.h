/*
 * POST /api/coordinator/broadcast-job: a job for all workers that are capable of it.
 */
#ifndef MODEL_BROADCAST_H
#define MODEL_BROADCAST_H

#include "base/err.h"
#include "base/faults.h"
#include "model/worker.h"

struct broadcast {
    struct str type;       /* of the tasks: printable, 1 to TASK_TYPE_MAX bytes */
    struct str data;       /* their payload: JSON as it came, minified */
    struct str capability; /* the capability that a worker needs; absent: none */

    void *document; /* owned, like the next one: the texts point into it */
    char *text;
};

/*
 * Fills *out from a request body. The errors are those of submission_parse. On ERR_NONE the caller releases *out with
 * broadcast_fini.
 */
MUST_CHECK enum err broadcast_parse(struct str body, struct broadcast *out, struct faults *faults, const char **why);

/*
 * Whether the job is for a worker, of which all fields were read. The worker must be live, take work, be of tier 1 or 2, and
 * have the capability: as a member of its capabilities that is not false, 0 or empty, as a service, or among the capabilities
 * of a service that it advertises.
 */
bool broadcast_reaches(const struct broadcast *job, const struct worker *worker);

void broadcast_fini(struct broadcast *job);

#endif
