/*
 * Ends a connection on which the client may still be sending. If we closed it at once, the kernel would answer the client's
 * data with a reset, and the client might lose even the answer. So we close our sending side, then read a bounded rest and
 * forget it.
 */
#ifndef HTTP_LINGER_H
#define HTTP_LINGER_H

#include <h2o.h>

struct server_thread;
struct lingering;

/*
 * Begins to read the rest of a connection that h2o will close, on a descriptor of its own. Sets *holder to the object that reads
 * it, and to NULL when that ends. Does nothing if *holder is set already, if too many connections linger, or if the thread stops.
 */
void linger_begin(struct server_thread *thread, h2o_socket_t *socket, struct lingering **holder);

/* Call it when h2o has closed its side and *holder goes away. Tells the client that nothing more comes. */
void linger_alone(struct lingering *lingering);

/* Ends the connections whose time is over. Returns the ms until the next call. */
int32_t linger_tick(struct server_thread *thread);

#endif
