#include "http/server.h"

#include "base/clock.h"
#include "base/metrics.h"
#include "http/connection.h"
#include "http/thread.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define NEVER_MS 100000000000 /* libh2o's own limit for requests and idle connections; ours are in connection.c */
#define WARM_UP_MS 500        /* to become ready, before requests are taken in any case */
#define METRICS_CONNECTIONS_MAX 16
#define DRAIN_MS 3500 /* to finish what is in flight when told to stop */

static int listen_on(const struct addrinfo *address, int port)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1)
        return -1;
    int on = 1, off = 0;
    struct sockaddr_storage name;
    memcpy(&name, address->ai_addr, address->ai_addrlen);
    if (address->ai_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
        ((struct sockaddr_in6 *)(void *)&name)->sin6_port = htons((uint16_t)port);
    } else {
        ((struct sockaddr_in *)(void *)&name)->sin_port = htons((uint16_t)port);
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&name, address->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0) {
        int cause = errno;
        close(fd);
        errno = cause;
        return -1;
    }
    return fd;
}

/* The port that a listener got. */
static int port_of(int fd)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);
    if (getsockname(fd, (struct sockaddr *)&name, &len) != 0)
        return -1;
    return h2o_socket_getport((struct sockaddr *)&name);
}

/*
 * SO_REUSEPORT lets the threads share a port, but another server of the same user as well: whoever is there already must be found
 * out by a bind without it.
 */
static bool port_is_taken(const struct addrinfo *address, int port)
{
    if (port == 0)
        return false;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    struct sockaddr_storage name;
    memcpy(&name, address->ai_addr, address->ai_addrlen);
    ((struct sockaddr_in *)(void *)&name)->sin_port = htons((uint16_t)port); /* at the same place in sockaddr_in6 */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bool taken = bind(fd, (struct sockaddr *)&name, address->ai_addrlen) != 0 && errno == EADDRINUSE;
    close(fd);
    return taken;
}

static bool listen_for_metrics(struct server *server, const struct addrinfo *address)
{
    int port = server->config.metrics_port;
    if (port_is_taken(address, port)) {
        errno = EADDRINUSE;
        return false;
    }
    server->metrics_listener = listen_on(address, port);
    return server->metrics_listener != -1;
}

static h2o_hostconf_t *add_host(struct server *server, const char *name)
{
    h2o_hostconf_t *host = h2o_config_register_host(&server->h2o, h2o_iovec_init(name, strlen(name)), 65535);
    dispatch_register(h2o_config_register_path(host, "/", 0));
    dispatch_register(&host->fallback_path);
    return host;
}

static enum err listen_all(struct server *server, int *port, const char **why)
{
    char host[INET6_ADDRSTRLEN + 16];
    snprintf(host, sizeof(host), "%.*s", STR_PRINTF(server->config.host));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_PASSIVE}, *address;
    if (getaddrinfo(host, "0", &hints, &address) != 0) {
        *why = "HOST is no numeric address";
        errno = EINVAL;
        return ERR_INVALID;
    }
    /* a machine without IPv6 still has everything under 0.0.0.0 */
    int probe = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe == -1 && errno == EAFNOSUPPORT && strcmp(host, "::") == 0) {
        freeaddrinfo(address);
        if (getaddrinfo("0.0.0.0", "0", &hints, &address) != 0)
            abort();
    } else if (probe != -1) {
        close(probe);
    }
    enum err err = ERR_NONE;
    *port = server->config.port;
    if (port_is_taken(address, *port)) {
        errno = EADDRINUSE;
        err = ERR_INVALID;
    }
    for (int i = 0; err == ERR_NONE && i < server->config.threads; i++) {
        server->listeners[i] = listen_on(address, *port);
        if (server->listeners[i] == -1)
            err = ERR_INVALID;
        else if (*port == 0)
            *port = port_of(server->listeners[i]);
    }
    if (err != ERR_NONE)
        *why = "the port can't be listened on";
    else if (server->config.metrics_port != 0 && !listen_for_metrics(server, address)) {
        *why = "METRICS_PORT can't be listened on";
        err = ERR_INVALID;
    }
    int cause = errno;
    freeaddrinfo(address);
    errno = cause;
    return err;
}

enum err server_new(const struct server_config *config, struct server **out, int *port, const char **why)
{
    struct server *server = h2o_mem_alloc(sizeof(*server));
    memset(server, 0, sizeof(*server));
    server->config = *config;
    size_t routes = 0;
    while (config->routes[routes].path != NULL)
        routes++;
    assert(routes < METRICS_ROUTES_MAX);
    server->listeners = h2o_mem_alloc(sizeof(*server->listeners) * (size_t)config->threads);
    for (int i = 0; i < config->threads; i++)
        server->listeners[i] = -1;
    h2o_config_init(&server->h2o);
    server->h2o.server_name = (h2o_iovec_t){NULL, 0};
    server->h2o.max_request_entity_size = SERVER_BULK_BODY_MAX;
    server->h2o.http1.upgrade_to_http2 = 0;
    server->h2o.http1.req_timeout = NEVER_MS;
    server->keep_alive.base = h2o_mem_alloc(32);
    server->keep_alive.len = (size_t)snprintf(server->keep_alive.base, 32, "timeout=%d", config->idle_timeout_ms / 1000);
    server->host = add_host(server, "default");
    if (config->metrics_port != 0)
        server->metrics_host = add_host(server, "metrics");
    server->metrics_listener = -1;
    enum err err = listen_all(server, port, why);
    *out = server;
    return err;
}

