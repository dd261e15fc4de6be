/*
 * A server thread from inside; for the files of http/ alone.
 */
#ifndef HTTP_THREAD_H
#define HTTP_THREAD_H

#include "http/server.h"

#include <h2o.h>
#include <stdatomic.h>

struct server {
    struct server_config config;
    h2o_globalconf_t h2o;
    h2o_hostconf_t *host, *metrics_host; /* of requests to PORT and METRICS_PORT; metrics_host NULL: no such port */
    int *listeners;                      /* a descriptor for each thread, all on one port */
    int metrics_listener;                /* of the first thread; -1: none */
};

/* Where a thread takes connections. */
struct listener {
    struct server_thread *thread;
    int fd;                   /* until connections_start; then -1 */
    h2o_socket_t *socket;     /* NULL before, and once closed */
    h2o_hostconf_t *hosts[2]; /* what `accept` has: the one host of this port, and a NULL */
    h2o_accept_ctx_t accept;
    int connections, connections_max;
    h2o_timeout_entry_t pause_entry;
};

struct connection;

struct server_thread {
    struct server *server;
    h2o_context_t context;                      /* with the loop */
    struct listener listener, metrics_listener; /* the second without a descriptor where there is none */
    h2o_socket_t *waker;                        /* an eventfd: readable when the thread is told to stop */
    int waker_fd;
    atomic_bool stopping;
    struct connection *first_connection;
    int64_t bodies_checked_at;
    int connections;
    int connections_peak; /* since memory was last given back */
    h2o_timeout_t pause;  /* of a listener, when descriptors have run out */
    h2o_timeout_t linger; /* how long a refused client's rest is read */
    int lingering;
    struct pending_queue waiting, waiting_quick;
    struct pending_queue next_turn; /* of connections that have had their share of this one */
    uint32_t turn;                  /* the number of this turn of the loop */
    size_t unread;                  /* bytes of answers that their clients have not taken yet */
    void *app;
    int32_t (*tick)(void *app);
    bool (*is_ready)(void *app);
    uint64_t next_id; /* of requests that bring none */
};

/* connection.c: begins and ends to take connections; to be called at the end of each turn. */
void connections_start(struct server_thread *thread);
void connections_stop(struct server_thread *thread);
void connections_tick(struct server_thread *thread);

/*
 * Counts one more request of a connection; false when it has had its share of this turn of the loop. libh2o itself goes on with what a
 * client has pipelined as long as answers are made at once, and nobody else's turn would come.
 */
bool connection_may_go_on(h2o_req_t *req);

/* What the client sends after this request is not read: the answer is the last of its connection, and may have no end. */
void connection_sends_no_more(h2o_req_t *req);

/*
 * The client goes on sending what was refused: without somebody to read it, the answer would be lost in a reset. Reads and forgets
 * a bounded rest after h2o has closed its side.
 */
void connection_linger(h2o_req_t *req);

/* reply.c: begins an answer without end, status 200; `generator` then sends. Whether only its headers were asked for. */
bool reply_begin(struct request *request, struct str type, struct st_h2o_generator_t *generator);

/* dispatch.c: the handler of all requests, and the filter that turns h2o's own errors into problems. */
void dispatch_register(h2o_pathconf_t *path);

/* dispatch.c: adds the headers that every answer carries. */
void dispatch_common_headers(struct server_thread *thread, h2o_req_t *req, struct str id);

#endif
