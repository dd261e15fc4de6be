/*
 * UTF-8 (RFC 3629).
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/str.h"

#include <stdint.h>

/*
 * The bytes of the character that `text` begins with, in its only valid form: no overlong ones, no surrogates, nothing above
 * U+10FFFF. 0: it begins with none.
 */
size_t utf8_length(struct str text);

/*
 * Takes a character off the front of *text, which is not empty, its bytes in *bytes; a byte that begins none is U+0080, a
 * control.
 */
uint32_t utf8_take(struct str *text, struct str *bytes);

#endif
