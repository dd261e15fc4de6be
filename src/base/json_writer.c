#include "base/json_writer.h"

/* Whether a value ends with this byte: a string, an object, an array, a number, or true, false and null. */
static bool ends_value(char last)
{
    return last == '"' || last == '}' || last == ']' || (last >= '0' && last <= '9') || last == 'e' || last == 'l';
}

/* Writes what stands between the value before and this one. */
static void begin_value(struct buffer *out, const char *key)
{
    struct str name = str_from(key);
    char *to = buffer_reserve(out, name.len + 4), *at = to;
    if (out->len > 0 && ends_value(to[-1]))
        *at++ = ',';
    if (name.ptr != NULL) {
        *at++ = '"';
        memcpy(at, name.ptr, name.len);
        at += name.len;
        *at++ = '"';
        *at++ = ':';
    }
    out->len += (size_t)(at - to);
}

void json_begin_object(struct buffer *out, const char *key)
{
    begin_value(out, key);
    buffer_append(out, STR("{"));
}

void json_end_object(struct buffer *out)
{
    buffer_append(out, STR("}"));
}

void json_begin_array(struct buffer *out, const char *key)
{
    begin_value(out, key);
    buffer_append(out, STR("["));
}

void json_end_array(struct buffer *out)
{
    buffer_append(out, STR("]"));
}

void json_add_key(struct buffer *out, struct str name)
{
    begin_value(out, NULL);
    buffer_json_string(out, name);
    buffer_append(out, STR(":"));
}

void json_add_text(struct buffer *out, const char *key, struct str text)
{
    begin_value(out, key);
    buffer_json_string(out, text);
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
    begin_value(out, key);
    buffer_append(out, (struct str){at, (size_t)(digits + sizeof(digits) - at)});
}

void json_add_number(struct buffer *out, const char *key, double number)
{
    begin_value(out, key);
    buffer_json_number(out, number);
}

void json_add_bool(struct buffer *out, const char *key, bool value)
{
    json_add_raw(out, key, value ? STR("true") : STR("false"));
}

void json_add_null(struct buffer *out, const char *key)
{
    json_add_raw(out, key, STR("null"));
}

void json_add_time(struct buffer *out, const char *key, int64_t milliseconds)
{
    begin_value(out, key);
    buffer_json_time(out, milliseconds);
}

void json_add_raw(struct buffer *out, const char *key, struct str json)
{
    begin_value(out, key);
    buffer_append(out, json);
}
