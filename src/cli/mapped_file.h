/*
 * The text of a file of any size, without a copy in memory. The system reads its pages when they are needed, and may drop them.
 */
#ifndef CLI_MAPPED_FILE_H
#define CLI_MAPPED_FILE_H

#include "base/err.h"

struct mapped_file {
    struct str text; /* empty if the file is */
};

/*
 * Opens the file at `path`. A pipe or another special file is copied to a temporary file first. On ERR_INVALID errno says why.
 * While it is open, a file that somebody else cuts short ends the program with a message. Close it with mapped_file_close.
 */
MUST_CHECK enum err mapped_file_open(const char *path, struct mapped_file *file);
void mapped_file_close(struct mapped_file *file);

#endif
