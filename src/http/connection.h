/*
 * What libh2o leaves to us of a client's connection: how long it may be idle, how long a request may take to arrive, and what
 * to do with data that is no request. libh2o has one time limit for all of these. It is set so high that it never matters.
 *
 *        accepted                     first byte                    whole
 *     ──────────────▶ SILENT or IDLE ────────────▶ RECEIVING ──────────────▶ ANSWERING
 *                          ▲                       │       ▲                   │
 *                          │                       ▼       │ 100 Continue      │ sent
 *                          │                     UNDECIDED ┘                   │
 *                          └───────────────────────────────────────────────────┘
 *
 * When a connection ends in UNDECIDED, libh2o itself has answered it, because no request came.
 */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

#include "base/metrics.h"
#include "http/linger.h"

#include <h2o.h>

struct listener;
struct client_watch;

enum connection_state {
    CONNECTION_SILENT,    /* nothing has come yet; in listener->silent */
    CONNECTION_IDLE,      /* between two requests; in listener->idle */
    CONNECTION_RECEIVING, /* a part of a request has come; in thread->receiving and thread->first_busy */
    CONNECTION_UNDECIDED, /* libh2o has stopped reading, without a request: it says 100 or 400 */
    CONNECTION_ANSWERING, /* a request was handed on; in thread->first_busy, unless the client may send no more */
};

struct connection {
    struct server_thread *thread;
    struct listener *listener;
    h2o_socket_t *socket;
    enum connection_state state;
    h2o_linklist_t place;               /* in the list of its state; those of longest standing are first */
    int64_t since;                      /* clock_ms: in that list */
    struct connection *previous, *next; /* in thread->first_busy */
    h2o_socket_cb read, written;        /* libh2o's own callbacks, where ours stand in their place */
    int64_t begun_at, progress_at;      /* RECEIVING: clock_ms of the first byte and of the latest ones */
    size_t received;                    /* RECEIVING: bytes until then */
    uint32_t turn;                      /* of its latest request, */
    int requests;                       /* and how many it had in that one */
    bool cut_off;
    struct client_watch *watch;     /* ANSWERING: looks whether the client leaves; NULL: nobody does */
    enum metrics_closing suspicion; /* UNDECIDED: what the bytes look like */
    struct lingering *lingering;    /* the rest of a client that was refused */
};

/* Makes a connection from an accepted socket. */
void connection_new(struct listener *listener, h2o_socket_t *socket);

/* Ends the connection that has been idle for the longest time, if any has been idle for a moment. Returns whether it ended one. */
bool connection_make_room(struct listener *listener);

/* Call it when the program ends: idle connections get a moment for a request that is on its way. */
void connection_hurry(struct listener *listener);

/*
 * Ends what has been idle, or a request on its way, for too long; and cuts off the largest of those that are not whole, when
 * together they are too much. Call them at the end of each turn. They return the ms until the next call.
 */
int32_t connection_tick_listener(struct listener *listener);
int32_t connection_tick_thread(struct server_thread *thread);

/* A request of this connection is handed on, or refused by libh2o in the usual way. */
void connection_begin_request(h2o_req_t *req);

/*
 * Counts one more request of a connection. Returns false when the connection has had its share of this turn of the loop.
 * Without that, libh2o would go on with a client's pipelined requests as long as each is answered at once, and no other client
 * would be served.
 */
bool connection_may_go_on(h2o_req_t *req);

/*
 * Notes that the whole answer to a socket's request is being sent. When it has been sent, the connection is idle. `socket` may
 * be NULL.
 */
void connection_answered(h2o_socket_t *socket);

/* Has nothing read that the client sends after this request: its answer is the last of the connection, and may have no end. */
void connection_sends_no_more(h2o_req_t *req);

/* The client goes on sending what was refused; see linger.h. */
void connection_linger(h2o_req_t *req);

#endif
