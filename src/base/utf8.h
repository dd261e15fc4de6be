/*
 * UTF-8 (RFC 3629).
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/str.h"

#include <stdint.h>

/*
 * The number of bytes of the character with which `text` begins; 0 if it begins with no character. Overlong forms,
 * surrogates and code points above U+10FFFF are no characters.
 */
size_t utf8_length(struct str text);

/*
 * Takes one character off the front of *text, which must not be empty, and returns its code point; *bytes gets its
 * bytes. A byte that begins no character counts as U+0080, a control character.
 */
uint32_t utf8_take(struct str *text, struct str *bytes);

#endif
