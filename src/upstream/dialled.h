/*
 * The inside of an exchange over a connection that we open: dial.c gets the connection, exchange.c sends the request and reads the
 * answer. Only these two files use it.
 */
#ifndef UPSTREAM_DIALLED_H
#define UPSTREAM_DIALLED_H

#include "upstream/exchange.h"
#include "upstream/internal.h"

enum dialled_state {
    DIALLED_LOOKING_UP,
    DIALLED_PREPARING, /* the addresses are known, and TLS is being loaded */
    DIALLED_CONNECTING,
    DIALLED_SECURING,
    DIALLED_EXCHANGING, /* sends and reads: a worker may answer before it has the whole request */
    DIALLED_RAW,        /* after 101: both ways carry another protocol's bytes */
    DIALLED_OVER,       /* the last event has come, or comes soon */
};

struct dialled {
    struct exchange exchange;
    struct upstream *upstream;
    enum dialled_state state;
    struct waiter waiter;
    struct exchange_request request; /* its target is the one below */
    struct target target;

    struct lookup *lookup;                                  /* LOOKING_UP: the look-up; else NULL */
    struct network_address addresses[LOOKUP_ADDRESSES_MAX]; /* to try, in this order */
    size_t address_count;
    size_t tries;          /* addresses tried so far */
    int64_t connect_until; /* CONNECTING and SECURING: clock_ms */
    struct wire *wire;     /* from CONNECTING on, until OVER */

    struct iovec pieces[EXCHANGE_PIECES_MAX + 3]; /* the data that is being sent; a chunk's size and end are pieces, too */
    size_t piece, piece_count;                    /* the first piece with something left; the number of pieces */
    char chunk_size[24];
    bool sends_head; /* the pieces begin with the request's head */
    bool sends_last; /* the pieces end with the request's end */
    bool sent_all;
    bool may_send; /* the caller may give the next pieces */

    struct answer *answer;
    char *buffer;      /* the bytes that were read, which the caller may still use; NULL: none */
    char *small;       /* a copy of them, if they are few */
    struct str body;   /* the bytes of the body from one read, joined */
    bool head_is_read; /* the parser has read the answer's head */
    bool heard;        /* some byte of an answer has come */
    bool answered;     /* `answer` was called */
    bool holding;      /* and exchange_next was not called since */
    bool delivered;    /* a byte of the request may have left */
    bool half_closed;  /* RAW: the worker sends nothing more, but may still read */
    bool broken;       /* the worker takes nothing more; its answer may still be read */
    bool again;        /* this is the second attempt: the first, on a kept connection, found it closed */

    bool failing;              /* `failed` will be called in the next turn, with the following */
    enum exchange_fault fault; /* why the last address could not be used */
    const char *why;           /* the same in words */
};

/* dial.c: makes a connection to the next address, and then begins the exchange. */
void dialled_connect(struct dialled *dialled);

/* dial.c: ends and frees the exchange. */
void dialled_release(struct dialled *dialled);

/* dial.c: calls `failed`, in the next turn; or now, which must be the caller's last act. */
void dialled_fail_soon(struct dialled *dialled, enum exchange_fault fault, const char *why);
void dialled_fail(struct dialled *dialled, enum exchange_fault fault, const char *why);

/* exchange.c: begins to send, on a connection that can be written. */
void dialled_begin(struct dialled *dialled);

/* exchange.c: handles the events of the wire. Each call must be the caller's last act. */
void dialled_on_readable(struct dialled *dialled);
void dialled_on_writable(struct dialled *dialled);
void dialled_on_turn(struct dialled *dialled);

extern const struct exchange_ops dialled_ops;

#endif
