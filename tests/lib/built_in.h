/* The built-in catalogue, for tests of modules that use it. It gets no environment variables. */
#ifndef LIB_BUILT_IN_H
#define LIB_BUILT_IN_H

#include "model/catalogue_file.h"

#include <stdlib.h>

static inline char *no_variable(const char *variable)
{
    (void)variable;
    return NULL;
}

/* Set-up function of a test group: makes the built-in catalogue the catalogue. */
static inline int use_built_in_catalogue(void **state)
{
    (void)state;
    static struct catalogue_file file;
    struct buffer faults = BUFFER_INIT;
    if (file.services == NULL && catalogue_file_built_in(no_variable, &file, &faults) != ERR_NONE)
        abort();
    catalogue_use(file.services, file.count);
    return 0;
}

#endif
