#include "model/id.h"

#include "base/ascii.h"

static bool is_id_character(char c)
{
    return ascii_is_alphanumeric(c) || c == '.' || c == '_' || c == ':' || c == '-';
}

bool id_is_valid(struct str id)
{
    if (id.len == 0 || id.len > ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (!is_id_character(id.ptr[i]))
            return false;
    const struct str end = STR(ID_RESERVED_END);
    return id.len < end.len || memcmp(id.ptr + id.len - end.len, end.ptr, end.len) != 0;
}
