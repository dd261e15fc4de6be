/*
 * A server in this process, in a thread of its own, and clients on sockets of the loopback.
 *
 *     static const struct route routes[] = {{"GET", "/x", handle_x, .access = 0}, {.path = NULL}};
 *     loopback_start(routes, tick);
 *     int fd = client_open();
 *     client_send(fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
 *     struct buffer all = client_read_all(fd, NULL);
 *
 * Include it behind cmocka.h.
 */
#ifndef TESTS_LOOPBACK_H
#define TESTS_LOOPBACK_H

#include "base/buffer.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "http/server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOPBACK_UPLOAD_MAX (300 << 20)

static struct {
    struct server *server;
    struct server_thread *thread;
    server_tick *tick;
    bool ticked;
    pthread_t id;
    int port;
} loopback;

static bool loopback_is_ready(void *app)
{
    (void)app;
    return loopback.ticked;
}

static int32_t loopback_tick(void *data)
{
    loopback.ticked = true;
    return loopback.tick(data);
}

static void *loopback_serve(void *data)
{
    (void)data;
    metrics_thread_start();
    loopback.thread = server_thread_new(loopback.server, 0);
    server_thread_set_app(loopback.thread, NULL, loopback_is_ready);
    server_thread_add_tick(loopback.thread, loopback_tick, NULL);
    server_thread_run(loopback.thread);
    return NULL;
}

/* Starts the server, whose thread also calls `tick` in each turn, for the first time before any request comes. */
static inline void loopback_start(const struct route *routes, server_tick *tick)
{
    static struct server_config config = {.host = {"127.0.0.1", 9},
                                          .max_connections = 300,
                                          .threads = 1,
                                          .request_timeout_ms = 1000,
                                          .idle_timeout_ms = 60000,
                                          .quick_timeout_ms = 500,
                                          .upload_max = LOOPBACK_UPLOAD_MAX,
                                          .allowed_origins = {"*", 1}};
    const char *why;
    config.routes = routes;
    loopback.tick = tick;
    signal(SIGPIPE, SIG_IGN);
    log_init(LOG_ERROR, false);
    if (server_new(&config, &loopback.server, &loopback.port, &why) != ERR_NONE ||
        pthread_create(&loopback.id, NULL, loopback_serve, NULL) != 0)
        abort();
}

/* Tells the server to end, and waits until it has. */
static inline void loopback_stop(void)
{
    server_thread_stop(loopback.thread);
    pthread_join(loopback.id, NULL);
}

static inline int client_open(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)loopback.port)};
    struct timeval patience = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return fd;
}

static inline void client_send_bytes(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = send(fd, bytes.ptr, bytes.len, 0);
        assert_true(sent > 0);
        bytes = (struct str){bytes.ptr + sent, bytes.len - (size_t)sent};
    }
}

static inline void client_send(int fd, const char *text)
{
    client_send_bytes(fd, str_from(text));
}

/* Reads until `text` has come. What came stays in `all`, with a NUL behind it. */
static inline void client_read_until(int fd, struct buffer *all, const char *text)
{
    for (;;) {
        char *room = buffer_reserve(all, 65536);
        room[0] = '\0';
        if (all->len > 0 && strstr(all->ptr, text) != NULL)
            return;
        ssize_t got = recv(fd, room, 65535, 0);
        if (got <= 0)
            fail_msg("\"%s\" did not come: %.1000s", text, all->ptr);
        room[got] = '\0';
        all->len += (size_t)got;
    }
}

/* Reads to the end, and closes. A NUL is behind what came. *reset, unless it is NULL: how it ended. */
static inline struct buffer client_read_all(int fd, bool *reset)
{
    struct buffer all = BUFFER_INIT;
    char room[65536];
    ssize_t got;
    while ((got = recv(fd, room, sizeof(room), 0)) > 0)
        buffer_append(&all, (struct str){room, (size_t)got});
    if (reset != NULL)
        *reset = got == -1;
    close(fd);
    buffer_append(&all, (struct str){"", 1});
    return all;
}

static inline void assert_has(const struct buffer *all, const char *text)
{
    if (strstr(all->ptr, text) == NULL)
        fail_msg("\"%s\" is not in: %.1000s", text, all->ptr);
}

/* Waits until the number is as expected: longer than a busy machine takes, but less than the ten seconds of a tunnel (tunnel.c). */
static inline void assert_becomes(atomic_int *number, int expected)
{
    int64_t end = clock_ms() + 5000;
    while (*number != expected && clock_ms() < end)
        poll(NULL, 0, 1);
    assert_int_equal(*number, expected);
}

#endif
