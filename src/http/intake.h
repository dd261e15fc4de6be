/*
 * The body of a request, in pieces, for routes with `.body = STREAMED`: it may be larger than memory should hold.
 *
 *             intake_take             intake_pause, intake_resume
 *     WAITING ────────────▶ READING ◀─────────────────────────────▶ PAUSED
 *                              │ all has come, or never will
 *                              ▼
 *                            ENDED      `whole` or `failed` was the last callback
 *
 * A handler of such a route finds one of these:
 * - request->body: the whole body, of at most INTAKE_WHOLE_MAX bytes; absent if there is none. A body with a Content-Length
 *   comes so, and a body in chunks that came together with the head. It costs what it costs on any route, and can be sent to a
 *   second worker.
 * - request->intake: any other body. It can't be sent twice, since nobody keeps its bytes.
 *
 * Nothing is read, and a client that asked is not sent 100 Continue, before intake_take. While an intake is paused nothing is
 * read either: the kernel's buffers fill, and the client has to wait.
 *
 * The request may be answered at any time, also before its body is whole. Then the rest is not waited for: the connection ends
 * with the answer. The intake is gone with its request, and calls nothing afterwards, so whoever holds a pointer to it must
 * learn of that (from stream_maker.gone, or from a cell in the request's pool).
 *
 * All functions are for the request's own thread. The callbacks come from inside its loop, never from inside these functions.
 */
#ifndef HTTP_INTAKE_H
#define HTTP_INTAKE_H

#include "http/request.h"

#include <stddef.h>

#define INTAKE_WHOLE_MAX (64 * 1024) /* bytes of a body that comes as request->body */
#define INTAKE_PIECE_MAX (64 * 1024) /* bytes of a piece */
#define INTAKE_LENGTH_UNKNOWN SIZE_MAX

struct intake;

/* Who takes the pieces. In each of these the request may be answered, and the intake be paused. */
struct intake_taker {
    /* The next 1 to INTAKE_PIECE_MAX bytes, which are valid during the call only. */
    void (*piece)(struct intake *intake, struct str bytes, void *data);

    /* All of the body has come. */
    void (*whole)(struct intake *intake, void *data);

    /*
     * The body will never be whole; the answer to the client is reply_error(request, err, why, NULL), if none has begun.
     * ERR_BAD_REQUEST: it is no proper HTTP, or the client has left or says no more (`left`; nobody may read the answer then).
     * ERR_TOO_LARGE: longer than the server takes. ERR_LATE: the client was too slow. `why` lives for ever.
     */
    void (*failed)(struct intake *intake, enum err err, const char *why, bool left, void *data);
};

/* The whole body's length in bytes, as the client announced it, or INTAKE_LENGTH_UNKNOWN: it comes in chunks. */
size_t intake_length(const struct intake *intake);

/* Begins to read. Call it once. */
void intake_take(struct intake *intake, const struct intake_taker *taker, void *data);

/* Reads nothing more until intake_resume. Both may be called any number of times. */
void intake_pause(struct intake *intake);
void intake_resume(struct intake *intake);

/* --- for the files of http/ alone --- */

#define INTAKE_BROKEN "The body's chunks can't be read."

struct connection;

/*
 * The body of a request that was hidden from libh2o. NULL: there is none, or it has come already, and is request->body now.
 * On ERR_BAD_REQUEST *why is a sentence.
 */
MUST_CHECK enum err intake_new(struct request *request, struct connection *connection, struct intake **out, const char **why);

/* Lets it fail with ERR_TOO_LARGE when it is longer than `most` bytes; `why` is the sentence for that. */
void intake_limit(struct intake *intake, size_t most, const char *why);

/* Bytes that have been read of it. */
size_t intake_received(const struct intake *intake);

/* The client was too slow. */
void intake_end_late(struct intake *intake);

/* An answer begins: it is the last one of its connection when the body is not whole. `req` need not have a body. */
void intake_before_answer(struct st_h2o_req_t *req);

/* An answer ends, and is not to look broken: reads no more of the body, and lets the client send the rest in vain. */
void intake_after_answer(struct st_h2o_req_t *req);

#endif
