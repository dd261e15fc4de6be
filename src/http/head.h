/*
 * The head of a request, read before libh2o reads it: where it ends, where its body ends, and whether it may be read in more
 * than one way. libh2o is lax, so whatever two programs could read differently is refused here.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "base/err.h"

#include <stddef.h>

enum head_body { HEAD_NO_BODY, HEAD_LENGTH, HEAD_CHUNKED };

struct head {
    size_t size; /* bytes, with the empty lines before it and the empty line at its end; 0: it is not whole yet */
    enum head_body body;
    size_t length;   /* HEAD_LENGTH: bytes of the body */
    bool expects;    /* the client waits for 100 Continue before it sends the body */
    bool hidden;     /* the body is hidden from libh2o: see head_read */
    enum err err;    /* ERR_NONE: it is fine */
    const char *why; /* the sentence for `err`, which lives for ever */
    const char *odd; /* why the request may be answered here but not passed on to a worker: a sentence; NULL: it may be passed on */
};

/*
 * The size of the head with which `bytes` begins; 0 if its end has not come yet. The caller knows that the end is not in the
 * first `from` bytes.
 */
size_t head_find_end(struct str bytes, size_t from);

/*
 * Reads a whole head, of head_find_end's size. Refuses, besides what libh2o refuses, what RFC 9112 forbids and what programs read
 * in different ways: a missing, repeated or garbled Host; a fragment in the target; a version that is not 1.0 or 1.1; a
 * Content-Length that is not a plain number or comes twice; a Transfer-Encoding other than "chunked", or together with
 * Content-Length, or before HTTP/1.1; names that only an underscore keeps from being one of these; a Connection that names one
 * of these; folded lines; line ends without CR, unless all are so and there is no body. Refuses more than 64 KiB, and other
 * expectations than 100-continue, too. Odd are a method that is no word, a target of another host than the Host header, and line
 * ends without CR.
 *
 * A body that libh2o must not gather, because it is longer than `whole_max` or comes in chunks, or the client expects 100
 * Continue, or the head is refused, is hidden from it: Content-Length, Transfer-Encoding and Expect get names that begin with
 * '-'. libh2o then hands the request on at once, and would take the body's bytes for the next request; whoever reads the body
 * takes them away.
 */
void head_read(char *bytes, size_t size, size_t whole_max, struct head *head);

/* Whether this header's name, in lower case, is one that head_read has put in place of another. */
bool head_is_hidden_name(struct str name);

#endif
