/*
 * The HTTP server: threads, each with a loop and a listener of its own. They share only what never changes.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "base/buffer.h"
#include "base/faults.h"
#include "http/pending.h"
#include "http/request.h"

struct st_h2o_evloop_t;
struct st_h2o_multithread_receiver_t;

#define SERVER_BODY_MAX (64 * 1024)              /* bytes of a request body, where the route says nothing else; above it 413 */
#define SERVER_TASK_BODY_MAX (512 * 1024)        /* bytes of a body with one task */
#define SERVER_BULK_BODY_MAX (1024 * 1024)       /* bytes of a body with many things */
#define SERVER_MODEL_BODY_MAX (16 * 1024 * 1024) /* bytes of a body for a model, which may have pictures in it */

struct server_config {
    struct str host;  /* address to listen on, numeric: "::" is everything */
    int port;         /* 0: any free one */
    int metrics_port; /* serves metrics_path and nothing else, and `port` all else; 0: `port` serves everything */
    const char *metrics_path;
    int max_connections;
    int threads;
    int request_timeout_ms;     /* patience of pending requests */
    int idle_timeout_ms;        /* of a connection between two requests */
    int quick_timeout_ms;       /* likewise where an answer must be quick, as for health checks */
    size_t upload_max;          /* bytes of the largest body of a route whose bodies are STREAMED */
    int proxies;                /* that every request comes through; what they say of the client is believed */
    bool on_fly;                /* the nearest of them is Fly's */
    struct str allowed_origins; /* CORS: "*", or a comma list without blanks; one with "*." at the name has all its subdomains */
    const struct route *routes;
    request_handler *
        admit; /* gets each request whose route is found, to call its handler, at once or later, or to answer it; NULL: all go on */
    const char *(*explain)(enum err err); /* the sentence for an error that comes without one; NULL: its status's */
    /* adds members of its own to the problem that a request is answered with; NULL: there are none */
    void (*describe)(const struct request *request, enum err err, const char *detail, const struct faults *faults,
                     struct buffer *out);
};

struct server;
struct server_thread;

/* Binds the port and makes the server. On ERR_INVALID *why is static text, errno the cause. *port is the port it got. */
MUST_CHECK enum err server_new(const struct server_config *config, struct server **out, int *port, const char **why);

/* Makes thread number `index`; to be called in the thread that will run it. Server and threads live as long as the program. */
struct server_thread *server_thread_new(struct server *server, int index);

/*
 * What handlers of the thread find with request_app; and whether requests can be served: at the start, connections wait a
 * moment for that in the kernel's queue rather than get 503.
 */
void server_thread_set_app(struct server_thread *thread, void *app, bool (*is_ready)(void *app));

/* Returns the ms until its next call if nothing happens before. */
typedef int32_t server_tick(void *data);

/*
 * Registers what is to be done in each turn of the loop, when its events have been handled and before the next are waited for.
 * Ticks are called in the order in which they were registered, from inside the loop: they may answer requests.
 */
void server_thread_add_tick(struct server_thread *thread, server_tick *tick, void *data);

struct st_h2o_evloop_t *server_thread_loop(struct server_thread *thread);
struct st_h2o_multithread_receiver_t *server_thread_resolver(struct server_thread *thread);

/* Bytes of answers that the thread has made and that their clients have not taken yet. */
size_t server_thread_unread(const struct server_thread *thread);

/* Something has happened that the ticks are to see: in this turn, or, if they have been called already, at once in the next one. */
void server_thread_wants_ticks(struct server_thread *thread);

/* Serves until server_thread_stop, then finishes what is in flight and returns, within 3.5 s. */
void server_thread_run(struct server_thread *thread);

/* Makes server_thread_run end. May be called from any thread. */
void server_thread_stop(struct server_thread *thread);

/* Whether the thread has been told to stop. */
bool server_thread_stopping(const struct server_thread *thread);

#endif
