/*
 * Base64 (RFC 4648), read strictly: only one text stands for given bytes.
 */
#ifndef AUTH_BASE64_H
#define AUTH_BASE64_H

#include "base/buffer.h"

/* Appends `size` bytes in the URL-safe alphabet, without padding (section 5). */
void base64url_encode(struct buffer *out, const void *bytes, size_t size);

/*
 * Decodes the URL-safe alphabet without padding into `room`; *len becomes the number of bytes. Returns false for any other
 * character, for padding, for leftover bits that are not 0, and if the result has more than `size` bytes; `room` is then
 * undefined.
 */
bool base64url_decode(struct str text, void *room, size_t size, size_t *len);

/* Decodes the standard alphabet with padding (section 4) in the same way; Basic authorization uses it. */
bool base64_decode(struct str text, void *room, size_t size, size_t *len);

#endif
