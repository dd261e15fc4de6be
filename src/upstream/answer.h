/*
 * The parser of a worker's answer (HTTP/1.1, RFC 9112). llhttp reads it strictly. This parser also refuses what llhttp accepts
 * and two readers could understand differently. It keeps the head, and passes the body on as it comes.
 */
#ifndef UPSTREAM_ANSWER_H
#define UPSTREAM_ANSWER_H

#include "base/buffer.h"
#include "base/err.h"

#include <stdint.h>

#define ANSWER_HEAD_MAX 65536  /* bytes of all headers */
#define ANSWER_HEADERS_MAX 100 /* headers */
#define ANSWER_INTERIM_MAX 8   /* how many 1xx answers may come before the real one */

struct answer_header {
    struct str name, value; /* as they came, the value without blanks around it */
};

struct answer;

/* What the parser reports while it reads. Neither function may call answer_… for the same answer. */
struct answer_events {
    void (*head)(void *data);                   /* the head is whole: answer_status and the other readers may be called */
    void (*body)(void *data, struct str bytes); /* a piece of the body; valid during the call only */
};

/* `is_head`: the request's method is HEAD, so no body follows. `upgrade`: WebSocket was asked for. */
struct answer *answer_new(const struct answer_events *events, void *data, bool is_head, bool upgrade);
void answer_free(struct answer *answer);

enum answer_state {
    ANSWER_MORE,    /* the answer is not whole yet */
    ANSWER_DONE,    /* the answer is whole */
    ANSWER_UPGRADE, /* 101: the bytes from here on belong to another protocol */
    ANSWER_BAD,     /* not an answer, or one that must not be passed on; answer_fault says why */
};

/*
 * Reads the next bytes, and changes them: it moves the data of chunks together. *used becomes the number of bytes that belong to
 * the answer. Call it again only while the result is ANSWER_MORE.
 */
enum answer_state answer_read(struct answer *answer, struct str bytes, size_t *used);

/* Tells the parser that the connection has ended. Returns whether that makes the answer whole. */
enum answer_state answer_end(struct answer *answer);

/* Returns what is wrong with the answer, for the log: static text. */
const char *answer_fault(const struct answer *answer);

/* Parts of the head, valid as long as the answer. */
int answer_status(const struct answer *answer);
const struct answer_header *answer_headers(const struct answer *answer, size_t *count);
struct str answer_header(const struct answer *answer,
                         const char *name);         /* the first header of that name, in any case; absent if there is none */
int64_t answer_length(const struct answer *answer); /* bytes of the body; -1: not known */

/* Whether the answer must not have a body: it is one to HEAD, or has the status 204 or 304. */
bool answer_is_bodiless(const struct answer *answer);

/* Whether the connection can take another request once this answer is whole. */
bool answer_keeps_alive(const struct answer *answer);

#endif
