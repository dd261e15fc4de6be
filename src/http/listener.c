#include "base/clock.h"
#include "base/log_repeat.h"
#include "http/connection.h"
#include "http/thread.h"

#include <errno.h>

#define ACCEPTS_PER_TURN 16
#define PAUSE_MS 50 /* without it, a thread without descriptors or room would try in a busy loop */

static void on_readable(h2o_socket_t *listening, const char *err);

void listener_resume(struct listener *listener)
{
    if (listener->socket != NULL && listener->paused_until == 0 && !h2o_socket_is_reading(listener->socket))
        h2o_socket_read_start(listener->socket, on_readable);
}

static void listener_pause(struct listener *listener)
{
    h2o_socket_read_stop(listener->socket);
    listener->paused_until = clock_ms() + PAUSE_MS;
}

static int32_t tick(struct listener *listener)
{
    int32_t wait = connection_tick_listener(listener);
    int64_t left = listener->paused_until - clock_ms();
    if (listener->paused_until == 0)
        return wait;
    if (left > 0)
        return left < wait ? (int32_t)left : wait;
    listener->paused_until = 0;
    listener_resume(listener);
    return wait;
}

int32_t listeners_tick(void *data)
{
    struct server_thread *thread = data;
    int32_t waits[] = {connection_tick_thread(thread), tick(&thread->listener), tick(&thread->metrics_listener),
                       linger_tick(thread)};
    int32_t wait = waits[0];
    for (size_t i = 1; i < sizeof(waits) / sizeof(waits[0]); i++)
        wait = waits[i] < wait ? waits[i] : wait;
    return wait;
}

/* Ends an idle connection, to make room for one that waits in the kernel. Returns whether it could. */
static bool make_room(struct listener *listener)
{
    const struct server_thread *thread = listener->thread;
    bool made = connection_make_room(listener);
    if (listener == &thread->listener)
        log_repeatable(LOG_WARN, "connections_full",
                       made ? "MAX_CONNECTIONS is reached: idle connections are closed for new ones"
                            : "MAX_CONNECTIONS is reached and none is idle: new connections wait",
                       1, log_number("max_connections", thread->server->config.max_connections));
    return made;
}

static void on_readable(h2o_socket_t *listening, const char *err)
{
    struct listener *listener = listening->data;
    if (err != NULL)
        return;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        if (listener->connections >= listener->connections_max) {
            if (i > 0)
                return; /* the loop calls again if more wait */
            if (!make_room(listener)) {
                listener_pause(listener);
                return;
            }
        }
        h2o_socket_t *socket = h2o_evloop_socket_accept(listening);
        if (socket != NULL) {
            connection_new(listener, socket);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_repeatable(LOG_WARN, "accept_failed", "a connection can't be taken, trying on", 1,
                           log_text("why", strerror(errno)));
            listener_pause(listener);
        }
        return;
    }
}

static void listener_start(struct listener *listener)
{
    if (listener->fd == -1)
        return;
    listener->socket = h2o_evloop_socket_create(listener->thread->context.loop, listener->fd, H2O_SOCKET_FLAG_DONT_READ);
    listener->fd = -1;
    listener->socket->data = listener;
    listener_resume(listener);
}

void listeners_start(struct server_thread *thread)
{
    listener_start(&thread->listener);
    listener_start(&thread->metrics_listener);
}

static void listener_stop(struct listener *listener)
{
    if (listener->socket == NULL)
        return;
    /* connections that the kernel has accepted would be reset, so they are taken */
    h2o_socket_t *socket;
    while (listener->connections < listener->connections_max && (socket = h2o_evloop_socket_accept(listener->socket)) != NULL)
        connection_new(listener, socket);
    listener->paused_until = 0;
    h2o_socket_close(listener->socket);
    listener->socket = NULL;
    connection_hurry(listener);
}

void listeners_stop(struct server_thread *thread)
{
    listener_stop(&thread->listener);
    listener_stop(&thread->metrics_listener);
}
