/*
 * What each fuzzer needs to say what must hold.
 */
#ifndef TESTS_FUZZ_MUST_H
#define TESTS_FUZZ_MUST_H

#include "base/faults.h"

#include <stdbool.h>
#include <stdlib.h>

static inline void must(bool condition)
{
    if (!condition)
        abort();
}

/* There are faults, and each has its field and its sentence. */
static inline void must_be_faults(const struct faults *faults)
{
    must(faults->count > 0 && faults->count <= FAULTS_MAX + 1);
    for (size_t i = 0; i < faults->count; i++)
        must(faults->items[i].field[0] != '\0' && faults->items[i].message[0] != '\0');
}

#endif
