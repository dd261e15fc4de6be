/*
 * Reads a small file whole.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buffer.h"

/* Appends what the file has to `out`. Returns false if it can't be read, or has more than `max` bytes; errno says why. */
bool file_read(const char *path, size_t max, struct buffer *out);

#endif
