#include "api/asks.h"

#include "api/admit.h"
#include "api/api.h"
#include "api/polls.h"
#include "base/json_writer.h"
#include "http/reply.h"
#include "model/id.h"

#define QUEUES_MAX 1024 /* bytes of the names of queues in one ask */

/* Reads for how many seconds an ask waits; *wait stays as it is if the query does not say it. */
static void query_wait(const struct request *request, int *wait, struct faults *faults)
{
    char room[16];
    struct faults own = FAULTS_INIT;
    if (str_eq(request_query(request, "wait", room, sizeof(room)), STR("0")))
        *wait = 0;
    else
        api_query_number(request, "wait", POLL_WAIT_MAX_S, wait, &own);
    if (own.count > 0)
        faults_add(faults, "wait", "must be a whole number from 0 to %d", POLL_WAIT_MAX_S);
    faults_fini(&own);
}

static void check_queues(struct str queues, struct faults *faults)
{
    if (queues.len > QUEUES_MAX) {
        faults_add(faults, "queues", "must be at most %d bytes", QUEUES_MAX);
        return;
    }
    for (struct str rest = queues; rest.len > 0;) {
        bool is_last = memchr(rest.ptr, ',', rest.len) == NULL;
        if (!id_is_valid(str_cut(&rest, ',')) || (!is_last && rest.len == 0)) {
            faults_add(faults, "queues", "must be names of queues with commas between; a name " ID_RULE);
            return;
        }
    }
}

/* Reads a query parameter that is an id, into room. */
static struct str query_id(const struct request *request, const char *name, bool required, char room[ID_MAX + 2],
                           struct faults *faults)
{
    struct str id = request_query(request, name, room, ID_MAX + 2);
    if (id.ptr == NULL && required)
        faults_add(faults, name, "is required");
    else if (id.ptr != NULL && !id_is_valid(id))
        faults_add(faults, name, ID_RULE);
    return id;
}

struct ask_room {
    char id[ID_MAX + 2], queues[QUEUES_MAX + 2];
};

/* Reads from the query what every ask may say. `most` names the parameter with the number of tasks, which stays 0 without it. */
static void read_ask(const struct request *request, const char *most, struct ask_room *room, struct ask *ask, struct faults *faults)
{
    ask->id = query_id(request, "request_id", false, room->id, faults);
    ask->queues = request_query(request, "queues", room->queues, sizeof(room->queues));
    check_queues(ask->queues, faults);
    api_query_number(request, most, ASK_MAX, &ask->max, faults);
}

void api_tasks(struct request *request)
{
    const struct api *api = request_app(request);
    struct faults faults = FAULTS_INIT;
    char worker[ID_MAX + 2];
    struct ask_room room;
    struct ask ask = {.worker_id = query_id(request, "worker_id", true, worker, &faults)};
    int wait = -1;
    read_ask(request, "max", &room, &ask, &faults);
    query_wait(request, &wait, &faults);
    if (faults.count > 0) {
        api_refuse(request, ERR_INVALID, NULL, &faults);
        return;
    }
    /* an old agent sends only its id; if an answer is lost, its next ask must get the same task again */
    ask.one_by_one = ask.max == 0 && wait < 0 && ask.id.ptr == NULL && ask.queues.ptr == NULL;
    ask.max = ask.max > 0 ? ask.max : 1;
    request_name_worker(request, ask.worker_id);
    if (!admit_worker(request, ask.worker_id, &ask.join))
        return;
    if (request_is_head(request)) /* an answer to HEAD could not hand over a task */
        reply_constant(request, 200, STR("{\"tasks\":[]}"));
    else
        polls_ask(api->polls, request, &ask, wait > 0 ? wait : 0, (struct str){NULL, 0});
}

static bool asks_for_next(const struct request *request)
{
    char room[16];
    return request_query(request, "next", room, sizeof(room)).ptr != NULL;
}

void asks_check_next(const struct request *request, struct faults *faults)
{
    struct ask_room room;
    struct ask ask = {.max = 0};
    if (asks_for_next(request))
        read_ask(request, "next", &room, &ask, faults);
}

void asks_reply_report(struct request *request, struct str members)
{
    const struct api *api = request_app(request);
    struct faults faults = FAULTS_INIT; /* asks_check_next has found none */
    struct ask_room room;
    struct ask ask = {.worker_id = request_parameter(request, "worker_id")};
    if (asks_for_next(request))
        read_ask(request, "next", &room, &ask, &faults);
    if (ask.max > 0 && admit_speaks_for(request, ask.worker_id, &ask.join)) {
        polls_ask(api->polls, request, &ask, 0, members);
        return;
    }
    struct buffer body = BUFFER_INIT;
    json_begin_object(&body, NULL);
    json_add_raw(&body, NULL, members);
    json_end_object(&body);
    reply_json(request, 200, &body);
    buffer_fini(&body);
}
