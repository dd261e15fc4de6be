#include "base/json_writer.h"

/* Whether a value ends with this byte: a string, an object, an array, a number, or true, false and null. */
static bool ends_value(char last)
{
    return last == '"' || last == '}' || last == ']' || (last >= '0' && last <= '9') || last == 'e' || last == 'l';
}

void json_begin_value(struct buffer *out, struct str key)
{
    char *to = buffer_reserve(out, key.len + 4), *at = to;
    if (out->len > 0 && ends_value(to[-1]))
        *at++ = ',';
    if (key.ptr != NULL) {
        *at++ = '"';
        memcpy(at, key.ptr, key.len);
        at += key.len;
        *at++ = '"';
        *at++ = ':';
    }
    out->len += (size_t)(at - to);
}

void json_add_key(struct buffer *out, struct str name)
{
    json_add_text(out, NULL, name);
    buffer_append(out, STR(":"));
}

void json_add_integer(struct buffer *out, const char *key, int64_t number)
{
    char digits[20], *at = digits + sizeof(digits); /* INT64_MIN has 19 digits and a sign */
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (number < 0)
        *--at = '-';
    json_add_raw(out, key, (struct str){at, (size_t)(digits + sizeof(digits) - at)});
}
