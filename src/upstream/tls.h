/*
 * TLS to workers: libssl on a socket of the caller's.
 */
#ifndef UPSTREAM_TLS_H
#define UPSTREAM_TLS_H

#include "upstream/target.h"

#include <openssl/types.h>
#include <sys/types.h>
#include <sys/uio.h>

/* What a step needs before it can go on. */
enum tls_wants { TLS_NOTHING, TLS_READABLE, TLS_WRITABLE };

/*
 * Whether tls_new may be called. The first call has a thread read the authorities that this machine trusts, which takes tens of
 * ms and a megabyte; most programs never need them.
 */
bool tls_prepare(void);

/* Begins a connection as a client, on a connected socket that does not block. Release with SSL_free. */
SSL *tls_new(int fd, const struct target *target);

/*
 * Goes on with the handshake. True: *wants TLS_NOTHING is a secure connection to the right worker, else it must be called again
 * then. False: there will be none; *why says so (valid until the next call in this thread).
 */
bool tls_shake_hands(SSL *ssl, const struct target *target, enum tls_wants *wants, const char **why);

/* Like recv and sendmsg: -1 with EAGAIN: *wants says for what. An end without TLS's own farewell is ECONNRESET. */
ssize_t tls_read(SSL *ssl, void *room, size_t size, enum tls_wants *wants);
ssize_t tls_write(SSL *ssl, const struct iovec pieces[], size_t count, enum tls_wants *wants);

#endif
