#include "base/json_writer.h"

#include "base/digits.h"

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
    char text[1 + DIGITS_MAX] = "-";
    size_t sign = number < 0, len = digits_decimal(number < 0 ? -(uint64_t)number : (uint64_t)number, text + sign);
    json_add_raw(out, key, (struct str){text, sign + len});
}
