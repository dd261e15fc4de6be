/*
 * The two task endpoints that agents in the field know. There is no queue behind them: an agent that asks for work is told, truly,
 * that there is none, and one that delivers work that nobody gave it is told so.
 */
#include "api/api.h"
#include "http/reply.h"
#include "model/id.h"

static void on_worker(void *data, enum err err, const struct worker *worker, int64_t now)
{
    (void)worker;
    (void)now;
    struct request *request = api_resume(data, err);
    if (request != NULL)
        reply_constant(request, 200, STR("{\"tasks\":[]}"));
}

void api_tasks(struct request *request)
{
    const struct api *api = request_app(request);
    char room[ID_MAX + 1];
    struct str worker_id = request_query(request, "worker_id", room, sizeof(room));
    if (!id_is_valid(worker_id)) {
        struct faults faults = FAULTS_INIT;
        faults_add(&faults, "worker_id", worker_id.len == 0 ? "is required" : ID_RULE);
        api_refuse(request, ERR_INVALID, NULL, &faults);
        return;
    }
    request_name_worker(request, worker_id);
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_get(api->store, worker_id, on_worker, pending));
}

void api_task_complete(struct request *request)
{
    reply_error(request, ERR_NOT_BUILT,
                "This coordinator hands out no tasks, so there is none to complete; the result was not stored.", NULL);
}
