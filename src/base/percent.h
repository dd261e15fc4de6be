/*
 * Percent-encoding (RFC 3986, section 2.1).
 */
#ifndef BASE_PERCENT_H
#define BASE_PERCENT_H

#include "base/buffer.h"

/*
 * Decodes `text` into `room` of `size` bytes. With `plus_is_space`, "+" becomes a space, as in queries. *out points
 * into `room`. Returns false when the text is badly encoded or does not fit.
 */
bool percent_decode(struct str text, bool plus_is_space, char *room, size_t size, struct str *out);

/* Appends `text`, with every character encoded that has a meaning in a path or a query. */
void percent_encode(struct buffer *out, struct str text);

#endif
