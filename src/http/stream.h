/*
 * An answer in pieces, whose length need not be known when it begins.
 *
 *               write                 drained
 *     READY ──────────────▶ SENDING ───────────▶ READY        one write at a time: the maker makes the next
 *       │ end, abort           │ end, abort                   pieces when these are sent, so that nothing piles up before
 *       │                      │                              a slow reader
 *       ▼                      ▼
 *     ENDING ◀─────────── (when it has been sent)
 *       │
 *       ▼
 *     gone        in any state: the client left, or everything has been sent; the stream ends
 *
 * All functions are for the request's own thread, from inside its loop: from a handler, a tick, or a callback of something in
 * the loop.
 */
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include "http/request.h"

#include <stddef.h>

#define STREAM_PIECES_MAX 16 /* pieces of one write, which goes out with one system call */
#define STREAM_LENGTH_UNKNOWN SIZE_MAX
#define STREAM_SOCKET_BUFFER (256 * 1024) /* for long answers: without a bound, the kernel keeps megabytes for a stopped reader */

struct stream;

/* The maker of the pieces. */
struct stream_maker {
    void (*drained)(struct stream *stream, void *data); /* the last write has been sent: the next write may come */
    void (*gone)(void *data);                           /* the stream is gone; called exactly once, as the last call */
    int socket_buffer;                                  /* bytes that the kernel keeps for a slow reader; 0: its own limit */
    bool last; /* nothing more is read from the client: the connection ends with the stream */
};

/*
 * Begins to answer a request, with the headers that have been set. `length` is the length of the whole answer, or
 * STREAM_LENGTH_UNKNOWN. Then stream.c frames chunks, whatever the status, and ends the connection of an HTTP/1.0 client.
 * Nothing is sent before the first write, which may be empty to send the head alone. An answer that may have no body (HEAD,
 * 204, 304) ends at once, and its writes are dropped.
 */
struct stream *stream_begin(struct request *request, int status, struct str type, size_t length, const struct stream_maker *maker,
                            void *data);

/*
 * Writes pieces, which must not change until `drained` or `gone`. Call it once after stream_begin and once after each `drained`.
 * `gone` may be called meanwhile. Each write but the first must have at least one byte.
 */
void stream_write(struct stream *stream, const struct str pieces[], size_t count);

/* Ends the answer as a whole one, after the data that is being sent. `gone` may be called meanwhile. */
void stream_end(struct stream *stream);

/* Ends the answer with a reset, so that the client sees that the answer is not whole. `gone` may be called meanwhile. */
void stream_abort(struct stream *stream);

#endif
