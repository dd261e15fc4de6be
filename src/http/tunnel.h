/*
 * A connection that no longer speaks HTTP: after 101 Switching Protocols, raw bytes pass both ways, as WebSockets need.
 *
 *                  101 sent         write                  drained
 *     BEGINNING ────────────▶ READY ──────────▶ SENDING ───────────▶ READY
 *                               │ finish           │ finish
 *                               ▼                  ▼
 *                            FINISHED ◀──── (when it has been sent): our end is closed, the client's may go on
 *
 *     gone    in any state: both ends are closed, the client left, nothing passed for idle_ms, the program ends, or tunnel_abort
 *
 * The two directions are independent of each other. At most one write is under way, and a piece from the client is handed on
 * before the next one is read. So a tunnel's data in memory is bounded by the kernel's buffers of its socket.
 *
 * All functions are for the request's own thread, from inside its loop.
 */
#ifndef HTTP_TUNNEL_H
#define HTTP_TUNNEL_H

#include "http/request.h"

#include <stddef.h>

#define TUNNEL_PIECES_MAX 16         /* of one write */
#define TUNNEL_PIECE_MAX (64 * 1024) /* bytes of a piece from the client */

struct tunnel;

/* The other end of a tunnel. */
struct tunnel_end {
    void (*drained)(struct tunnel *tunnel, void *data); /* the 101 or the last write has been sent: write the next */
    void (*piece)(struct tunnel *tunnel, struct str bytes, void *data); /* from the client; valid during the call only */
    void (*ended)(struct tunnel *tunnel, void *data);                   /* the client sends no more, but may still read */
    void (*gone)(void *data); /* the tunnel is gone; called exactly once, as the last call */
    int32_t idle_ms;          /* the tunnel ends after so long without a byte, or earlier if one direction has ended */
};

/*
 * Answers a request with 101 and the headers that have been set. Upgrade must be among them, and Connection must not. From here
 * on the request belongs to the tunnel and must not be used. `gone` may be called meanwhile.
 */
struct tunnel *tunnel_begin(struct request *request, const struct tunnel_end *end, void *data);

/* Whether the client asks for an upgrade that can become a tunnel: HTTP/1.1, without a body, and Connection names Upgrade. */
bool tunnel_is_asked_for(const struct request *request);

/*
 * Writes pieces of at least one byte together. They must not change until `drained` or `gone`. Call it only when the tunnel is
 * ready.
 */
void tunnel_write(struct tunnel *tunnel, const struct str pieces[], size_t count);

/* Whether a write may come. */
bool tunnel_is_ready(const struct tunnel *tunnel);

/* Pauses reading from the client until tunnel_resume. A tunnel begins unpaused. */
void tunnel_pause(struct tunnel *tunnel);
void tunnel_resume(struct tunnel *tunnel);

/* Closes our end after the data that is being sent: nothing more may be written. `gone` may be called meanwhile. */
void tunnel_finish(struct tunnel *tunnel);

/* Ends both directions at once, with a reset. `gone` is called meanwhile. */
void tunnel_abort(struct tunnel *tunnel);

/* Ends the tunnels whose time is over, or whose client has left. A server_tick; `data` is the thread. */
int32_t tunnel_tick(void *data);

#endif
