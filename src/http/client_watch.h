/*
 * Notices that a client leaves while libh2o does not read its connection, that is, while a request waits or its answer is being
 * sent.
 *
 * A reset says that the client has left. The end of its data does not: the client may have left, or it may have nothing more to
 * send and still read. Pipelined data hides the end from epoll, so the watch looks at such connections every 50 ms.
 */
#ifndef HTTP_CLIENT_WATCH_H
#define HTTP_CLIENT_WATCH_H

#include <h2o.h>
#include <stdbool.h>
#include <stdint.h>

struct server_thread;
struct client_watch;
struct connection;

/*
 * Called at most once, from inside the loop. The watch has then ended by itself. `reset`: nothing that is sent now reaches the
 * client.
 */
typedef void client_watch_callback(struct client_watch *watch, bool reset);

/* Begins as zeros. */
struct client_watch {
    client_watch_callback *left;
    struct server_thread *thread;
    h2o_socket_t *socket;                 /* NULL: it does not watch */
    bool hidden;                          /* in thread->first_hidden */
    struct client_watch *previous, *next; /* there */
};

/* Watches the connection of a request. One that is no socket's is not watched, nor one while its request's body is read. */
void client_watch_begin(struct client_watch *watch, struct server_thread *thread, h2o_req_t *req, client_watch_callback *left);

/* To be called before libh2o reads the connection again, at the latest when it ends the answer or disposes of the request. */
void client_watch_end(struct client_watch *watch);

/* Somebody else reads the connection from now on, and notices its end; has stopped to. */
void client_watch_rest(struct connection *connection);
void client_watch_go_on(struct connection *connection);

/* Looks at the connections whose end is hidden. A server_tick; `data` is the thread. */
int32_t client_watch_tick(void *data);

#endif
