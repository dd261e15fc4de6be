/*
 * Reads times that other programs have written (ISO 8601).
 */
#ifndef MODEL_ISO_TIME_H
#define MODEL_ISO_TIME_H

#include "base/str.h"

#include <stdint.h>

/*
 * Parses a date and time into milliseconds since 1970: "2025-12-01T14:20:00.123456", "2025-12-01 14:20:00",
 * "2025-12-01T14:20:00.5Z", "2025-12-01T15:20:00+01:00". A time without a zone is UTC. Only the first three digits of the
 * fraction count. Returns false, and leaves *milliseconds as it is, for any other text and for years before 1970 or after 9999.
 */
bool iso_time_parse(struct str text, int64_t *milliseconds);

#endif
