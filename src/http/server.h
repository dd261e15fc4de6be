/*
 * The HTTP server: threads, each with a loop and a listener of its own. They share only data that never changes.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "base/buffer.h"
#include "base/faults.h"
#include "http/pending.h"
#include "http/request.h"

struct st_h2o_evloop_t;
struct st_h2o_multithread_receiver_t;

#define SERVER_BODY_MAX (64 * 1024)              /* bytes of a request body, if the route has no other limit; above it 413 */
#define SERVER_TASK_BODY_MAX (512 * 1024)        /* bytes of a body with one task */
#define SERVER_BULK_BODY_MAX (1024 * 1024)       /* bytes of a body with many things */
#define SERVER_MODEL_BODY_MAX (16 * 1024 * 1024) /* bytes of a body for a model, which may have pictures in it */

struct server_config {
    struct str host;  /* numeric address to listen on; "::": all addresses */
    int port;         /* 0: any free one */
    int metrics_port; /* serves metrics_path alone; `port` serves everything else; 0: `port` serves everything */
    const char *metrics_path;
    int max_connections;
    int threads;
    int request_timeout_ms;     /* how long a pending request waits */
    int idle_timeout_ms;        /* of a connection between two requests */
    int quick_timeout_ms;       /* how long a pending request waits if its answer must be quick, as for health checks */
    size_t upload_max;          /* bytes of the largest body of a route whose bodies are STREAMED */
    int proxies;                /* how many proxies every request passes; what they say about the client is believed */
    bool on_fly;                /* the nearest proxy is Fly's */
    struct str allowed_origins; /* CORS: "*", or a comma list without blanks; "*." before a name stands for all its subdomains */
    const struct route *routes;
    request_handler *admit; /* gets each request that has a route; calls its handler, now or later, or answers it; NULL: none */
    const char *(*explain)(enum err err); /* returns the general sentence for an error; NULL: the status's */
    /* Adds members to the problem with which a request is answered; NULL: none are added. */
    void (*describe)(const struct request *request, enum err err, const char *detail, const struct faults *faults,
                     struct buffer *out);
};

struct server;
struct server_thread;

/*
 * Binds the port and makes the server. *port becomes the port that it listens on. On ERR_INVALID *why is a text that lives for
 * ever, and errno is the cause; 0: *why says it all.
 */
MUST_CHECK enum err server_new(const struct server_config *config, struct server **out, int *port, const char **why);

/* Makes thread number `index`. Call it in the thread that will run it. Server and threads live as long as the program. */
struct server_thread *server_thread_new(struct server *server, int index);

/*
 * Sets what the thread's handlers get from request_app, and a function that says whether requests can be served. At the start,
 * connections wait up to 500 ms for that, in the kernel's queue, instead of getting 503.
 */
void server_thread_set_app(struct server_thread *thread, void *app, bool (*is_ready)(void *app));

/* Returns the ms until its next call, if nothing happens before. */
typedef int32_t server_tick(void *data);

/*
 * Registers a function for the end of each turn of the loop, after its events have been handled. Ticks run in the order in
 * which they were registered, from inside the loop: they may answer requests.
 */
void server_thread_add_tick(struct server_thread *thread, server_tick *tick, void *data);

struct st_h2o_evloop_t *server_thread_loop(struct server_thread *thread);
struct st_h2o_multithread_receiver_t *server_thread_resolver(struct server_thread *thread);

/* Returns the bytes of answers that the thread has made and that its clients have not taken yet. */
size_t server_thread_unread(const struct server_thread *thread);

/* Makes sure that the ticks run soon: in this turn, or, if they have run in this turn already, at once in the next one. */
void server_thread_wants_ticks(struct server_thread *thread);

/* Serves until server_thread_stop. Then it finishes the requests in flight, and returns within 3.5 s. */
void server_thread_run(struct server_thread *thread);

/* Makes server_thread_run end. May be called from any thread. */
void server_thread_stop(struct server_thread *thread);

/* Whether the thread has been told to stop. */
bool server_thread_stopping(const struct server_thread *thread);

#endif
