/*
 * Base64 as RFC 4648 has it, strictly: one text stands for the same bytes and no other.
 */
#ifndef AUTH_BASE64_H
#define AUTH_BASE64_H

#include "base/buffer.h"

/* Appends `size` bytes in the URL-safe alphabet, without padding (section 5). */
void base64url_encode(struct buffer *out, const void *bytes, size_t size);

/*
 * Decodes the URL-safe alphabet without padding into `room`; *len becomes the number of bytes. Returns false, with nothing
 * promised about `room`, for any other character, for padding, for leftover bits that are not 0, and where more than `size`
 * bytes come out.
 */
bool base64url_decode(struct str text, void *room, size_t size, size_t *len);

/* Likewise the standard alphabet with its padding (section 4), as Basic authorization has it. */
bool base64_decode(struct str text, void *room, size_t size, size_t *len);

#endif
