/*
 * Files of this folder that are served as they are. The build makes C of them (embed.lua).
 */
#ifndef API_EMBEDDED_H
#define API_EMBEDDED_H

#include "base/str.h"

extern const struct str embedded_openapi_json;
extern const struct str embedded_docs_html;
extern const struct str embedded_docs_html_policy; /* its Content-Security-Policy; ends with a NUL */

#endif
