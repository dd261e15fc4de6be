/*
 * What the endpoints are: for programs (OpenAPI), and for people a page that shows just that document.
 */
#include "api/api.h"
#include "api/embedded.h"
#include "http/reply.h"

void api_openapi(struct request *request)
{
    reply_constant(request, 200, embedded_openapi_json);
}

void api_docs(struct request *request)
{
    request_set_header(request, "Content-Security-Policy", embedded_docs_html_policy.ptr);
    request_set_header(request, "X-Content-Type-Options", "nosniff");
    request_set_header(request, "Referrer-Policy", "no-referrer");
    reply_page(request, embedded_docs_html);
}
