/*
 * GET /api/admin/history: the state of the fleet in each of the last minutes.
 */
#include "api/api.h"
#include "base/json_writer.h"
#include "http/reply.h"

#define MINUTES_MAX 1440
#define MINUTES_DEFAULT 60

struct plotting {
    struct pending *pending;
    struct buffer body;
};

static void on_point(void *data, int64_t time, const struct fleet *fleet)
{
    struct plotting *plotting = data;
    fleet_write_point(&plotting->body, fleet, time);
}

static void on_points_end(void *data, enum err err)
{
    struct plotting *plotting = data;
    struct buffer body = plotting->body;
    struct request *request = api_resume(plotting->pending, err);
    if (request != NULL) {
        json_end_array(&body);
        json_end_object(&body);
        reply_json(request, 200, &body);
    }
    buffer_fini(&body);
}

void api_history(struct request *request)
{
    struct faults faults = FAULTS_INIT;
    int minutes = MINUTES_DEFAULT;
    api_query_number(request, "minutes", MINUTES_MAX, &minutes, &faults);
    if (faults.count > 0) {
        api_refuse(request, ERR_INVALID, NULL, &faults);
        return;
    }
    struct pending *pending = api_wait(request, sizeof(struct plotting));
    struct plotting *plotting = pending_payload(pending);
    *plotting = (struct plotting){.pending = pending};
    json_begin_object(&plotting->body, NULL);
    json_add_integer(&plotting->body, "interval_seconds", 60);
    json_begin_array(&plotting->body, "points");
    enum err err = store_history(reading_store(request), minutes, on_point, on_points_end, plotting);
    if (err != ERR_NONE)
        on_points_end(plotting, err);
}
