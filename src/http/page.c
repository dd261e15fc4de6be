#include "http/page.h"

#include "http/accept.h"
#include "http/reply.h"

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

void page_reply(struct request *request, const struct page *page)
{
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
