/*
 * An exchange over a connection that was dialled, from inside: dial.c gets it a connection, exchange.c sends the request and reads
 * the answer. For these two alone.
 */
#ifndef UPSTREAM_DIALLED_H
#define UPSTREAM_DIALLED_H

#include "upstream/exchange.h"
#include "upstream/internal.h"

#define DIALLED_TRIES_MAX 3 /* addresses of a name that are connected to, one after the other */

enum dialled_state {
    DIALLED_LOOKING_UP,
    DIALLED_PREPARING, /* the addresses are there, TLS is not */
    DIALLED_CONNECTING,
    DIALLED_SECURING,
    DIALLED_EXCHANGING, /* sends and reads: a worker may answer before it has all of the request */
    DIALLED_RAW,        /* 101: another protocol's bytes */
    DIALLED_OVER,       /* the last event has come, or is to come soon */
};

struct dialled {
    struct exchange exchange;
    struct upstream *upstream;
    enum dialled_state state;
    struct waiter waiter;
    struct exchange_request request; /* its target is the one below */
    struct target target;

    struct lookup *lookup;                               /* looking up */
    struct network_address addresses[DIALLED_TRIES_MAX]; /* to try, in this order */
    size_t address_count;
    size_t tries;          /* so far */
    int64_t connect_until; /* connecting: clock_ms */
    struct wire *wire;     /* from connecting on, until it is over */

    struct iovec pieces[EXCHANGE_PIECES_MAX + 3]; /* what is being sent: of a chunk, its size and end too */
    size_t piece, piece_count;                    /* the first with something left; their number */
    char chunk_size[24];
    bool sends_head; /* they begin with the request's head, */
    bool sends_last; /* end with its end */
    bool sent_all;
    bool may_send; /* the caller may give more */

    struct answer *answer;
    char *buffer;      /* what the caller looks at, or is being read to; NULL: nothing */
    char *small;       /* likewise, when there is little: a copy of its own */
    struct str body;   /* of one read: all that belongs to the body, put together */
    bool head_is_read; /* by the parser */
    bool heard;        /* something of an answer has come */
    bool answered;     /* `answer` was called */
    bool holding;      /* and exchange_next was not yet */
    bool delivered;    /* a byte of the request may have left */
    bool broken;       /* the worker takes nothing more: what it said before may still be read */
    bool again;        /* this is the second time: the kept connection was closed */

    bool failing; /* `failed` comes in the next turn, with: */
    enum exchange_fault fault;
    const char *why;
};

/* dial.c: makes a connection to the next address, and then begins the exchange. */
void dialled_connect(struct dialled *dialled);

/* dial.c: ends and frees it. */
void dialled_release(struct dialled *dialled);

/* dial.c: `failed` is to be called, in the next turn, or now. The latter must be its caller's last act. */
void dialled_fail_soon(struct dialled *dialled, enum exchange_fault fault, const char *why);
void dialled_fail(struct dialled *dialled, enum exchange_fault fault, const char *why);

/* exchange.c: there is a connection that can be written. */
void dialled_begin(struct dialled *dialled);

/* exchange.c: what happens to it while it exchanges. Each must be its caller's last act. */
void dialled_on_readable(struct dialled *dialled);
void dialled_on_writable(struct dialled *dialled);
void dialled_on_turn(struct dialled *dialled);

extern const struct exchange_ops dialled_ops;

#endif
