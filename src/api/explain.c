#include "api/api.h"

static const char *const sentences[ERR_COUNT] = {
    [ERR_BAD_REQUEST] = "The request could not be understood.",
    [ERR_UNAUTHENTICATED] =
        ("This needs a credential: send a token as Authorization: Bearer, or sign in. A worker's agent takes it in its "
         "coordinator's URL: https://worker:TOKEN@host."),
    [ERR_TOKEN_EXPIRED] = "The token has expired; get a new one.",
    [ERR_TOKEN_INVALID] = "This fleet did not issue this token, or a part of it is missing; check it, or get another one.",
    [ERR_TOKEN_REVOKED] = "The token has been revoked, or its session has ended; get a new one.",
    [ERR_LOGIN] = "Invalid username or password",
    [ERR_FORBIDDEN] = "This credential does not permit that.",
    [ERR_OTHERS] =
        ("This credential does not speak for that worker: a worker's token is for that worker alone, a join token for the "
         "workers that registered with it."),
    [ERR_CROSS_SITE] = "A page of another site may not do this with your session; send a token instead.",
    [ERR_LIMITED] = "Too many of these requests came from you; wait as long as Retry-After says.",
    [ERR_EXISTS] = "There is one of this name already; choose another name.",
    [ERR_NO_SUCH] = "There is nothing of this name.",
    [ERR_TOO_MANY] = "There can be no more of these; remove some that nobody needs.",
    [ERR_LAST_ADMIN] =
        ("This is the last admin; make another one first. The command \"rma-coordinator users\", which reaches Redis "
         "itself, may do it without."),
    [ERR_PATH_NOT_FOUND] = "There is no such path; GET /api lists what there is.",
    [ERR_WORKER_NOT_FOUND] = "Worker not found", /* agents in the field compare it */
    [ERR_METHOD] = "This path does not take that method; the Allow header lists those it takes.",
    [ERR_LATE] = "The request did not arrive whole in time: it has 10 seconds, and one more for each KiB that has come.",
    [ERR_TOO_LARGE] =
        ("The body is larger than this path takes: 64 KiB, tasks 512 KiB, bulk requests 1 MiB, models 16 MiB, other requests "
         "to workers MAX_UPLOAD_BYTES."),
    [ERR_MEDIA_TYPE] = "Send the body as application/json.",
    [ERR_ENCODED] = "The body has a Content-Encoding; send it without one.",
    [ERR_EXPECTATION] = "The Expect header takes 100-continue only; send the request without another expectation.",
    [ERR_HEAD_TOO_LARGE] = "The request's target and headers have more than 64 KiB together.",
    [ERR_INVALID] = "The request has invalid fields; errors lists each of them.",
    [ERR_INTERNAL] =
        "The coordinator made an error. Its log has a line about it, and before it, what Redis said if Redis caused it.",
    [ERR_STOPPING] = "This coordinator is shutting down; ask another one.",
    [ERR_OVERLOADED] = "The coordinator has too many requests waiting for Redis; try again shortly.",
    [ERR_CROWDED] = "Too many long answers are under way; ask for fewer workers with limit and cursor.",
    [ERR_STREAMS] = "This coordinator has as many event streams as it takes; ask another one, or poll.",
    [ERR_NO_WORKER] = "No live worker can do this at present.",
    [ERR_UNAVAILABLE] = "The registry (Redis) is out of reach; try again shortly.",
    [ERR_LOADING] = "Redis is loading its data; try again shortly.",
    [ERR_BUSY] = "Redis is busy with a long script; try again shortly.",
    [ERR_NO_SCRIPT] = "Redis keeps losing the coordinator's scripts; find out which client calls SCRIPT FLUSH.",
    [ERR_READONLY] = "Redis is a replica and takes no writes; the coordinator looks for the primary, try again.",
    [ERR_MASTER_DOWN] = "Redis is a replica without its primary; try again shortly.",
    [ERR_NO_REPLICAS] = "Redis has too few replicas in step to take writes; try again shortly.",
    [ERR_UNCONFIRMED] = "Too few replicas have confirmed the change, so a failover may undo it; send it again.",
    [ERR_CLUSTER_DOWN] = "The Redis cluster does not serve the registry at present; try again shortly.",
    [ERR_MOVED] = "The registry has moved to another node of the Redis cluster; try again.",
    [ERR_ASK] = "The registry is moving to another node of the Redis cluster; try again shortly.",
    [ERR_TRY_AGAIN] = "The registry is moving to another node of the Redis cluster; try again shortly.",
    [ERR_FULL] = "Redis has reached its memory limit and takes no new workers and tasks; raise maxmemory.",
    [ERR_NOT_PERMITTED] = "Redis does not permit its user a command that the coordinator needs; docs/redis.md has the ACL line.",
    [ERR_NO_PASSWORD] = "Redis asks for a password, and REDIS_URL has none; write it there.",
    [ERR_WRONG_PASSWORD] = "Redis refuses the user and password of REDIS_URL; correct them there.",
    [ERR_TOO_OLD] = "Redis is older than 7.0, which the coordinator needs; install a newer one.",
    [ERR_NEWER] = "The data in Redis has a newer format than this coordinator knows, so it changes nothing; start a newer version.",
    [ERR_OLDER] = "Coordinators of an older version still serve; stop them, and this version begins.",
    [ERR_DISK] = "Redis can't write to its disk; free space on its volume.",
    [ERR_TASK_NOT_FOUND] = "Task not found: it was never there, or it has ended and is forgotten.",
    [ERR_QUEUE_NOT_FOUND] = "Queue not found: nothing was ever submitted to it.",
    [ERR_TASK_ENDED] = "The task has ended already.",
    [ERR_TASK_ALIVE] = "Only a dead task can be tried again.",
    [ERR_DEDUP_TAKEN] = "Another live task has the same dedup_key; wait for its end, or choose another key.",
    [ERR_LEASE_LOST] = "The task is no longer this worker's: its lease has ended, or is another one's. Drop the work.",
    [ERR_KEY_REUSED] = "This Idempotency-Key was used with another body; take a new key.",
    [ERR_QUEUES_FULL] =
        ("There are as many queues (1000), or combinations of a queue and requirements with waiting tasks (512), as there may be; "
         "use fewer."),
    [ERR_MODEL_NOT_FOUND] = "No live worker has this model loaded; GET /v1/models lists those that are.",
    [ERR_SERVICE_CLOSED] =
        ("This service is a data store, or its catalogue entry says \"proxy\": false; requests are not passed on to it."),
    [ERR_CLIENT_LEFT] = "The client left before its answer began.",
    [ERR_UNREACHABLE] = "No worker of the service can be reached; the request was not delivered, so try again.",
    [ERR_WORKER_FAILED] = "The worker failed before it answered; try again.",
    [ERR_WORKER_REFUSED] = "The worker refuses the request; the same request would be refused again.",
    [ERR_OUTCOME_UNKNOWN] = "The worker failed after the request was sent to it; whether the request took effect is unknown.",
    [ERR_WORKER_LATE] = "The worker did not answer in time; try again.",
    [ERR_WORKER_LATE_UNKNOWN] = "The worker did not answer in time; whether the request took effect is unknown.",
    [ERR_LOOP] = "The request has come through this fleet's coordinators again and again; a worker's URL leads back here.",
    [ERR_DEADLINE] = "Redis did not answer in time; whether the request took effect is unknown.",
};

const char *api_explain(enum err err)
{
    return sentences[err] != NULL ? sentences[err] : status_reason(err_status(err));
}
