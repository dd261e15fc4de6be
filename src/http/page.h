/*
 * HTML pages that are part of the binary.
 */
#ifndef HTTP_PAGE_H
#define HTTP_PAGE_H

#include "http/request.h"

/* A page, plain and compressed. Everything in it lives for ever; the texts of type char * end with a NUL. */
struct page {
    struct str html, gzip;
    const char *html_etag, *gzip_etag; /* in quotes, as in the header */
    const char *policy;                /* its Content-Security-Policy */
};

/* Answers with a page: compressed if the client accepts that, and with 304 if the client has it already. Ends the request. */
void page_reply(struct request *request, const struct page *page);

#endif
