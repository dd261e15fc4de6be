#include "upstream/wire.h"

#include "upstream/pool.h"
#include "upstream/tls.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <unistd.h>

#define RECEIVE_BUFFER (256 * 1024) /* bytes of an answer that the kernel keeps for a slow client; it doubles the number */
#define UNSENT_MAX (128 * 1024)     /* bytes of a request that the kernel takes beyond those that it can send */

/* Closes an idle connection that has something to read, its end or bytes that nobody asked for, unless it is a record of TLS. */
static void look_at_idle(struct wire *wire)
{
    char byte;
    if (wire->ssl == NULL || wire_read(wire, &byte, 1) >= 0 || errno != EAGAIN)
        wire_close(wire);
}

static void shake_hands(struct wire *wire)
{
    enum tls_wants wants;
    const char *why = NULL;
    bool good = tls_shake_hands(wire->ssl, wire->target, &wants, &why);
    if (good && wants == TLS_WRITABLE)
        wire_want_write(wire);
    if (good && wants != TLS_NOTHING)
        return;
    wire->securing = false;
    wire->handler(wire->user, good ? WIRE_SECURE : WIRE_TLS_FAILED, why);
}

static void on_readable(h2o_socket_t *socket, const char *err)
{
    struct wire *wire = socket->data;
    (void)err; /* the next read reports the error */
    if (wire->user == NULL) {
        look_at_idle(wire);
    } else if (wire->securing) {
        shake_hands(wire);
    } else if (wire->write_wants_read) {
        wire->write_wants_read = false; /* the loop calls again for what is left to read */
        wire->handler(wire->user, WIRE_WRITABLE, NULL);
    } else {
        wire->handler(wire->user, WIRE_READABLE, NULL);
    }
}

static void finish_opening(struct wire *wire)
{
    int err = 0;
    socklen_t len = sizeof(err);
    wire->opening = false;
    getsockopt(h2o_socket_get_fd(wire->socket), SOL_SOCKET, SO_ERROR, &err, &len);
    if (err != 0) {
        wire->handler(wire->user, WIRE_REFUSED, strerror(err));
        return;
    }
    h2o_socket_read_start(wire->socket, on_readable);
    wire->handler(wire->user, WIRE_OPEN, NULL);
}

static void on_writable(h2o_socket_t *socket, const char *err)
{
    struct wire *wire = socket->data;
    (void)err;
    if (wire->opening) {
        finish_opening(wire);
    } else if (wire->securing) {
        shake_hands(wire);
    } else if (wire->user == NULL) {
        look_at_idle(wire);
    } else if (wire->read_wants_write) {
        wire->read_wants_write = false;
        wire->handler(wire->user, WIRE_READABLE, NULL);
    } else {
        wire->handler(wire->user, WIRE_WRITABLE, NULL);
    }
}

/* Returns a socket that is connecting, or -1. An option that can't be set only costs memory or time. */
static int begin_to_connect(const struct network_address *address, uint16_t port)
{
    struct sockaddr_storage name;
    socklen_t len = network_address_write(address, port, &name);
    int receive_buffer = RECEIVE_BUFFER, unsent = UNSENT_MAX, on = 1;
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, (struct sockaddr *)&name, len) == 0 || errno == EINPROGRESS)
        return fd;
    int cause = errno;
    close(fd);
    errno = cause;
    return -1;
}

struct wire *wire_open(struct pool *pool, const struct target *target, const struct network_address *address, wire_handler *handler,
                       void *user)
{
    int fd = begin_to_connect(address, target->port);
    if (fd == -1)
        return NULL;
    struct wire *wire = h2o_mem_alloc(sizeof(*wire));
    *wire = (struct wire){.pool = pool, .handler = handler, .user = user, .opening = true, .keep_ms = -1};
    wire->peer = pool_peer(pool, target, address);
    wire->socket = h2o_evloop_socket_create(pool->loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    wire->socket->data = wire;
    h2o_socket_notify_write(wire->socket, on_writable);
    return wire;
}

void wire_secure(struct wire *wire, const struct target *target)
{
    wire->ssl = tls_new(h2o_socket_get_fd(wire->socket), target);
    wire->target = target;
    wire->securing = true;
    wire_want_write(wire); /* the client takes the first step */
}

void wire_close(struct wire *wire)
{
    pool_forget(wire);
    if (wire->ssl != NULL) {
        if (!wire->opening && !wire->securing)
            SSL_shutdown(wire->ssl); /* sends close_notify, and does not wait for the worker's */
        SSL_free(wire->ssl);
    }
    h2o_socket_close(wire->socket);
    free(wire);
}

ssize_t wire_read(struct wire *wire, void *room, size_t size)
{
    enum tls_wants wants;
    if (wire->ssl == NULL) {
        ssize_t got = recv(h2o_socket_get_fd(wire->socket), room, size, MSG_DONTWAIT);
        if (got != 0 || !wire->was_reset)
            return got;
        errno = ECONNRESET;
        return -1;
    }
    ssize_t got = tls_read(wire->ssl, room, size, &wants);
    if (wants == TLS_WRITABLE) {
        wire->read_wants_write = true;
        wire_want_write(wire);
        errno = EAGAIN;
    }
    return got;
}

ssize_t wire_write(struct wire *wire, const struct iovec pieces[], size_t count)
{
    enum tls_wants wants;
    if (wire->ssl == NULL) {
        struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = count};
        ssize_t sent = sendmsg(h2o_socket_get_fd(wire->socket), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        wire->was_reset = wire->was_reset || (sent == -1 && errno == ECONNRESET);
        return sent;
    }
    ssize_t sent = tls_write(wire->ssl, pieces, count, &wants);
    wire->write_wants_read = wants == TLS_READABLE;
    return sent;
}

void wire_want_write(struct wire *wire)
{
    if (!wire->write_wants_read && !h2o_socket_is_writing(wire->socket))
        h2o_socket_notify_write(wire->socket, on_writable);
}

void wire_read_start(struct wire *wire)
{
    if (!h2o_socket_is_reading(wire->socket))
        h2o_socket_read_start(wire->socket, on_readable);
}

void wire_read_stop(struct wire *wire)
{
    if (h2o_socket_is_reading(wire->socket))
        h2o_socket_read_stop(wire->socket);
}

void wire_end_writing(struct wire *wire)
{
    if (wire->ssl != NULL)
        SSL_shutdown(wire->ssl);
    else
        shutdown(h2o_socket_get_fd(wire->socket), SHUT_WR);
}
