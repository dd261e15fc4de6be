/*
 * The state of one request that is passed on. Only proxy.c and proxy_*.c include this header.
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
#include "store/counters.h"
#include "store/requests.h"
#include "upstream/exchange.h"

#define PROXY_ATTEMPTS_MAX 3              /* X-RMA-Attempt has one digit */
#define PROXY_TUNNEL_IDLE_MS (600 * 1000) /* a tunnel may be silent for so long: WebSockets are silent for minutes */

/*
 * It is in no request's pool, because Redis may choose a worker for it after its request is gone. Its holders are the request,
 * the tunnel, each call that Redis has not answered, and each function that uses it after a call that may end the request. The
 * last holder frees it (proxy_let_go).
 */
struct proxy {
    struct api *api;
    struct request *request;         /* valid until `gone` */
    const struct proxy_order *order; /* likewise */
    struct pending *pending;         /* NULL once the client is answered */
    int holders;
    bool gone;
    bool is_noted;                       /* `worker_id` is in `tried` */
    bool is_parked;                      /* a worker has been asked: from now on the wait ends when the client leaves */
    bool hurried;                        /* the program ends: the request gets only a moment more */
    bool unleased;                       /* the service is spread at random, so workers are not leased */
    enum { ALL, LOADERS, SILENT } among; /* which workers it is chosen from: see wants_other */

    int attempt; /* the number of the present one, from 1; 0: no worker is chosen yet */
    char worker_id[ID_MAX + 1];
    struct buffer base;                      /* the path of the worker's URL */
    struct buffer other_url, fingerprint;    /* of the same worker, for one more attempt; empty: there is none */
    const struct catalogue_passing *passing; /* of the chosen service */
    bool has_model;                          /* the worker has the order's model loaded */
    struct buffer tried;                     /* ids of the workers that are not asked again, with blanks between */
    struct request_lease *lease;             /* NULL: none */
    struct exchange *exchange;               /* NULL: none */
    struct buffer head;                      /* of the request to the worker, */
    size_t authority_at, authority_len;      /* and where in it the worker's host[:port] is */
    int status;                              /* of the worker's answer; 0: there is no answer yet */
    struct proxy_busy *busy;                 /* the answer that is set aside; NULL: none */
    bool was_busy;                           /* one was set aside: that happens once */
    bool safe;                               /* the request may be done twice */
    bool arrived;                            /* an earlier attempt may have reached a worker */

    enum err err;         /* why the last attempt failed */
    struct buffer detail; /* the sentence about it; ends with a NUL */

    struct stream *stream;
    struct tunnel *tunnel;
    struct str held;         /* bytes of the worker that the tunnel does not take yet */
    bool is_held, held_last; /* there are some; they are the last ones */
    bool upgrades;           /* the client asks for a WebSocket */
    bool in_tunnel;          /* the client has one; it outlives the request, and so the order */
    struct buffer service;   /* the name of the tunnel's, for the log */
    bool ended;              /* the worker's answer is whole */

    struct intake *intake; /* the body if it comes in pieces; NULL: it does not */
    bool taken;            /* reading it has begun: no other worker can get it whole */
    bool is_whole;         /* the client has sent its end; also that of its direction of a tunnel */
    bool is_sending;       /* the exchange still has `piece` */
    struct buffer piece;   /* the bytes that are on their way to the worker */

    struct tenure tenure;                   /* of the client: ends when its credential ends */
    size_t place;                           /* of the service in metrics->passing */
    bool counted;                           /* it is counted as in flight there */
    int64_t began_at, sent_at, answered_at; /* clock_us */
};

/* A worker's answer that asks for another worker. It is paused; the client gets it if no other worker answers. */
struct proxy_busy {
    struct exchange *exchange;
    struct str bytes; /* the first ones of its body; */
    bool last;        /* they are also the last ones */
    int attempt;
    size_t place;
    char worker_id[ID_MAX + 1];
    const struct catalogue_passing *passing;
    bool has_model;
};

/* Removes one holder. Frees it when that was the last one. */
void proxy_let_go(struct proxy *proxy);

/* Ends its tenure, exchange and lease, and counts it as finished. Called once, when neither request nor tunnel is left. */
void proxy_finish(struct proxy *proxy);

/* Whether its client still waits for an answer to begin. */
bool proxy_is_waited_for(const struct proxy *proxy);

/* Counts it as in flight for the service at `place` in the metrics, and no longer for the service before. */
void proxy_count(struct proxy *proxy, size_t place);

/* Ends the lease with that outcome. Does nothing if there is none. */
void proxy_release(struct proxy *proxy, enum request_outcome outcome);

/* Returns the outcome that the status of the worker's answer means. */
enum request_outcome proxy_outcome(const struct proxy *proxy);

