#include "http/server.h"

#include "base/clock.h"
#include "base/metrics.h"
#include "http/client_watch.h"
#include "http/connection.h"
#include "http/intake.h"
#include "http/thread.h"
#include "http/tunnel.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define NEVER_MS 100000000000 /* libh2o's own limit for requests and idle connections; ours are in connection_time.c */
#define WARM_UP_MS 500        /* how long a start waits to become ready before it takes requests in any case */
#define METRICS_CONNECTIONS_MAX 16
#define DRAIN_WAIT_MS 2500 /* after the order to stop: how long waiting requests may still wait */
#define DRAIN_MS 3500      /* after the order to stop: how long the requests in flight may take */

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

/* Returns the port that a listener got; -1 if the system does not tell. */
static int port_of(int fd)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);
    if (getsockname(fd, (struct sockaddr *)&name, &len) != 0)
        return -1;
    return h2o_socket_getport((struct sockaddr *)&name);
}

/*
 * SO_REUSEPORT lets the threads share a port, but also lets another server of the same user have it. A bind without that option
 * finds out whether somebody has the port already.
 */
static bool port_is_taken(const struct addrinfo *address, int port)
{
    if (port == 0)
        return false;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    struct sockaddr_storage name;
    memcpy(&name, address->ai_addr, address->ai_addrlen);
    ((struct sockaddr_in *)(void *)&name)->sin_port = htons((uint16_t)port); /* sin6_port of sockaddr_in6 is at the same place */
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
        *why = "HOST must be a numeric address, as in 127.0.0.1 or ::1";
        errno = 0;
        return ERR_INVALID;
    }
    /* on a machine without IPv6, 0.0.0.0 stands for all its addresses */
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
    server->h2o.max_request_entity_size = INTAKE_WHOLE_MAX;
    server->h2o.http1.upgrade_to_http2 = 0;
    server->h2o.http1.req_timeout = NEVER_MS;
    snprintf(server->too_large, sizeof(server->too_large), "The body has more than the %zu bytes of MAX_UPLOAD_BYTES.",
             config->upload_max);
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
    h2o_socket_read_stop(waker); /* it only ends the wait; the loop then looks at `stopping` */
}

/* --- what is done in each turn ------------------------------------------------------------------------------------------------ */

static int32_t go_on_with_deferred(void *data)
{
    struct server_thread *thread = data;
    return pending_tick(&thread->next_turn);
}

static int32_t answer_late(void *data)
{
    struct server_thread *thread = data;
    int32_t wait = pending_tick(&thread->waiting);
    metric_set(&metrics->waiting, thread->waiting.deadlines.count + thread->next_turn.deadlines.count);
    return wait;
}

/*
 * Runs the ticks. It is a timer of 0 ms, so the loop calls it when all events of this run have been handled. The ticks run inside
 * a run because libh2o's sockets must not be written to outside of one: if such a write completes at once, and the socket has just
 * changed its state, the next run can abort.
 */
static void on_ticks_due(h2o_timeout_entry_t *entry)
{
    struct server_thread *thread = H2O_STRUCT_FROM_MEMBER(struct server_thread, tick_entry, entry);
    thread->ticked = true;
    thread->turn++;
    thread->wait = WAIT_MAX_MS;
    for (size_t i = 0; i < thread->tick_count; i++) {
        int32_t wait = thread->ticks[i].tick(thread->ticks[i].data);
        if (wait < thread->wait)
            thread->wait = wait;
    }
}

void server_thread_wants_ticks(struct server_thread *thread)
{
    if (thread->ticked)
        thread->goes_on = true;
    else if (!h2o_timeout_is_linked(&thread->tick_entry)) {
        h2o_timeout_link(thread->context.loop, &thread->soon, &thread->tick_entry);
        thread->tick_entry.registered_at = 0; /* long ago: it is due even if the machine's clock is set back */
    }
}

void server_thread_add_tick(struct server_thread *thread, server_tick *tick, void *data)
{
    assert(thread->tick_count < TICKS_MAX);
    thread->ticks[thread->tick_count++] = (struct tick){tick, data};
}

static void listener_init(struct listener *listener, struct server_thread *thread, int fd, h2o_hostconf_t *host,
                          int connections_max)
{
    *listener = (struct listener){.thread = thread, .fd = fd, .hosts = {host, NULL}, .connections_max = connections_max};
    h2o_linklist_init_anchor(&listener->silent);
    h2o_linklist_init_anchor(&listener->idle);
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
    h2o_linklist_init_anchor(&thread->receiving);
    h2o_linklist_init_anchor(&thread->lingerings);
    h2o_linklist_init_anchor(&thread->tunnels);
    h2o_timeout_init(thread->context.loop, &thread->soon, 0);
    thread->tick_entry.cb = on_ticks_due;
    server_thread_add_tick(thread, listeners_tick, thread);
    server_thread_add_tick(thread, go_on_with_deferred, thread);
    server_thread_add_tick(thread, client_watch_tick, thread);
    server_thread_add_tick(thread, tunnel_tick, thread);
    if (getrandom(&thread->next_id, sizeof(thread->next_id), 0) != sizeof(thread->next_id))
        abort();
    thread->waker_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (thread->waker_fd == -1)
        abort();
    thread->waker = h2o_evloop_socket_create(thread->context.loop, thread->waker_fd, H2O_SOCKET_FLAG_DONT_READ);
    h2o_socket_read_start(thread->waker, on_waker_readable);
    return thread;
}

void server_thread_set_app(struct server_thread *thread, void *app, bool (*is_ready)(void *app))
{
    thread->app = app;
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

void server_thread_stop(struct server_thread *thread)
{
    atomic_store(&thread->stopping, true);
    uint64_t one = 1;
    if (write(thread->waker_fd, &one, sizeof(one)) != sizeof(one))
        return; /* it is awake already */
}

bool server_thread_stopping(const struct server_thread *thread)
{
    return atomic_load(&thread->stopping);
}

/* One turn of the loop: handles the events, then runs the ticks. */
static void turn(struct server_thread *thread, int32_t wait_max)
{
    int32_t wait = thread->goes_on ? 0 : thread->wait;
    thread->ticked = thread->goes_on = false;
    thread->inside = true;
    h2o_evloop_run(thread->context.loop, wait < wait_max ? wait : wait_max);
    while (!thread->ticked) { /* nobody has asked for ticks, or a signal has interrupted the run */
        server_thread_wants_ticks(thread);
        h2o_evloop_run(thread->context.loop, 0);
    }
    thread->inside = false;
}

void server_thread_run(struct server_thread *thread)
{
    server_thread_add_tick(thread, answer_late, thread); /* the last tick: a request that another tick answers is not late */
    int64_t warm_at = clock_ms() + WARM_UP_MS;
    /* even after the order to stop: clients that have connected already wait for an answer */
    while (!thread->is_ready(thread->app) && clock_ms() < warm_at)
        turn(thread, WARM_UP_MS / 10);
    listeners_start(thread);
    while (!server_thread_stopping(thread))
        turn(thread, WAIT_MAX_MS);

    listeners_stop(thread);
    thread->context.shutdown_requested = 1; /* answers now close their connections; the rest of its effects concern HTTP/2 */
    pending_hurry(&thread->waiting, DRAIN_WAIT_MS);
    int64_t end = clock_ms() + DRAIN_MS;
    while ((thread->connections > 0 || thread->lingering > 0) && clock_ms() < end)
        turn(thread, 10);
}
