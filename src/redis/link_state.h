/*
 * The inside of a link, for link.c and link_state.c alone.
 */
#ifndef REDIS_LINK_STATE_H
#define REDIS_LINK_STATE_H

#include "redis/link.h"

struct call;
struct redisAsyncContext;
struct sentinel;

enum link_state { LINK_DOWN, LINK_SEEKING, LINK_CONNECTING, LINK_GREETING, LINK_UP };

struct link {
    const struct address *address;
    enum link_state state;
    struct sentinel *sentinel;       /* NULL: REDIS_URL says where the primary is */
    struct dial dial;                /* CONNECTING */
    struct endpoint endpoint;        /* CONNECTING, GREETING, UP: the place, except for a unix socket */
    bool redirected;                 /* DOWN: a node of a cluster has named `endpoint` for the next attempt */
    struct redisAsyncContext *redis; /* GREETING, UP */
    struct call *first, **last;      /* commands in flight, oldest first */
    size_t in_flight, in_flight_bytes;
    int64_t heard_at;              /* when the last reply came, or else when the first command of those in flight was sent */
    int greeting;                  /* GREETING: the step whose reply comes next */
    int min_replicas;              /* UP */
    struct greeting_server server; /* GREETING, UP */
    link_opener *opener;           /* NULL: there is nothing to do before it is up */
    void *opener_data;
    char why[GREETING_WHY_MAX]; /* not UP: why, in words */
    int64_t retry_at;           /* DOWN */
    int64_t give_up_at;         /* CONNECTING, GREETING */
    int64_t watch_at;           /* CONNECTING, GREETING, UP: when to ask next whether this is the primary */
    bool hides_role;            /* UP: Redis does not permit ROLE, so the link does not ask again */
    enum err cause;             /* not UP: the reason, as far as Redis has told it */
    int32_t backoff;
    int failures; /* attempts that failed since it was last up */
};

/* Writes the place to which the link leads or tries to lead into `room`, and returns it, for the log. */
const char *link_place(const struct link *link, char room[ADDRESS_PLACE_MAX]);

#endif
