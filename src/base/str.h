/*
 * A string is a pointer and a length: not NUL-terminated, not owned.
 * An absent string has a NULL pointer; an empty one does not.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/ascii.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *ptr;
    size_t len;
};

/* The str of a string literal. */
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})

/* For printf's "%.*s". */
#define STR_PRINTF(s) (int)(s).len, (s).ptr

/* The str of a NUL-terminated string; of NULL, the absent one. */
static inline struct str str_from(const char *text)
{
    return (struct str){text, text != NULL ? strlen(text) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Whether both are equal, if the case of ASCII letters is ignored. */
static inline bool str_eq_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
            return false;
    return true;
}

/* The text without the blanks and tabs at both ends. */
static inline struct str str_trim(struct str text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Cuts the part before `separator` off the front of *rest and returns it. Without a separator it returns the whole text. */
static inline struct str str_cut(struct str *rest, char separator)
{
    const char *at = rest->ptr != NULL ? memchr(rest->ptr, separator, rest->len) : NULL;
    struct str head = *rest;
    if (at == NULL) {
        *rest = (struct str){NULL, 0};
        return head;
    }
    head.len = (size_t)(at - rest->ptr);
    rest->ptr = at + 1;
    rest->len -= head.len + 1;
    return head;
}

/* A hash of the text (FNV-1a). It is no protection against texts that somebody chooses so that they collide. */
static inline uint64_t str_hash(struct str text)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.ptr[i]) * 1099511628211u;
    return hash;
}

/* Whether `word` is an element of a list with commas between. */
static inline bool str_list_has(struct str list, struct str word)
{
    while (list.len > 0)
        if (str_eq(str_cut(&list, ','), word))
            return true;
    return false;
}

#endif
