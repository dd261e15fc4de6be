/*
 * The reason that an operator gives when a worker is drained.
 */
#ifndef MODEL_DRAIN_H
#define MODEL_DRAIN_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/faults.h"

#define DRAIN_REASON_MAX 500 /* bytes */

/*
 * Reads the body {"reason": "…"}. There is no reason if the body is empty, or the reason is null, empty or blank. Appends the
 * reason to the empty *reason in one line, without characters that a terminal or a page would obey. ERR_BAD_REQUEST: *why
 * (static) says what is wrong; ERR_INVALID: *faults does. Release *reason in any case.
 */
MUST_CHECK enum err drain_parse(struct str body, struct buffer *reason, struct faults *faults, const char **why);

/* Appends a text in the same form as drain_parse. */
void drain_clean(struct buffer *out, struct str text);

#endif
