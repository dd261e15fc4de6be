/*
 * Sizes as agents write them: "15.6GB", "24564 MiB", "16384MB", "1TB", "8G".
 */
#ifndef MODEL_SIZE_H
#define MODEL_SIZE_H

#include "base/str.h"

/*
 * Parses a size with its unit into bytes. KB/MB/GB/TB and K/M/G/T are powers of 1000 (a card sold as 8 GB reports 8188 MiB),
 * KiB/MiB/GiB/TiB powers of 1024, B bytes; a number without a unit is taken as GB. Case and white space do not matter.
 * Returns false, and leaves *bytes alone, when the text is no size ("Unknown (AMD)", "-1GB", "").
 */
bool size_parse(struct str text, double *bytes);

#endif
