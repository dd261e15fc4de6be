/*
 * Times as other programs write them (ISO 8601).
 */
#ifndef MODEL_ISO_TIME_H
#define MODEL_ISO_TIME_H

#include "base/str.h"

#include <stdint.h>

/*
 * Parses a date and time into milliseconds since 1970: "2025-12-01T14:20:00.123456", "2025-12-01 14:20:00",
 * "2025-12-01T14:20:00.5Z", "2025-12-01T15:20:00+01:00". Without a zone it is UTC; of the fraction the first three digits
 * count. Returns false, and leaves *milliseconds alone, for anything else and for what is not in the years 1970 to 9999.
 */
bool iso_time_parse(struct str text, int64_t *milliseconds);

#endif
