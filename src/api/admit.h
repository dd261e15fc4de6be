/*
 * What stands between the route table and the handlers: each request that has found its row passes here, and goes on to its handler at once or
 * later, or is answered here. Whatever must hold for all endpoints belongs here, so that no handler can forget it.
 */
#ifndef API_ADMIT_H
#define API_ADMIT_H

#include "http/request.h"

/*
 * Who may ask for a route: .access of its row has the least role, which includes those after it; or, or besides, workers. A row without any
 * is for nobody. ACCESS_FIELD marks the paths that agents, dashboards and front-ends in the field use without credentials.
 */
enum access {
    ACCESS_ANYONE = 1,
    ACCESS_VIEWER = 2,
    ACCESS_USER = 4,
    ACCESS_OPERATOR = 8,
    ACCESS_ADMIN = 16,
    ACCESS_WORKER = 32,
    ACCESS_FIELD = 64,
};

/* Lets a request go on to its handler. A client whose request writes will see in its own next reads what it has written. */
request_handler api_admit;

#endif
