#include "model/minify.h"

size_t json_minify(struct str json, char *to)
{
    size_t len = 0;
    bool in_string = false;
    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i];
        if (!in_string && (c == ' ' || c == '\n' || c == '\r' || c == '\t'))
            continue;
        to[len++] = c;
        if (in_string && c == '\\')
            to[len++] = json.ptr[++i];
        else if (c == '"')
            in_string = !in_string;
    }
    return len;
}
