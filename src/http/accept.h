/*
 * Reads the Accept headers (RFC 9110, section 12.5), which say what a client prefers.
 */
#ifndef HTTP_ACCEPT_H
#define HTTP_ACCEPT_H

#include "base/str.h"

/*
 * The weight that the value of an Accept header gives to `name` ("text/html", "gzip"), in thousandths, 0 to 1000. It is 1000 if
 * the header gives no readable weight, and -1 if the header does not name `name`. Wildcards are ignored.
 */
int accept_weight(struct str header, struct str name);

#endif
