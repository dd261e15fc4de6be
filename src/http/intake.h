/*
 * The body of a request, in pieces, for routes with `.body = STREAMED`: it may be larger than memory should hold.
 *
 *             intake_take             intake_pause, intake_resume
 *     WAITING ────────────▶ READING ◀─────────────────────────────▶ PAUSED
 *                              │ all has come, or never will
 *                              ▼
 *                            ENDED      `whole` or `failed` was the last callback
 *
 * A handler of such a route finds the body in one of two places:
 * - request->body: the whole body, of at most INTAKE_WHOLE_MAX bytes; absent if there is none. This is so for a body with a
 *   Content-Length and without Expect, and for any body that came together with the head. Such a body can be sent to a second
 *   worker.
 * - request->intake: any other body. It can't be sent twice, since nobody keeps its bytes.
 *
 * Before intake_take nothing is read, and no 100 Continue is sent to a client that waits for it. While an intake is paused
 * nothing is read either: the kernel's buffers fill, and the client has to wait.
 *
 * The request may be answered at any time, also before its body is whole. Then nobody waits for the rest: the connection ends
 * with the answer. The intake is freed with its request, and calls nothing afterwards. So a holder of a pointer to it must
 * learn when the request is gone (from stream_maker.gone, or from a cell in the request's pool).
 *
 * All functions are for the request's own thread. The callbacks come from inside its loop, never from inside these functions.
 */
#ifndef HTTP_INTAKE_H
#define HTTP_INTAKE_H

#include "http/request.h"

#include <stddef.h>

#define INTAKE_WHOLE_MAX (64 * 1024) /* bytes of the largest body that comes as request->body */
#define INTAKE_PIECE_MAX (64 * 1024) /* bytes of a piece */
#define INTAKE_LENGTH_UNKNOWN SIZE_MAX

struct intake;

/* The receiver of the pieces. Each of these functions may answer the request, or pause the intake. */
struct intake_taker {
    /* The next 1 to INTAKE_PIECE_MAX bytes, which are valid during the call only. */
    void (*piece)(struct intake *intake, struct str bytes, void *data);

    /* All of the body has come. */
    void (*whole)(struct intake *intake, void *data);

    /*
     * The body will never be whole. Answer the client with reply_error(request, err, why, NULL), if no answer has begun.
     * ERR_BAD_REQUEST: the body is not proper HTTP, or the client has left or sends nothing more (`left`: perhaps nobody reads
     * the answer). ERR_TOO_LARGE: the body is longer than the server takes. ERR_LATE: the client was too slow. `why` lives for
     * ever.
     */
    void (*failed)(struct intake *intake, enum err err, const char *why, bool left, void *data);
};

/* Returns the length of the whole body in bytes, as the client announced it; INTAKE_LENGTH_UNKNOWN if it comes in chunks. */
size_t intake_length(const struct intake *intake);

/* Begins to read. Call it once. */
void intake_take(struct intake *intake, const struct intake_taker *taker, void *data);

/* Pauses reading until intake_resume. Both may be called any number of times. */
void intake_pause(struct intake *intake);
void intake_resume(struct intake *intake);

/* --- for the files of http/ alone --- */

#define INTAKE_BROKEN "The body's chunks can't be read."

struct connection;

/*
 * Makes the intake of a body that was hidden from libh2o. NULL: there is no such body, or it has come already and is
 * request->body now. On ERR_BAD_REQUEST *why is a sentence.
 */
MUST_CHECK enum err intake_new(struct request *request, struct connection *connection, struct intake **out, const char **why);

/* Makes the intake fail with ERR_TOO_LARGE when the body is longer than `most` bytes; `why` is the sentence for that. */
void intake_limit(struct intake *intake, size_t most, const char *why);

/* Returns how many bytes of the body have been read. */
size_t intake_received(const struct intake *intake);

/* Makes the intake fail with ERR_LATE: the client was too slow. */
void intake_end_late(struct intake *intake);

/* Call it before an answer begins. If the body is not whole, the answer is the last one of its connection. */
void intake_before_answer(struct st_h2o_req_t *req);

/*
 * Call it when an answer ends. Gives up the body. The rest is read and dropped (linger.h), and so is what has come behind the last
 * request of its connection: a reset could destroy the answer.
 */
void intake_after_answer(struct st_h2o_req_t *req);

#endif
