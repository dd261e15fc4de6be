#include "base/file.h"

#include <errno.h>
#include <stdio.h>

bool file_read(const char *path, size_t max, struct buffer *out)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    size_t len = fread(buffer_reserve(out, max + 1), 1, max + 1, file);
    int cause = ferror(file) ? errno : len > max ? EFBIG : 0;
    out->len += len;
    fclose(file);
    errno = cause;
    return cause == 0;
}