static void on_waker_readable(h2o_socket_t *waker, const char *err)
{
    (void)err;
    h2o_socket_read_stop(waker); /* its work is to end the wait; the loop looks at `stopping` */
}

static void listener_init(struct listener *listener, struct server_thread *thread, int fd, h2o_hostconf_t *host,
                          int connections_max)
{
    *listener = (struct listener){.thread = thread, .fd = fd, .hosts = {host, NULL}, .connections_max = connections_max};
    listener->accept.ctx = &thread->context;
    listener->accept.hosts = listener->hosts;
}

struct server_thread *server_thread_new(struct server *server, int index)
{
    struct server_thread *thread = h2o_mem_alloc(sizeof(*thread));
    memset(thread, 0, sizeof(*thread));
    thread->server = server;
    h2o_context_init(&thread->context, h2o_evloop_create(), &server->h2o);
    int connections_max = (server->config.max_connections + server->config.threads - 1) / server->config.threads;
    listener_init(&thread->listener, thread, server->listeners[index], server->host, connections_max);
    listener_init(&thread->metrics_listener, thread, index == 0 ? server->metrics_listener : -1, server->metrics_host,
                  METRICS_CONNECTIONS_MAX);
    thread->waiting.patience_ms = server->config.request_timeout_ms;
    thread->waiting_quick.patience_ms = server->config.quick_timeout_ms;
    if (getrandom(&thread->next_id, sizeof(thread->next_id), 0) != sizeof(thread->next_id))
        abort();
    thread->waker_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (thread->waker_fd == -1)
        abort();
    thread->waker = h2o_evloop_socket_create(thread->context.loop, thread->waker_fd, H2O_SOCKET_FLAG_DONT_READ);
    h2o_socket_read_start(thread->waker, on_waker_readable);
    return thread;
}

void server_thread_set_app(struct server_thread *thread, void *app, int32_t (*tick)(void *app), bool (*is_ready)(void *app))
{
    thread->app = app;
    thread->tick = tick;
    thread->is_ready = is_ready;
}

h2o_loop_t *server_thread_loop(struct server_thread *thread)
{
    return thread->context.loop;
}

h2o_multithread_receiver_t *server_thread_resolver(struct server_thread *thread)
{
    return &thread->context.receivers.hostinfo_getaddr;
}

size_t server_thread_unread(const struct server_thread *thread)
{
    return thread->unread;
}

struct pending_queue *server_thread_waiting(struct server_thread *thread)
{
    return &thread->waiting;
}

struct pending_queue *server_thread_waiting_quick(struct server_thread *thread)
{
    return &thread->waiting_quick;
}

void server_thread_stop(struct server_thread *thread)
{
    atomic_store(&thread->stopping, true);
    uint64_t one = 1;
    if (write(thread->waker_fd, &one, sizeof(one)) != sizeof(one))
        return; /* awake already */
}

bool server_thread_stopping(const struct server_thread *thread)
{
    return atomic_load(&thread->stopping);
}

/* One turn of the loop and all that follows it. Returns how long the next may wait. */
static int32_t turn(struct server_thread *thread, int32_t wait)
{
    h2o_evloop_run(thread->context.loop, wait); /* -1 only says that a signal interrupted it */
    thread->turn++;
    connection_check_bodies(thread);
    pending_tick(&thread->next_turn);
    int32_t next = thread->tick(thread->app);
    int32_t late = pending_tick(&thread->waiting);
    int32_t late_quick = pending_tick(&thread->waiting_quick);
    metric_set(&metrics->waiting, thread->waiting.count + thread->waiting_quick.count + thread->next_turn.count);
    h2o_loop_t *loop = thread->context.loop;
    if (loop->_pending_as_server != NULL || loop->_pending_as_client != NULL)
        return 0; /* what was answered just now goes on before anything is waited for */
    next = late < next ? late : next;
    return late_quick < next ? late_quick : next;
}

void server_thread_run(struct server_thread *thread)
{
    int32_t wait = thread->tick(thread->app);
    int64_t warm_at = clock_ms() + WARM_UP_MS;
    /* even when told to stop meanwhile: who has connected already waits for an answer */
    while (!thread->is_ready(thread->app) && clock_ms() < warm_at)
        wait = turn(thread, wait < WARM_UP_MS / 10 ? wait : WARM_UP_MS / 10);
    listeners_start(thread);
    while (!server_thread_stopping(thread))
        wait = turn(thread, wait);

    listeners_stop(thread);
    thread->context.shutdown_requested = 1; /* answers close their connections; what else h2o does then is for HTTP/2 */
    int64_t end = clock_ms() + DRAIN_MS;
    while ((thread->connections > 0 || thread->lingering > 0) && clock_ms() < end) {
        turn(thread, 10);
    }
}
