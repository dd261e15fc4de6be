/*
 * What stands between the route table and the handlers: each request that has found its row passes here, and goes on to its handler at once or
 * later, or is answered here. Whatever must hold for all endpoints belongs here, so that no handler can forget it.
 */
#ifndef API_ADMIT_H
#define API_ADMIT_H

#include "http/request.h"

/* Lets a request go on to its handler. A client whose request writes will see in its own next reads what it has written. */
request_handler api_admit;

#endif
