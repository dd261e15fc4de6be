/*
 * TLS to workers: libssl on the caller's socket.
 */
#ifndef UPSTREAM_TLS_H
#define UPSTREAM_TLS_H

#include "upstream/target.h"

#include <openssl/types.h>
#include <sys/types.h>
#include <sys/uio.h>

/* What a step waits for. */
enum tls_wants { TLS_NOTHING, TLS_READABLE, TLS_WRITABLE };

/*
 * Whether tls_new may be called. The first call starts a thread that reads the authorities that this machine trusts. That takes
 * tens of ms and a megabyte, and most programs never need it.
 */
bool tls_prepare(void);

/* Begins a connection as a client, on a connected socket that does not block. Release with SSL_free. */
SSL *tls_new(int fd, const struct target *target);

/*
 * Goes on with the handshake. True and *wants TLS_NOTHING: the connection is secure and leads to the right worker. True and
 * another *wants: call it again when that is met. False: the handshake has failed; *why says why (valid until the next call in
 * this thread).
 */
bool tls_shake_hands(SSL *ssl, const struct target *target, enum tls_wants *wants, const char **why);

/*
 * Like recv and sendmsg. On -1 with EAGAIN *wants says what to wait for. An end of the data without TLS's close_notify is
 * ECONNRESET.
 */
ssize_t tls_read(SSL *ssl, void *room, size_t size, enum tls_wants *wants);
ssize_t tls_write(SSL *ssl, const struct iovec pieces[], size_t count, enum tls_wants *wants);

#endif
