/*
 * What a client would rather have: the Accept headers (RFC 9110, section 12.5).
 */
#ifndef HTTP_ACCEPT_H
#define HTTP_ACCEPT_H

#include "base/str.h"

/*
 * The weight that the value of an Accept header gives to `name` ("text/html", "gzip"), in thousandths: 0 to 1000, 1000 where it
 * says none that can be read; -1 when the header does not name it. Wildcards name nothing.
 */
int accept_weight(struct str header, struct str name);

#endif
