#include "http/page.h"

#include "http/accept.h"
#include "http/reply.h"

#include <h2o.h>

#define SLASHES_MAX 8 /* at a path's end; more are not worth a redirect */

/* Whether an If-None-Match names `etag`. A proxy that compresses by itself marks tags as weak ("W/"). */
static bool is_named(struct str tags, struct str etag)
{
    while (tags.len > 0) {
        struct str tag = str_trim(str_cut(&tags, ','));
        if (tag.len > 2 && tag.ptr[0] == 'W' && tag.ptr[1] == '/')
            tag = (struct str){tag.ptr + 2, tag.len - 2};
        if (str_eq(tag, etag) || str_eq(tag, STR("*")))
            return true;
    }
    return false;
}

/*
 * Redirects a request whose path ends in slashes to the path without them, since the links of a page are relative to that path.
 * The address is relative, so that it also works behind a proxy that serves this under a prefix. Returns whether it has answered.
 */
static bool redirect(struct request *request)
{
    struct str target = {request->h2o->path.base, request->h2o->path.len};
    struct str path = str_cut(&target, '?');
    size_t slashes = 0;
    while (slashes < path.len && path.ptr[path.len - 1 - slashes] == '/')
        slashes++;
    if (slashes == 0 || slashes == path.len || slashes > SLASHES_MAX)
        return false;
    struct buffer location = BUFFER_INIT;
    for (size_t i = 0; i < slashes; i++)
        buffer_append(&location, STR("../"));
    buffer_printf(&location, "%s", request->route->path + 1);
    buffer_append(&location, (struct str){"", 1}); /* a NUL at its end */
    request_replace_header(request, "Location", location.ptr);
    buffer_fini(&location);
    reply_constant(request, 308, STR(""));
    return true;
}

void page_reply(struct request *request, const struct page *page)
{
    if (redirect(request))
        return;
    bool compressed = accept_weight(request_header(request, "accept-encoding"), STR("gzip")) > 0;
    const char *etag = compressed ? page->gzip_etag : page->html_etag;
    request_set_header(request, "ETag", etag);
    request_set_header(request, "Vary", "Accept, Accept-Encoding");
    request_set_header(request, "Cache-Control", "no-cache");
    request_set_header(request, "Content-Security-Policy", page->policy);
    if (is_named(request_header(request, "if-none-match"), str_from(etag))) {
        reply_not_modified(request);
        return;
    }
    request_set_header(request, "X-Content-Type-Options", "nosniff");
    request_set_header(request, "Referrer-Policy", "no-referrer");
    if (compressed)
        request_set_header(request, "Content-Encoding", "gzip");
    reply_html(request, compressed ? page->gzip : page->html);
}
