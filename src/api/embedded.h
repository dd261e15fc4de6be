/*
 * Files that are served as they are. The build turns them into C (embed.lua).
 */
#ifndef API_EMBEDDED_H
#define API_EMBEDDED_H

#include "http/page.h"

extern const struct str embedded_openapi_json;
extern const struct page embedded_docs;      /* docs.html */
extern const struct page embedded_dashboard; /* the files of src/dashboard, put into one */

#endif
