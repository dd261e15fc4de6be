/*
 * HTML pages that live in the binary.
 */
#ifndef HTTP_PAGE_H
#define HTTP_PAGE_H

#include "http/request.h"

/* A page in the two forms that it is sent in. All of it lives for ever; the texts that are no str end with a NUL. */
struct page {
    struct str html, gzip;
    const char *html_etag, *gzip_etag; /* in quotes, as in the header */
    const char *policy;                /* its Content-Security-Policy */
};

/* Answers with a page: compressed for those who take that, and only with its ETag for those who have it. Ends the request. */
void page_reply(struct request *request, const struct page *page);

#endif
