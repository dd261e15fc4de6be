/*
 * One request that is passed on; for the files proxy_*.c alone.
 */
#ifndef API_PROXY_INTERNAL_H
#define API_PROXY_INTERNAL_H

#include "api/api.h"
#include "api/proxy.h"
#include "http/intake.h"
#include "http/stream.h"
#include "http/tunnel.h"
#include "model/catalogue.h"
#include "model/id.h"
#include "store/requests.h"
#include "upstream/exchange.h"

#define PROXY_ATTEMPTS_MAX 3              /* a digit of X-RMA-Attempt */
#define PROXY_TUNNEL_IDLE_MS (600 * 1000) /* that a tunnel may be silent: WebSockets are, for minutes */

/*
 * It is in no pool: a worker may be chosen for it when its request is gone already. The request's memory holds it, and so does
 * each of its functions that works on.
 */
struct proxy {
    struct api *api;
    struct request *request;         /* until `gone` */
    const struct proxy_order *order; /* likewise */
    struct pending *pending;         /* NULL once the client is answered */
    int holders;
    bool gone;
    bool is_noted;                       /* the worker at hand is in `tried` */
    bool is_parked;                      /* a worker is asked: the wait ends when the client leaves */
    bool hurried;                        /* the program ends: it has only a moment more */
    bool unleased;                       /* the service is spread at random */
    enum { ALL, LOADERS, SILENT } among; /* whom a worker is chosen: see wants_other */

    int attempt; /* the number of this one, from 1 */
    char worker_id[ID_MAX + 1];
    struct buffer base;                      /* the path of the worker's URL */
    const struct catalogue_passing *passing; /* of the chosen service */
    bool has_model;                          /* the worker has the order's model loaded */
    struct buffer tried;                     /* workers before this one, with blanks between */
    struct request_lease *lease;             /* NULL: none */
    struct exchange *exchange;               /* NULL: none */
    struct buffer head;                      /* what goes out, */
    size_t authority_at, authority_len;      /* and where in it the worker's host[:port] is */
    int status;                              /* of the worker's answer; 0: none yet */
    struct str held; /* the first bytes of an answer that is passed on if no other worker has a better one */
    bool is_held, held_last;
    bool safe; /* may be done twice */

    enum err err;         /* why the last attempt failed */
    struct buffer detail; /* the sentence, with a NUL */

    struct stream *stream;
    struct tunnel *tunnel;
    bool upgrades;  /* the client asks for a WebSocket */
    bool in_tunnel; /* and has one: it outlives the request */
    bool ended;     /* the worker's answer is whole */

    struct intake *intake; /* the body that comes in pieces; NULL: it does not */
    bool taken;            /* it is being read */
    bool is_whole;         /* and has come to its end, */
    bool is_sending;       /* a piece of it is on its way */
    struct buffer piece;   /* what is on its way to the worker */

    struct tenure tenure;                   /* of its client */
    size_t place;                           /* of the service in the metrics */
    bool counted;                           /* it is in flight there */
    int64_t began_at, sent_at, answered_at; /* clock_us */
};

/* Ends a hold; the last one frees it. */
void proxy_let_go(struct proxy *proxy);

/* Nothing of it goes on any more: ends what is left, and counts it. */
void proxy_finish(struct proxy *proxy);

/* Whether its client still waits for an answer to begin. */
bool proxy_is_waited_for(const struct proxy *proxy);

/* Counts it as one in flight of the service with that place in the metrics, in place of the one before. */
void proxy_count(struct proxy *proxy, size_t place);

/* The lease is over. Does nothing where there is none. */
void proxy_release(struct proxy *proxy, enum request_outcome outcome);

/* The outcome that the status of the worker's answer means. */
enum request_outcome proxy_outcome(const struct proxy *proxy);

/* Closes what goes on with the worker. */
void proxy_end_exchange(struct proxy *proxy);

/* Counts, ends the wait and returns the request, to be answered now; NULL: nobody waits. */
struct request *proxy_take(struct proxy *proxy, int status);

/* proxy_head.c: writes what goes out to proxy->head. */
void proxy_compose(struct proxy *proxy, const struct target *target);

/* proxy_failure.c: notes why an attempt failed, in the log, too. */
void proxy_note_failure(struct proxy *proxy, const struct exchange_failure *failure);

/* proxy_failure.c: answers with a problem. `detail` NULL: the error's own sentence. Nothing of proxy may be used afterwards. */
void proxy_fail(struct proxy *proxy, enum err err, const char *detail);

/* proxy_answer.c: sets the headers of the answer; returns its Content-Type. */
struct str proxy_set_headers(const struct proxy *proxy, struct request *request);

/* proxy_answer.c: begins to answer with the worker's head and the first bytes. */
void proxy_answer(struct proxy *proxy, struct str bytes, bool last);

/* proxy_answer.c: what the worker sends afterwards; that it failed. */
void proxy_go_on(struct proxy *proxy, struct str bytes, bool last);
void proxy_break_off(struct proxy *proxy);

/* proxy_body.c: the exchange takes more of the body. */
void proxy_send_more(struct proxy *proxy);

/* proxy_body.c: copies bytes for the worker and sends them; false: they are on their way still. */
bool proxy_send_piece(struct proxy *proxy, struct str bytes, bool last);

/* proxy_body.c: what was on its way has left. */
void proxy_piece_has_left(struct proxy *proxy);

/* proxy_tunnel.c: the worker has answered 101; what it sends; bytes have left for it. */
void proxy_begin_tunnel(struct proxy *proxy, struct str bytes, bool last);
void proxy_tunnel_go_on(struct proxy *proxy, struct str bytes, bool last);
void proxy_tunnel_drained(struct proxy *proxy);

/* proxy_token.c: whether the client's Authorization has nothing to do with this fleet, good or not. */
bool proxy_authorization_is_foreign(const struct request *request);

/* proxy_token.c: whether the worker is to be told who asks, and no key is known that signs. */
bool proxy_token_needs_key(const struct request *request);

/* proxy_token.c: appends "Bearer …" for the worker; nothing where the caller is nobody that we know. */
void proxy_write_token(struct buffer *out, struct proxies *proxies, struct request *request, struct str worker_id);

/* proxy_failure.c: the services of live workers, as JSON; read again when they are older than a second. */
struct proxy_services {
    struct buffer names; /* elements of an array */
    int64_t read_at;     /* clock_ms; 0: never */
};

#define PROXY_TOKENS_MAX 64

struct proxies {
    struct proxy_services services;
    struct proxy_token {
        char subject[JWT_SUBJECT_MAX + 1], audience[ID_MAX + 1];
        int64_t good_until; /* seconds since 1970 */
        struct buffer text;
    } tokens[PROXY_TOKENS_MAX];
};

#endif
