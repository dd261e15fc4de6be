/*
 * One request to one worker, and its answer. The far end is an interface (struct exchange_ops): exchange_dial connects to a
 * worker's URL; another implementation may use a connection that the worker opened.
 *
 *     exchange_dial ──▶ (look-up, connect, TLS, or a kept connection) ──▶ the head is sent
 *                                                                             │
 *               (`more` of a body: writable ──▶ exchange_send ──▶ writable …) │
 *                                                                             ▼
 *                           answer (head, perhaps bytes) ──▶ exchange_next ──▶ answer (bytes) … last
 *     at any time: failed
 *
 * The events come from the loop, one at a time, and never from within a function of this header. After `failed`, or after an
 * answer's last bytes, no event comes any more; only after an upgrade, `writable` and `failed` may follow the worker's last bytes,
 * since the direction to the worker goes on. The caller may free the exchange at any time, also from within an event. That
 * ends everything at once, and closes the connection unless the answer was whole.
 *
 * The caller sets the pace: the next bytes of an answer come only after exchange_next, and the exchange asks for the next bytes
 * of a request only when the last ones have left.
 */
#ifndef UPSTREAM_EXCHANGE_H
#define UPSTREAM_EXCHANGE_H

#include "upstream/answer.h"
#include "upstream/target.h"

struct exchange;
struct upstream;

#define EXCHANGE_PIECES_MAX 8 /* of one exchange_send */

/* What may go wrong, in the order of an exchange's phases: name, word for metrics and logs, sentence for people. */
#define EXCHANGE_FAULT_TABLE(X)                                                                                                    \
    X(EXCHANGE_LOOKUP, "lookup", "the worker's host name has no address")                                                          \
    X(EXCHANGE_LOOKUP_TIMEOUT, "lookup-timeout", "the look-up of the worker's host name took too long")                            \
    X(EXCHANGE_FORBIDDEN, "forbidden", "the worker's URL leads where requests must not go")                                        \
    X(EXCHANGE_REFUSED, "refused", "the worker can't be connected to")                                                             \
    X(EXCHANGE_CONNECT_TIMEOUT, "connect-timeout", "the worker does not take the connection")                                      \
    X(EXCHANGE_TLS, "tls", "no secure connection can be made to the worker")                                                       \
    X(EXCHANGE_TLS_TIMEOUT, "tls-timeout", "the worker does not finish making the connection secure")                              \
    X(EXCHANGE_OVERLOADED, "overloaded", "this coordinator has no room for another connection")                                    \
    X(EXCHANGE_SEND_TIMEOUT, "send-timeout", "the worker does not take the request")                                               \
    X(EXCHANGE_HEAD_TIMEOUT, "head-timeout", "the worker does not begin to answer")                                                \
    X(EXCHANGE_CLOSED, "closed", "the worker ended the connection before it answered")                                             \
    X(EXCHANGE_BAD_ANSWER, "bad-answer", "the worker's answer is not valid HTTP")                                                  \
    X(EXCHANGE_CUT, "cut", "the worker ended the connection within its answer")                                                    \
    X(EXCHANGE_SILENCE, "silence", "the worker fell silent within its answer")

enum exchange_fault {
#define X(name, word, sentence) name,
    EXCHANGE_FAULT_TABLE(X)
#undef X
        EXCHANGE_FAULT_COUNT
};

const char *exchange_fault_word(enum exchange_fault fault);
const char *exchange_fault_sentence(enum exchange_fault fault);

struct exchange_failure {
    enum exchange_fault fault;
    const char *why; /* the cause, for the log; static text, or valid during the call only; never NULL */
    bool delivered;  /* a byte of the request may have reached the worker: another worker might do the work a second time */
    bool answered;   /* `answer` was called: the client may have a part already */
};

struct exchange_events {
    /* All given bytes have left: exchange_send may be called for the rest of the body. Called only if there is `more`. */
    void (*writable)(void *data);
    /*
     * The first call comes when the head is whole: exchange->head then has it, and there may be no bytes yet. Each later call has
     * bytes, or is the last one, or both. The bytes don't change until exchange_next or exchange_free. `last`: the answer is whole;
     * after an upgrade, the worker has ended its direction.
     */
    void (*answer)(void *data, struct str bytes, bool last);
    void (*failed)(void *data, const struct exchange_failure *failure);
};

struct exchange_head {
    int status; /* 101: both ways now carry another protocol's bytes, see exchange_send */
    const struct answer_header *headers;
    size_t count;
    int64_t length; /* bytes of the body as the worker announced them; -1: it did not */
};

/*
 * The request. The head must not change until the first event `answer` or `failed`, and the body must not change until the
 * exchange is over or freed: if nothing can have been delivered, or the request is `safe`, they may be sent again.
 */
struct exchange_request {
    const struct target *target; /* only read during the call */
    struct str head;             /* request line, headers and the empty line, as they are sent */
    struct str body;             /* all of the body, or its beginning */
    bool more;                   /* the rest of the body comes by exchange_send */
    bool chunked;                /* the head says "Transfer-Encoding: chunked": the exchange makes the chunks */
    bool is_head;                /* the method is HEAD */
    bool odd_body;               /* with this method there is usually no body: some servers don't read one */
    bool upgrade;                /* WebSocket is asked for */
    bool safe;                   /* it may be sent twice: GET, HEAD, or a request to an idempotent service */
    int lookup_ms;               /* how long each phase may take; 0: the default, see below */
    int connect_ms, tls_ms;
    int head_ms;    /* from the request's last byte to the end of the answer's head */
    int silence_ms; /* between two reads of the answer, or two writes of the request; also after an upgrade */
};

#define EXCHANGE_LOOKUP_MS 2000
#define EXCHANGE_CONNECT_MS 1000 /* unless the rules of the upstream have another; TLS has twice as long */
#define EXCHANGE_HEAD_MS 60000
#define EXCHANGE_SILENCE_MS 60000

struct exchange_ops {
    bool (*send)(struct exchange *exchange, const struct str pieces[], size_t count, bool last);
    void (*next)(struct exchange *exchange);
    void (*free)(struct exchange *exchange);
};

struct exchange {
    const struct exchange_ops *ops;
    const struct exchange_events *events;
    void *data;
    struct exchange_head head; /* once `answer` was called; valid until exchange_free */
};

/* Begins a request to the target's URL. No event comes before it returns. */
struct exchange *exchange_dial(struct upstream *upstream, const struct exchange_request *request,
                               const struct exchange_events *events, void *data);

/*
 * Sends a part of the body. Call it in `writable` or after it, or once the answer is 101. True: all bytes have left, and the
 * next part may come at once. False: the pieces must not change until `writable`, the end of the exchange or exchange_free.
 * `last`: the body ends with these pieces (there may be none); after an upgrade this direction ends.
 */
static inline bool exchange_send(struct exchange *exchange, const struct str pieces[], size_t count, bool last)
{
    return exchange->ops->send(exchange, pieces, count, last);
}

/* The caller no longer needs the bytes of the last `answer`: the next may come. */
static inline void exchange_next(struct exchange *exchange)
{
    exchange->ops->next(exchange);
}

/* Ends the exchange in any state. */
static inline void exchange_free(struct exchange *exchange)
{
    exchange->ops->free(exchange);
}

#endif
