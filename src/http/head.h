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
    size_t size; /* bytes, with the empty lines before the head and the one at its end; 0: it is not whole yet */
    enum head_body body;
    size_t length;   /* HEAD_LENGTH: bytes of the body */
    bool expects;    /* the client waits for 100 Continue before it sends the body */
    bool hidden;     /* the body is hidden from libh2o: see head_read */
    enum err err;    /* ERR_NONE: the head is fine */
    const char *why; /* the sentence for `err`, which lives for ever */
    const char *odd; /* a sentence: why the request may not be passed on to a worker; NULL: it may */
};

/*
 * Returns the size of the head with which `bytes` begins; 0 if its end has not come yet. The caller knows that the end is not in
 * the first `from` bytes.
 */
size_t head_find_end(struct str bytes, size_t from);

/*
 * Reads a whole head, of head_find_end's size. It refuses what RFC 9112 forbids and what programs read in different ways:
 * - a Host that is missing, repeated or malformed;
 * - a target that is missing or has a fragment; a version that is neither 1.0 nor 1.1;
 * - a Content-Length that is not a plain number, or is repeated;
 * - a Transfer-Encoding other than "chunked", a repeated one, one together with Content-Length, or one in HTTP/1.0;
 * - headers named Content_Length or Transfer_Encoding; a Connection that names Host, Content-Length or Transfer-Encoding;
 * - folded lines; lines that end without CR, unless all lines do and there is no body;
 * - heads of more than 64 KiB; expectations other than 100-continue.
 * libh2o refuses more. `odd` is set for a method that is no word, for a target that is neither a path nor a URL with the host of
 * the Host header, and for lines that end without CR.
 *
 * The body is hidden from libh2o if it is longer than `whole_max` or comes in chunks, if there is an Expect header, or if the head
 * is refused. Content-Length, Transfer-Encoding and Expect then get names that begin with '-', so libh2o hands the request on at
 * once. It would take the body's bytes for the next request, so whoever reads the body must remove them from the input.
 */
void head_read(char *bytes, size_t size, size_t whole_max, struct head *head);

/* Whether a header's name, in lower case, is one that head_read has put in place of another. */
bool head_is_hidden_name(struct str name);

#endif
