/*
 * The part of a client's connection that libh2o leaves to us: how long it may be idle, how long a request may take to arrive,
 * and what to do with data that is not a request. libh2o has one time limit for all of these; it is set so high that it never
 * matters.
 *
 *        accepted                     first byte                handed on              we read its body
 *     ──────────────▶ SILENT or IDLE ────────────▶ RECEIVING ──────────────▶ ANSWERING ◀──────────────▶ BODY
 *                          ▲                           │                        │
 *                          │                           ▼                        │ sent
 *                          │                       UNDECIDED                    │
 *                          └────────────────────────────────────────────────────┘
 *
 * In UNDECIDED, libh2o itself answers, because no request came.
 *
 * We read the socket ourselves, and read each head before libh2o does (http/head.h). libh2o reads a short body, and hands the
 * request on when the body is whole. A long body is hidden from libh2o: it hands the request on at once, and we read the body
 * (http/intake.h).
 */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

#include "base/inet.h"
#include "base/metrics.h"
#include "http/head.h"
#include "http/linger.h"

#include <h2o.h>

struct listener;
struct client_watch;
struct intake;
struct buffer;

enum connection_state {
    CONNECTION_SILENT,    /* nothing has come yet; in listener->silent */
    CONNECTION_IDLE,      /* between two requests; in listener->idle */
    CONNECTION_RECEIVING, /* a part of a request has come; in thread->receiving and thread->first_busy */
    CONNECTION_UNDECIDED, /* libh2o has stopped reading, without a request: it answers 400 */
    CONNECTION_ANSWERING, /* a request was handed on; in thread->first_busy, unless the client may send no more */
    CONNECTION_BODY,      /* a request was handed on, and we read its body; also in thread->receiving */
};

struct connection {
    struct server_thread *thread;
    struct listener *listener;
    h2o_socket_t *socket;
    enum connection_state state;
    h2o_linklist_t place;               /* in the list of its state; the connection that is there longest comes first */
    int64_t since;                      /* clock_ms when it was put into that list */
    struct connection *previous, *next; /* in thread->first_busy */
    h2o_socket_cb read, written;        /* libh2o's own callbacks, while ours are in their place */
    bool *closed;                   /* set to true when the connection is gone, for a caller of libh2o; NULL: nobody calls it now */
    struct head head;               /* the head of the request that is received or answered; size 0: it is not whole yet */
    size_t searched;                /* bytes in which the end of the head is not */
    int64_t begun_at, progress_at;  /* RECEIVING, BODY: clock_ms of the first byte and of the latest ones */
    size_t received;                /* RECEIVING, BODY: bytes that had come by progress_at */
    int64_t paused_at;              /* ANSWERING: clock_ms when reading the body was paused */
    uint32_t turn;                  /* the turn of the loop of its latest request, */
    int requests;                   /* and how many requests it had in that turn */
    bool cut_off;                   /* it is closed, because incomplete requests took too much memory */
    struct client_watch *watch;     /* ANSWERING, BODY: notices when the client leaves; NULL: there is no watch */
    struct intake *intake;          /* ANSWERING, BODY: reads the body; NULL: there is no body, or libh2o has read it */
    const struct buffer *gathered;  /* BODY: the body so far, kept until it is whole; NULL: it is handed on in pieces */
    enum metrics_closing suspicion; /* UNDECIDED: what the bytes look like */
    struct lingering *lingering;    /* reads the rest of what a refused client sends */
};

/* Makes a connection from an accepted socket. */
void connection_new(struct listener *listener, h2o_socket_t *socket);

/* Changes the state of a connection, and the lists that it is in. Nothing else does that. */
void connection_move(struct connection *connection, enum connection_state state);

/* Ends a connection on which no answer has begun: at once, as if the client had left, or lingering (linger.h). */
void connection_drop(struct connection *connection);
void connection_end(struct connection *connection);

/* The client's address, in `room`. */
struct str connection_peer(const struct connection *connection, char room[INET_TEXT_MAX]);

/* --- how long each thing may take: connection_time.c --- */

/* Ends the idle or silent connection that has been so for longest, if it has for 4 s. Returns whether it ended one. */
bool connection_make_room(struct listener *listener);

/* Call it when the program ends. Idle and silent connections then end in 300 ms; a request may still come in that time. */
void connection_hurry(struct listener *listener);

/*
 * End the connections that have been idle for too long, and those whose request takes too long to arrive. When the incomplete
 * requests take too much memory together, the largest is cut off. Call them at the end of each turn. They return the ms until
 * the next call.
 */
int32_t connection_tick_listener(struct listener *listener);
int32_t connection_tick_thread(struct server_thread *thread);

/* Answers 408 without libh2o, which must not have sent anything of an answer, and ends the connection. */
void connection_refuse_late(struct connection *connection);

/* --- its requests --- */

/* The connection of a request; NULL if it has no socket. */
struct connection *connection_of(h2o_req_t *req);

/* Notes that a request of this connection is handed on. */
void connection_begin_request(h2o_req_t *req);

/* Begin to read the request's body, which starts its time limit; and stop reading it, for now or for good. */
void connection_begin_body(struct connection *connection);
void connection_end_body(struct connection *connection);

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

/* Ends a request whose whole answer has been sent. The connection is idle, goes on with the next request, or is gone. */
void connection_end_request(h2o_req_t *req);

/* Reads nothing more from the client after this request: its answer is the connection's last one, and may be endless. */
void connection_sends_no_more(h2o_req_t *req);

/* Reads and drops what the client goes on sending after its request was refused; see linger.h. */
void connection_linger(h2o_req_t *req);

#endif
