/*
 * Shows an object of an answer to people: a line for each member, and more lines for nested ones.
 */
#ifndef CLI_VIEW_H
#define CLI_VIEW_H

#include "base/buffer.h"

#include <cjson/cJSON.h>

/* Seconds since 1970 of "2026-03-01T12:00:00.000Z"; NAN if the text is not such a time. */
double view_time(struct str text);

/*
 * Appends the object under a title. `now`: seconds since 1970, to say how long ago a time is; NAN: unknown. `left_out`: names
 * of members that are not shown, up to a NULL.
 */
void view_object(struct buffer *out, struct str title, const cJSON *object, double now, const char *const *left_out);

#endif
