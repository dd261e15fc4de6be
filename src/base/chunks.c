#include "base/chunks.h"

#include "base/ascii.h"

#include <string.h>

#define SIZE_DIGITS_MAX 15
#define DROPPED_MAX 4096 /* bytes of extensions and trailers of one body */

/* Whether a character may stand in a line before its end: no control character but a tab. */
static bool is_text(char c)
{
    return (unsigned char)c >= ' ' ? c != 0x7f : c == '\t';
}

static bool is_name(char c)
{
    return ascii_is_alphanumeric(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Returns the state after a byte of a line with a chunk's size. */
static enum chunks_state take_size(struct chunks *chunks, char c)
{
    int value = ascii_hex_value(c);
    if (value >= 0 && ++chunks->digits <= SIZE_DIGITS_MAX) {
        chunks->left = chunks->left << 4 | (size_t)value;
        return CHUNKS_SIZE;
    }
    if (value >= 0 || chunks->digits == 0)
        return CHUNKS_BROKEN;
    return c == '\r' ? CHUNKS_SIZE_LF : c == ';' ? CHUNKS_EXTENSION : CHUNKS_BROKEN;
}

/* Counts a byte that is dropped. Returns `next`, or CHUNKS_BROKEN if too many bytes have been dropped. */
static enum chunks_state chunks_drop(struct chunks *chunks, enum chunks_state next)
{
    return ++chunks->dropped <= DROPPED_MAX ? next : CHUNKS_BROKEN;
}

/* Returns the state after a byte behind the last chunk. */
static enum chunks_state take_trailer(struct chunks *chunks, char c)
{
    switch (chunks->state) {
    case CHUNKS_TRAILER:
        return c == '\r' ? CHUNKS_END_LF : is_name(c) ? chunks_drop(chunks, CHUNKS_TRAILER_NAME) : CHUNKS_BROKEN;
    case CHUNKS_TRAILER_NAME:
        return c == ':'     ? chunks_drop(chunks, CHUNKS_TRAILER_VALUE)
               : is_name(c) ? chunks_drop(chunks, CHUNKS_TRAILER_NAME)
                            : CHUNKS_BROKEN;
    case CHUNKS_TRAILER_VALUE:
        return c == '\r'    ? chunks_drop(chunks, CHUNKS_TRAILER_LF)
               : is_text(c) ? chunks_drop(chunks, CHUNKS_TRAILER_VALUE)
                            : CHUNKS_BROKEN;
    case CHUNKS_TRAILER_LF:
        return c == '\n' ? chunks_drop(chunks, CHUNKS_TRAILER) : CHUNKS_BROKEN;
    case CHUNKS_END_LF:
        return c == '\n' ? CHUNKS_END : CHUNKS_BROKEN;
    default:
        return CHUNKS_BROKEN;
    }
}

/* Returns the state after a line with a chunk's size. */
static enum chunks_state end_size(struct chunks *chunks)
{
    chunks->digits = 0;
    if (chunks->left == 0)
        return CHUNKS_TRAILER;
    chunks->dropped -= chunks->dropped < chunks->spared ? chunks->dropped : chunks->spared;
    return CHUNKS_DATA;
}

/* Returns the state after a byte that is not data. */
static enum chunks_state chunks_take(struct chunks *chunks, char c)
{
    switch (chunks->state) {
    case CHUNKS_SIZE:
        return take_size(chunks, c);
    case CHUNKS_EXTENSION:
        return c == '\r' ? CHUNKS_SIZE_LF : is_text(c) ? chunks_drop(chunks, CHUNKS_EXTENSION) : CHUNKS_BROKEN;
    case CHUNKS_SIZE_LF:
        return c == '\n' ? end_size(chunks) : CHUNKS_BROKEN;
    case CHUNKS_DATA_CR:
        return c == '\r' ? CHUNKS_DATA_LF : CHUNKS_BROKEN;
    case CHUNKS_DATA_LF:
        return c == '\n' ? CHUNKS_SIZE : CHUNKS_BROKEN;
    default:
        return take_trailer(chunks, c);
    }
}

size_t chunks_decode(struct chunks *chunks, char *bytes, size_t len, size_t *taken)
{
    size_t at = 0, out = 0;
    while (at < len && chunks->state != CHUNKS_END && chunks->state != CHUNKS_BROKEN) {
        if (chunks->state != CHUNKS_DATA) {
            chunks->state = chunks_take(chunks, bytes[at++]);
            continue;
        }
        size_t size = chunks->left < len - at ? chunks->left : len - at;
        memmove(bytes + out, bytes + at, size);
        at += size;
        out += size;
        chunks->left -= size;
        if (chunks->left == 0)
            chunks->state = CHUNKS_DATA_CR;
    }
    *taken = at;
    return out;
}
