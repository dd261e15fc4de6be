#include "http/offload.h"

#include "http/server.h"

#include <h2o.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#define NICE 5 /* so the loops go first */

struct job {
    struct job *next;
    struct offload *offload;
    void (*work)(void *data);
    void (*done)(void *data);
    void *data;
};

struct queue {
    struct job *first, **last;
    size_t count;
};

struct offload {
    int fd; /* an eventfd, readable if jobs are in `finished` */
    h2o_socket_t *socket;
    pthread_mutex_t lock;
    struct queue finished;
};

/* The thread's part. There is one thread: a login costs tens of ms of a core, and more threads would take it from the loops. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct queue waiting;
    bool started;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void queue_add(struct queue *queue, struct job *job)
{
    job->next = NULL;
    if (queue->first == NULL)
        queue->last = &queue->first;
    *queue->last = job;
    queue->last = &job->next;
    queue->count++;
}

static struct job *queue_take(struct queue *queue)
{
    struct job *job = queue->first;
    if (job != NULL) {
        queue->first = job->next;
        queue->count--;
    }
    return job;
}

static void hand_back(struct job *job)
{
    struct offload *offload = job->offload;
    uint64_t one = 1;
    pthread_mutex_lock(&offload->lock);
    queue_add(&offload->finished, job);
    pthread_mutex_unlock(&offload->lock);
    if (write(offload->fd, &one, sizeof(one)) != sizeof(one))
        abort(); /* only 2^64 unread jobs could fill it */
}

static void *serve(void *unused)
{
    (void)unused;
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); /* on Linux, of this thread alone */
    for (;;) {
        pthread_mutex_lock(&pool.lock);
        while (pool.waiting.first == NULL)
            pthread_cond_wait(&pool.more, &pool.lock);
        struct job *job = queue_take(&pool.waiting);
        pthread_mutex_unlock(&pool.lock);
        job->work(job->data);
        hand_back(job);
    }
    return NULL;
}

static void on_finished(h2o_socket_t *socket, const char *err)
{
    struct offload *offload = socket->data;
    uint64_t count;
    (void)err;
    if (read(offload->fd, &count, sizeof(count)) != sizeof(count))
        return;
    for (;;) {
        pthread_mutex_lock(&offload->lock);
        struct job *job = queue_take(&offload->finished);
        pthread_mutex_unlock(&offload->lock);
        if (job == NULL)
            return;
        job->done(job->data);
        free(job);
    }
}

struct offload *offload_new(struct server_thread *thread)
{
    struct offload *offload = calloc(1, sizeof(*offload));
    if (offload == NULL)
        abort();
    offload->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (offload->fd == -1)
        abort();
    pthread_mutex_init(&offload->lock, NULL);
    offload->socket = h2o_evloop_socket_create(server_thread_loop(thread), offload->fd, H2O_SOCKET_FLAG_DONT_READ);
    offload->socket->data = offload;
    h2o_socket_read_start(offload->socket, on_finished);
    return offload;
}

/* Starts the thread if it does not run. This is done with the first job, since most programs never have one. */
static bool start(void)
{
    pthread_t id;
    if (!pool.started && pthread_create(&id, NULL, serve, NULL) == 0) {
        pthread_detach(id);
        pool.started = true;
    }
    return pool.started;
}

enum err offload_run(struct offload *offload, void (*work)(void *data), void (*done)(void *data), void *data)
{
    struct job *job = malloc(sizeof(*job));
    if (job == NULL)
        abort();
    *job = (struct job){.offload = offload, .work = work, .done = done, .data = data};
    pthread_mutex_lock(&pool.lock);
    bool taken = pool.waiting.count < OFFLOAD_WAITING_MAX && start();
    if (taken)
        queue_add(&pool.waiting, job);
    pthread_cond_signal(&pool.more);
    pthread_mutex_unlock(&pool.lock);
    if (!taken)
        free(job);
    return taken ? ERR_NONE : ERR_OVERLOADED;
}
