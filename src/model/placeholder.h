/*
 * Recognizes texts that agents send for an unknown value: "None", "null", "N/A", "[Unknown]", "--", " ".
 */
#ifndef MODEL_PLACEHOLDER_H
#define MODEL_PLACEHOLDER_H

#include "base/str.h"

/*
 * Whether `text` stands for nothing. Case, white space and punctuation are ignored; an absent or empty text stands for nothing.
 */
bool placeholder_is(struct str text);

/*
 * The same for ids, which may consist of punctuation alone: "-" may be an id. "None", "N/A" and blanks are not.
 */
bool placeholder_is_id(struct str text);

#endif
