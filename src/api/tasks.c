/*
 * The two task endpoints that agents in the field know. There is no queue behind them: an agent that asks for work is told, truly,
 * that there is none, and one that delivers work that nobody gave it is told so.
 */
#include "api/api.h"
#include "http/reply.h"

void api_tasks(struct request *request)
{
    reply_constant(request, 200, STR("{\"tasks\":[]}"));
}

void api_task_complete(struct request *request)
{
    reply_error(request, ERR_NOT_BUILT,
                "This coordinator hands out no tasks, so there is none to complete; the result was not stored.", NULL);
}
