/*
 * Takes the chunks of a request's body apart (RFC 9112, section 7.1), strictly: a size has 1 to 15 hexadecimal digits, lines end
 * with CR LF, and extensions and trailers, which are dropped, are bounded.
 */
#ifndef HTTP_CHUNKS_H
#define HTTP_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>

enum chunks_state {
    CHUNKS_SIZE, /* where it begins */
    CHUNKS_EXTENSION,
    CHUNKS_SIZE_LF,
    CHUNKS_DATA,
    CHUNKS_DATA_CR,
    CHUNKS_DATA_LF,
    CHUNKS_TRAILER, /* at the beginning of a line behind the last chunk */
    CHUNKS_TRAILER_NAME,
    CHUNKS_TRAILER_VALUE,
    CHUNKS_TRAILER_LF,
    CHUNKS_END_LF,
    CHUNKS_END,
    CHUNKS_BROKEN,
};

/* Begins as zeros. */
struct chunks {
    enum chunks_state state;
    int digits;     /* of the present size */
    size_t left;    /* bytes of the present chunk */
    size_t dropped; /* bytes of extensions and trailers until now */
};

/*
 * Takes `len` bytes, up to the body's end, and moves what is body to their front. Returns how many bytes that are; *taken: how
 * many it took. chunks->state then says whether the body has ended, or is broken.
 */
size_t chunks_decode(struct chunks *chunks, char *bytes, size_t len, size_t *taken);

#endif
