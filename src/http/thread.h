/*
 * The inside of a server thread, for the files of http/ alone.
 */
#ifndef HTTP_THREAD_H
#define HTTP_THREAD_H

#include "http/server.h"

#include <h2o.h>
#include <stdatomic.h>

struct server {
    struct server_config config;
    h2o_globalconf_t h2o;
    h2o_hostconf_t *host, *metrics_host; /* for requests to PORT and to METRICS_PORT; metrics_host NULL: there is no such port */
    h2o_iovec_t keep_alive;              /* the value of Keep-Alive */
    char too_large[96];                  /* the sentence for a body that is longer than upload_max */
    int *listeners;                      /* one descriptor for each thread, all on one port */
    int metrics_listener;                /* the metrics port's descriptor, for the first thread; -1: none */
};

/* A port on which a thread takes connections. */
struct listener {
    struct server_thread *thread;
    int fd;                   /* until listeners_start; then -1 */
    h2o_socket_t *socket;     /* from listeners_start to listeners_stop; else NULL */
    h2o_hostconf_t *hosts[2]; /* for `accept`: the one host of this port, and a NULL */
    h2o_accept_ctx_t accept;
    int connections, connections_max;
    int64_t paused_until;        /* clock_ms; 0: it is not paused */
    h2o_linklist_t silent, idle; /* its connections in these states, the longest in the state first */
};

struct connection;

#define WAIT_MAX_MS 1000 /* at most, between two calls of the ticks */
#define TICKS_MAX 32

struct tick {
    server_tick *tick;
    void *data;
};

struct server_thread {
    struct server *server;
    h2o_context_t context;                      /* with the loop */
    struct listener listener, metrics_listener; /* metrics_listener has no descriptor if there is no such port */
    h2o_socket_t *waker;                        /* an eventfd: readable when the thread is told to stop */
    int waker_fd;
    atomic_bool stopping;
    struct connection *first_busy; /* the connections with a request or a part of one */
    int64_t bodies_checked_at;
    int connections;
    int connections_peak;     /* the most connections at a time since memory was last given back */
    h2o_linklist_t receiving; /* connections with a part of a request; the one whose last check is longest ago comes first */
    h2o_linklist_t lingerings;
    int lingering; /* how many lingerings there are */
    struct pending_set waiting;
    struct pending_set next_turn;      /* requests of connections that have had their share of this turn */
    struct client_watch *first_hidden; /* the clients whose end is hidden from epoll */
    int64_t hidden_checked_at;
    h2o_linklist_t tunnels;
    int64_t tunnels_checked_at;
    uint32_t turn; /* the number of this turn of the loop */
    struct tick ticks[TICKS_MAX];
    size_t tick_count;
    h2o_timeout_t soon; /* a timeout of 0 ms */
    h2o_timeout_entry_t tick_entry;
    bool inside;   /* the loop runs, so answers may be sent */
    bool ticked;   /* the ticks have run in this turn; */
    bool goes_on;  /* and something has happened since: the next turn does not wait */
    int32_t wait;  /* ms until the ticks must be called again, whatever happens */
    size_t held;   /* bytes of gathered request bodies that are whole */
    size_t unread; /* bytes of answers that their clients have not taken yet */
    void *app;
    bool (*is_ready)(void *app);
    uint64_t next_id; /* for the next request that has no id of its own */
};

/* listener.c: begins and ends to take connections. */
void listeners_start(struct server_thread *thread);
void listeners_stop(struct server_thread *thread);

/*
 * listener.c: does what is due for connections and for paused listeners; `data` is the thread. Returns the ms until the next
 * call.
 */
int32_t listeners_tick(void *data);

/* listener.c: a connection has ended, so the listener takes new ones again if there was no room. */
void listener_resume(struct listener *listener);

/* dispatch.c: the handler of all requests. */
void dispatch_register(h2o_pathconf_t *path);

#endif
