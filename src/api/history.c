/*
 * GET /api/admin/history: how the fleet was, minute by minute.
 */
#include "api/api.h"
#include "http/reply.h"

#define MINUTES_MAX 1440
#define MINUTES_DEFAULT 60

struct plotting {
    struct pending *pending;
    struct buffer body;
    size_t count;
};

static void on_point(void *data, int64_t time, const struct fleet *fleet)
{
    struct plotting *plotting = data;
    buffer_append(&plotting->body, plotting->count++ > 0 ? STR(",") : STR(""));
    fleet_write_point(&plotting->body, fleet, time);
}

static void on_points_end(void *data, enum err err)
{
    struct plotting *plotting = data;
    struct pending *pending = plotting->pending;
    struct request *request = pending_take(pending);
    if (request != NULL && err == ERR_NONE) {
        buffer_append(&plotting->body, STR("]}"));
        reply_json(request, 200, &plotting->body);
    } else if (request != NULL) {
        reading_fail(request, err, NULL);
    }
    buffer_fini(&plotting->body);
    pending_release(pending, err);
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
    buffer_append(&plotting->body, STR("{\"interval_seconds\":60,\"points\":["));
    enum err err = store_history(reading_store(request), minutes, on_point, on_points_end, plotting);
    if (err != ERR_NONE) {
        buffer_fini(&plotting->body);
        pending_release(pending, err);
    }
}
