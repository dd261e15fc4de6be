/*
 * Notices when a client leaves while libh2o does not read its connection: while its request waits, or its answer is being sent.
 *
 * A reset means that the client has left. The end of its data does not mean it: the client may still read the answer. Pipelined
 * data hides the end from epoll, so the watch looks at such connections every 50 ms.
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
 * Called at most once, from inside the loop; the watch then ends by itself. `reset`: nothing that is sent now reaches the
 * client.
 */
typedef void client_watch_callback(struct client_watch *watch, bool reset);

/* Begins as zeros. */
struct client_watch {
    client_watch_callback *left;
    struct server_thread *thread;
    h2o_socket_t *socket;                 /* NULL: it watches nothing */
    bool hidden;                          /* it is in the list thread->first_hidden */
    struct client_watch *previous, *next; /* in that list */
};

/*
 * Watches the connection of a request. It does not watch a connection without a socket, nor a connection while the request's
 * body is read.
 */
void client_watch_begin(struct client_watch *watch, struct server_thread *thread, h2o_req_t *req, client_watch_callback *left);

/*
 * Ends the watch. Call it before libh2o reads the connection again: at the latest when the answer ends or libh2o disposes of
 * the request.
 */
void client_watch_end(struct client_watch *watch);

/* Pause the watch while somebody else reads the connection and so notices its end; and resume it. */
void client_watch_rest(struct connection *connection);
void client_watch_go_on(struct connection *connection);

/* Looks at the connections whose end is hidden from epoll. A server_tick; `data` is the thread. */
int32_t client_watch_tick(void *data);

#endif
