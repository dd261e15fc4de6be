/*
 * Hides credentials that somebody has put where none belongs, such as a token in a path, from logs and from the audit.
 */
#ifndef BASE_MASK_H
#define BASE_MASK_H

#include <stddef.h>

/* Puts `*` in place of the secret part of each of our tokens in `text`. What names a token, its kind and id, stays. */
void mask_tokens(char *text, size_t len);

#endif
