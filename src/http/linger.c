#include "http/linger.h"

#include "base/clock.h"
#include "http/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_MS 2000
#define LINGER_MAX 64 /* at a time */
#define LINGER_BYTES_MAX (32 * 1024 * 1024)

struct lingering {
    struct server_thread *thread;
    struct lingering **holder; /* set to NULL when this ends; NULL once h2o has closed its side */
    h2o_socket_t *socket;
    h2o_linklist_t place; /* in thread->lingerings, the oldest first */
    int64_t until;        /* clock_ms */
    size_t bytes;
};

static void lingering_end(struct lingering *lingering)
{
    if (lingering->holder != NULL)
        *lingering->holder = NULL;
    h2o_linklist_unlink(&lingering->place);
    h2o_socket_close(lingering->socket);
    lingering->thread->lingering--;
    free(lingering);
}

static void on_readable(h2o_socket_t *socket, const char *err)
{
    struct lingering *lingering = socket->data;
    char rest[16384];
    ssize_t got = read(h2o_socket_get_fd(socket), rest, sizeof(rest));
    if (got == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    lingering->bytes += got > 0 ? (size_t)got : 0;
    if (err != NULL || got <= 0 || lingering->bytes > LINGER_BYTES_MAX)
        lingering_end(lingering);
}

void linger_begin(struct server_thread *thread, h2o_socket_t *socket, struct lingering **holder)
{
    if (*holder != NULL || thread->lingering >= LINGER_MAX || thread->listener.socket == NULL)
        return;
    int fd = fcntl(h2o_socket_get_fd(socket), F_DUPFD_CLOEXEC, 0);
    if (fd == -1)
        return;
    struct lingering *lingering = h2o_mem_alloc(sizeof(*lingering));
    *lingering = (struct lingering){.thread = thread, .holder = holder};
    lingering->socket = h2o_evloop_socket_create(thread->context.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    lingering->socket->data = lingering;
    lingering->until = clock_ms() + LINGER_MS;
    h2o_linklist_insert(&thread->lingerings, &lingering->place);
    h2o_socket_read_start(lingering->socket, on_readable);
    thread->lingering++;
    *holder = lingering;
}

void linger_alone(struct lingering *lingering)
{
    lingering->holder = NULL;
    shutdown(h2o_socket_get_fd(lingering->socket), SHUT_WR);
}

int32_t linger_tick(struct server_thread *thread)
{
    h2o_linklist_t *list = &thread->lingerings, *next;
    for (h2o_linklist_t *at = list->next; at != list; at = next) {
        struct lingering *lingering = H2O_STRUCT_FROM_MEMBER(struct lingering, place, at);
        int64_t left = lingering->until - clock_ms();
        next = at->next;
        if (left > 0)
            return left < WAIT_MAX_MS ? (int32_t)left : WAIT_MAX_MS;
        lingering_end(lingering);
    }
    return WAIT_MAX_MS;
}