/* Frees the exchange with the worker, if there is one. */
void proxy_end_exchange(struct proxy *proxy);

/* Sets the worker's answer aside, which begins with `bytes`, and ends its lease. */
void proxy_set_aside(struct proxy *proxy, struct str bytes, bool last);

/* Makes the answer that was set aside the present one again. */
void proxy_bring_back(struct proxy *proxy, struct str *bytes, bool *last);

/* Frees the answer that was set aside, if there is one. */
void proxy_drop_busy(struct proxy *proxy);

/* Ends the wait, counts the answer by its status, and returns the request, to be answered now; NULL: nobody waits. */
struct request *proxy_take(struct proxy *proxy, int status);

/* proxy_head.c: writes the head of the request to the worker to proxy->head. */
void proxy_compose(struct proxy *proxy, const struct target *target);

/*
 * proxy_head.c: returns the path of PUBLIC_URL, under which a proxy serves the coordinator. Empty if there is none, or if the
 * client has asked another host than that of PUBLIC_URL.
 */
struct str proxy_front(const struct request *request);

/* proxy_head.c: whether requests with that method usually have a body. */
bool proxy_expects_body(struct str method);

/* proxy_head.c: whether the worker gets an Idempotency-Key, and so knows a request that comes once more. */
bool proxy_has_key(const struct request *request);

/* proxy_failure.c: sets err and detail to why the attempt failed, counts it and logs it. */
void proxy_note_failure(struct proxy *proxy, const struct exchange_failure *failure);

/*
 * proxy_failure.c: answers with a problem. `detail` NULL: the error's own sentence. The request may be gone afterwards, and the
 * proxy with it unless the caller is one of its holders.
 */
void proxy_fail(struct proxy *proxy, enum err err, const char *detail);

/* proxy_answer.c: sets the worker's headers and ours on the answer. Returns its Content-Type; absent: the worker sent none. */
struct str proxy_set_headers(const struct proxy *proxy, struct request *request);

/* proxy_answer.c: begins to answer with the worker's head and its first bytes. */
void proxy_answer(struct proxy *proxy, struct str bytes, bool last);

/* proxy_answer.c: passes on the bytes that follow. */
void proxy_go_on(struct proxy *proxy, struct str bytes, bool last);

/* proxy_answer.c: aborts the client's stream or tunnel, because the rest will not come. */
void proxy_break_off(struct proxy *proxy);

/* proxy_body.c: sends more of the body. Called when the exchange takes more. */
void proxy_send_more(struct proxy *proxy);

/* proxy_body.c: sends a copy of the bytes to the worker. False: they have not left yet, and no others may be sent. */
bool proxy_send_piece(struct proxy *proxy, struct str bytes, bool last);

/* proxy_body.c: empties `piece`, which has left. */
void proxy_piece_has_left(struct proxy *proxy);

/* proxy_tunnel.c: opens the tunnel to the client, since the worker has answered 101. `bytes` are its first ones. */
void proxy_begin_tunnel(struct proxy *proxy, struct str bytes, bool last);

/* proxy_tunnel.c: passes on the worker's next bytes. */
void proxy_tunnel_go_on(struct proxy *proxy, struct str bytes, bool last);

/* proxy_tunnel.c: lets the client send more. Called when the bytes before have left for the worker. */
void proxy_tunnel_drained(struct proxy *proxy);

/* proxy_tunnel.c: lets go of the worker, which had ended its direction in order and now has closed the other one, too. */
void proxy_tunnel_drop(struct proxy *proxy);

/* proxy_token.c: whether the client's Authorization holds no credential of this fleet, not even an invalid one. */
bool proxy_authorization_is_foreign(const struct request *request);

/* proxy_token.c: whether the worker must be told who asks, but no signing key is known yet. */
bool proxy_token_needs_key(const struct request *request);

/* proxy_token.c: appends "Bearer …" for the worker. Appends nothing if the caller is unknown or no key is. */
void proxy_write_token(struct buffer *out, struct proxies *proxies, struct request *request, struct str worker_id);

/* The names of the services that live workers provide, as JSON. Read again when they are older than a second. */
struct proxy_services {
    struct buffer names; /* the elements of an array */
    int64_t read_at;     /* clock_ms; 0: never */
};

#define PROXY_TOKENS_MAX 64

struct proxies {
    struct proxy_services services;
    struct proxy_token {
        char subject[JWT_SUBJECT_MAX + 1], audience[ID_MAX + 1];
        int64_t good_until; /* seconds since 1970; after that a new one is made, before this one expires */
        struct buffer text;
    } tokens[PROXY_TOKENS_MAX];
};

#endif
