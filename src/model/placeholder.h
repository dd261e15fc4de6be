/*
 * Texts that agents send where they know nothing: "None", "null", "N/A", "[Unknown]", "--", " ".
 */
#ifndef MODEL_PLACEHOLDER_H
#define MODEL_PLACEHOLDER_H

#include "base/str.h"

/*
 * Whether `text` stands for nothing. Case, white space and punctuation do not matter; an absent or empty text stands for nothing.
 */
bool placeholder_is(struct str text);

/*
 * The same for ids, which may consist of punctuation alone: "-" is somebody's id. "None", "N/A" and blanks are nobody's.
 */
bool placeholder_is_id(struct str text);

#endif
