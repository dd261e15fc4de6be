/*
 * UTF-8 (RFC 3629).
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/str.h"

#include <stdint.h>

/*
 * The number of bytes of the character with which `text` begins. 0 when it begins with none: overlong forms, surrogates and
 * what is above U+10FFFF are no characters.
 */
size_t utf8_length(struct str text);

/*
 * Takes a character off the front of *text, which is not empty, its bytes in *bytes; a byte that begins none is U+0080, a
 * control.
 */
uint32_t utf8_take(struct str *text, struct str *bytes);

#endif
