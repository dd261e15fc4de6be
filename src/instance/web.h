/*
 * Checks the settings that are web addresses at the start, and brings them to their normal form.
 */
#ifndef INSTANCE_WEB_H
#define INSTANCE_WEB_H

#include "base/buffer.h"
#include "base/err.h"

/*
 * Reads PUBLIC_URL, "https://host[:port][/path]". Appends it with host and scheme in lower case, without the scheme's own port
 * and without a slash at its end; appends nothing if it is empty. ERR_INVALID: `why` says what is wrong.
 */
MUST_CHECK enum err web_read_public_url(struct str text, struct buffer *out, char why[256]);

/*
 * Reads ALLOWED_ORIGINS, a comma list of "*" and of "scheme://host[:port]", whose host may begin with "*." for all its
 * subdomains. Appends it as a comma list in the form in which browsers send origins; "*" alone where that is in the list.
 */
MUST_CHECK enum err web_read_origins(struct str text, struct buffer *out, char why[256]);

#endif
