/*
 * The end of a connection on which the client may still be sending. To close it at once would answer what comes with a reset,
 * by which the client may lose even what it was sent before. So the sending side is closed, and a bounded rest is read and
 * forgotten.
 */
#ifndef HTTP_LINGER_H
#define HTTP_LINGER_H

#include <h2o.h>

struct server_thread;
struct lingering;

/*
 * Begins to read the rest of a connection that h2o will close, on a descriptor of its own. *holder is set to it, and to NULL
 * when it ends; nothing is done where *holder has one already, too many linger, or the thread stops.
 */
void linger_begin(struct server_thread *thread, h2o_socket_t *socket, struct lingering **holder);

/* h2o has closed its side, and the holder goes: the client is told that nothing more comes. */
void linger_alone(struct lingering *lingering);

/* Ends those whose time is over. Returns the ms until the next call. */
int32_t linger_tick(struct server_thread *thread);

#endif
