/*
 * Removes the white space from JSON.
 */
#ifndef MODEL_MINIFY_H
#define MODEL_MINIFY_H

#include "base/str.h"

/* Copies valid JSON to `to`, which has room for it, without the white space between its tokens, and returns the length. */
size_t json_minify(struct str json, char *to);

#endif
