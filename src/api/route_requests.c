/*
 * GET /api/route/requests: the number of requests of each service.
 */
#include "api/api.h"
#include "base/json_writer.h"
#include "http/reply.h"
#include "store/requests.h"

struct counts {
    struct pending *pending;
    struct buffer body;
    int64_t count;
};

static void on_count(void *data, const struct request_count *count)
{
    struct counts *counts = data;
    struct buffer *body = &counts->body;
    json_begin_object(body, NULL);
    json_add_text(body, "service", count->service);
    json_add_integer(body, "in_flight", count->in_flight);
    json_add_integer(body, "served", count->served);
    json_end_object(body);
    counts->count++;
}

static void on_counted(void *data, enum err err)
{
    struct counts *counts = data;
    struct buffer body = counts->body;
    json_end_array(&body);
    json_add_integer(&body, "count", counts->count);
    json_end_object(&body);
    struct request *request = api_resume(counts->pending, err);
    if (request != NULL)
        reply_json(request, 200, &body);
    buffer_fini(&body);
}

void api_route_requests(struct request *request)
{
    struct pending *pending = api_wait(request, sizeof(struct counts));
    struct counts *counts = pending_payload(pending);
    counts->pending = pending;
    json_begin_object(&counts->body, NULL);
    json_begin_array(&counts->body, "services");
    enum err err = store_request_counts(reading_store(request), on_count, on_counted, counts);
    if (err != ERR_NONE)
        on_counted(counts, err);
}
