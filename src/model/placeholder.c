#include "model/placeholder.h"

#include "base/ascii.h"

#define WORD_MAX 16 /* longer than any of the words below */

/* Without punctuation and white space: "n/a" is "na". */
static const char *const words[] = {
    "none",   "null",         "nil",           "na",         "nan",   "undefined", "unknown", "unset",
    "notset", "notavailable", "notapplicable", "notdefined", "false",
};

/*
 * Returns the bytes of the punctuation or white space character with which `text` begins; 0 if it begins with none. Non-ASCII
 * dashes, quotes and blanks count, too.
 */
static size_t punctuation(struct str text)
{
    unsigned char c = (unsigned char)text.ptr[0];
    if (c < 0x80)
        return ascii_is_alphanumeric(text.ptr[0]) ? 0 : 1;
    if (text.len >= 3 && memcmp(text.ptr, "\xe2\x80", 2) == 0)
        return 3;
    return text.len >= 2 && memcmp(text.ptr, "\xc2\xa0", 2) == 0 ? 2 : 0;
}

/*
 * Copies the letters and digits of `text` to `room`, in lower case. Returns their number, at most WORD_MAX.
 */
static size_t bare(struct str text, char room[WORD_MAX])
{
    size_t len = 0;
    while (text.len > 0 && len < WORD_MAX) {
        size_t skipped = punctuation(text);
        if (skipped == 0) {
            char c = text.ptr[0];
            room[len++] = ascii_lower(c);
            skipped = 1;
        }
        text.ptr += skipped;
        text.len -= skipped;
    }
    return len;
}

static bool is_word(struct str word)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (str_eq(word, str_from(words[i])))
            return true;
    return false;
}

bool placeholder_is(struct str text)
{
    char room[WORD_MAX];
    size_t len = bare(text, room);
    return len == 0 || is_word((struct str){room, len});
}

bool placeholder_is_id(struct str text)
{
    char room[WORD_MAX];
    size_t len = bare(text, room);
    while (text.len > 0 && (text.ptr[0] == ' ' || (text.ptr[0] >= '\t' && text.ptr[0] <= '\r'))) {
        text.ptr++;
        text.len--;
    }
    return text.len == 0 || is_word((struct str){room, len});
}
