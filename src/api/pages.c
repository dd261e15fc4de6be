/*
 * Serves the dashboard, the OpenAPI document of the endpoints, and the page that shows this document.
 */
#include "api/api.h"
#include "api/embedded.h"
#include "http/accept.h"
#include "http/reply.h"

void api_openapi(struct request *request)
{
    reply_constant(request, 200, embedded_openapi_json);
}

void api_docs(struct request *request)
{
    page_reply(request, &embedded_docs);
}

void api_dashboard(struct request *request)
{
    page_reply(request, &embedded_dashboard);
}

/* Browsers name text/html; API clients name JSON, anything, or nothing. */
void api_front(struct request *request)
{
    struct str accept = request_header(request, "accept");
    int html = accept_weight(accept, STR("text/html"));
    if (html > 0 && html >= accept_weight(accept, STR("application/json"))) {
        api_dashboard(request);
        return;
    }
    request_set_header(request, "Vary", "Accept");
    api_root(request);
}
