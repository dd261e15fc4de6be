/*
 * A connection to a worker: a socket on the loop, with TLS or without, which the caller reads and writes. While nobody uses it,
 * the pool keeps it.
 */
#ifndef UPSTREAM_WIRE_H
#define UPSTREAM_WIRE_H

#include "upstream/target.h"

#include <h2o.h>
#include <openssl/types.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The place to which interchangeable connections lead: scheme, host, port, address and fingerprint. */
struct peer {
    struct peer *next;   /* in its bucket of the pool */
    size_t connections;  /* in use and idle; the peer is freed with the last one */
    h2o_linklist_t idle; /* the idle ones, the latest used first */
    size_t idle_count;
    uint32_t hash;
    bool tls, pinned;
    uint16_t port;
    struct network_address address;
    unsigned char fingerprint[TARGET_FINGERPRINT_SIZE];
    char host[];
};

enum wire_event {
    WIRE_OPEN,       /* it can be written, or wire_secure can be called */
    WIRE_SECURE,     /* the handshake is done */
    WIRE_REFUSED,    /* it can't be opened */
    WIRE_TLS_FAILED, /* the handshake failed */
    WIRE_READABLE,
    WIRE_WRITABLE, /* once after wire_want_write */
};

/* `why` comes with failures. The callee may close the connection. */
typedef void wire_handler(void *user, enum wire_event event, const char *why);

struct pool;

struct wire {
    struct pool *pool;
    struct peer *peer;
    h2o_socket_t *socket;
    SSL *ssl; /* NULL: none */
    wire_handler *handler;
    void *user;                              /* NULL: it is idle */
    const struct target *target;             /* during the TLS handshake; belongs to the user */
    h2o_linklist_t of_peer, of_pool;         /* in the lists of idle connections */
    int64_t idle_since, usable_at;           /* clock_ms; it is idle, but not used again before `usable_at` */
    int keep_ms;                             /* how long the worker keeps it idle; -1: it did not say */
    bool read_wants_write, write_wants_read; /* TLS must write to go on reading, or read to go on writing */
    bool opening, securing;
    bool reused;
    bool was_reset; /* a write has met the worker's reset: the kernel says so once, and then reports an orderly end to reads */
};

/*
 * Begins to connect to an address of the target. WIRE_OPEN or WIRE_REFUSED comes from the loop. NULL: connecting failed at
 * once; errno says why: EMFILE, ENETUNREACH….
 */
struct wire *wire_open(struct pool *pool, const struct target *target, const struct network_address *address, wire_handler *handler,
                       void *user);

/* Begins the TLS handshake of an open connection; WIRE_SECURE or WIRE_TLS_FAILED comes from the loop. */
void wire_secure(struct wire *wire, const struct target *target);

/* Closes and frees it, idle or in use. */
void wire_close(struct wire *wire);

/* Like recv and sendmsg without blocking or signals. */
ssize_t wire_read(struct wire *wire, void *room, size_t size);
ssize_t wire_write(struct wire *wire, const struct iovec pieces[], size_t count);

/* Asks for WIRE_WRITABLE when the connection can be written. */
void wire_want_write(struct wire *wire);

/* Turns WIRE_READABLE on or off. It is on at first. */
void wire_read_start(struct wire *wire);
void wire_read_stop(struct wire *wire);

/* Closes the direction to the worker. */
void wire_end_writing(struct wire *wire);

#endif
