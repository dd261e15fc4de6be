/*
 * Reads the chunks of a body (RFC 9112, section 7.1) strictly: a size has 1 to 15 hexadecimal digits, and lines end
 * with CR LF. Extensions and trailers are bounded, and dropped.
 */
#ifndef BASE_CHUNKS_H
#define BASE_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>

enum chunks_state {
    CHUNKS_SIZE, /* the first state */
    CHUNKS_EXTENSION,
    CHUNKS_SIZE_LF,
    CHUNKS_DATA,
    CHUNKS_DATA_CR,
    CHUNKS_DATA_LF,
    CHUNKS_TRAILER, /* at the beginning of a line after the last chunk */
    CHUNKS_TRAILER_NAME,
    CHUNKS_TRAILER_VALUE,
    CHUNKS_TRAILER_LF,
    CHUNKS_END_LF,
    CHUNKS_END,
    CHUNKS_BROKEN,
};

/* Begins as zeros, except `spared`, which the caller sets. */
struct chunks {
    enum chunks_state state;
    int digits;     /* digits of the present size so far */
    size_t left;    /* bytes of the present chunk that are still to come */
    size_t dropped; /* bytes of extensions and trailers so far */
    size_t spared;  /* for each chunk, how many dropped bytes are not counted */
};

/*
 * Reads up to `len` bytes, as far as the body's end, and moves the body's bytes to the front. Returns the number of the body's
 * bytes; *taken becomes the number of all bytes that it read. chunks->state then says whether the body has ended or is broken.
 */
size_t chunks_decode(struct chunks *chunks, char *bytes, size_t len, size_t *taken);

#endif
