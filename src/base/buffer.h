/*
 * A growing byte buffer, and JSON written into one. Running out of memory aborts.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/str.h"

#include <stdint.h>

struct buffer {
    char *ptr; /* owned; NULL until something is appended */
    size_t len;
    size_t capacity;
};

#define BUFFER_INIT ((struct buffer){NULL, 0, 0})

/* Frees what the buffer holds and makes it empty. */
void buffer_fini(struct buffer *buffer);

/* Does the same after overwriting what it holds: a secret. */
void buffer_wipe(struct buffer *buffer);

/* Makes room for `size` more bytes and returns where they go; the caller adds what it wrote to len. */
char *buffer_reserve(struct buffer *buffer, size_t size);

void buffer_append(struct buffer *buffer, struct str text);

/* Appends formatted text; the format must not make more than 1 KiB. */
void buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline struct str buffer_str(const struct buffer *buffer)
{
    return (struct str){buffer->ptr, buffer->len};
}

/* Appends a JSON string, quoted and escaped; `text` is UTF-8. An absent str becomes null. */
void buffer_json_string(struct buffer *buffer, struct str text);

/* Appends a finite number as JSON: up to 6 decimals, no trailing zeros, at least one decimal ("0.0"). */
void buffer_json_number(struct buffer *buffer, double number);

/*
 * Appends milliseconds since 1970 as a JSON string in ISO 8601, UTC: "2026-03-01T12:00:00.000Z". Times before
 * 1970 or after 9999 become the nearest one that can be written.
 */
void buffer_json_time(struct buffer *buffer, int64_t milliseconds);

#endif
