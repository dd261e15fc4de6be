#include "base/mask.h"

#include "base/ascii.h"

#include <string.h>

/* How tokens begin, and how many characters from there on may be shown. */
static const struct {
    const char *begin;
    size_t shown;
} kinds[] = {{"rmaj_", 18}, {"rmaa_", 18}, {"eyJhbGciOi", 10}};

static bool is_of_token(char c)
{
    return ascii_is_alphanumeric(c) || c == '_' || c == '-' || c == '.';
}

void mask_tokens(char *text, size_t len)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t at = 0;
        for (char *found; (found = memmem(text + at, len - at, kinds[i].begin, strlen(kinds[i].begin))) != NULL;) {
            size_t begin = (size_t)(found - text);
            for (at = begin; at < len && is_of_token(text[at]); at++)
                if (at >= begin + kinds[i].shown)
                    text[at] = '*';
        }
    }
}
