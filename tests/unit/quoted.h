/*
 * JSON in tests has single quotes in place of double ones, so that it can be read. Include this behind cmocka.h.
 */
#ifndef TESTS_QUOTED_H
#define TESTS_QUOTED_H

#include "base/str.h"

#include <stdlib.h>

/* Returns a copy with the real quotes, which ends where the text ends. The caller frees it. */
static inline struct str quote(const char *text)
{
    size_t len = strlen(text);
    char *copy = malloc(len + 1);
    assert_non_null(copy);
    for (size_t i = 0; i < len; i++)
        copy[i] = text[i] == '\'' ? '"' : text[i];
    return (struct str){copy, len};
}

/* Compares a text with the expected one, in which ' stands for "; NULL: it must be absent. */
static inline void expect_text(struct str found, const char *expected)
{
    if (expected == NULL) {
        assert_null(found.ptr);
        return;
    }
    struct str text = quote(expected);
    if (!str_eq(found, text))
        fail_msg("\"%.*s\" instead of \"%.*s\"", STR_PRINTF(found), STR_PRINTF(text));
    free((char *)text.ptr);
}

#endif
