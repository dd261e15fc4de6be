#include "base/buffer.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buffer_fini(struct buffer *buffer)
{
    free(buffer->ptr);
    *buffer = BUFFER_INIT;
}

void buffer_wipe(struct buffer *buffer)
{
    if (buffer->ptr != NULL)
        explicit_bzero(buffer->ptr, buffer->len);
    buffer_fini(buffer);
}

char *buffer_reserve(struct buffer *buffer, size_t size)
{
    if (buffer->capacity - buffer->len < size) {
        size_t capacity = buffer->capacity > 0 ? buffer->capacity : 256;
        while (capacity - buffer->len < size)
            capacity *= 2;
        char *ptr = realloc(buffer->ptr, capacity);
        if (ptr == NULL)
            abort();
        buffer->ptr = ptr;
        buffer->capacity = capacity;
    }
    return buffer->ptr + buffer->len;
}

void buffer_append(struct buffer *buffer, struct str text)
{
    if (text.len == 0)
        return;
    memcpy(buffer_reserve(buffer, text.len), text.ptr, text.len);
    buffer->len += text.len;
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    enum { ROOM = 1025 };
    char *to = buffer_reserve(buffer, ROOM);
    va_list args;
    va_start(args, format);
    int len = vsnprintf(to, ROOM, format, args);
    va_end(args);
    assert(len >= 0 && len < ROOM);
    buffer->len += (size_t)len;
}

/* The escape of a byte that may not stand in a JSON string as it is (RFC 8259, section 7), written to room. */
static struct str json_escape(unsigned char byte, char room[8])
{
    switch (byte) {
    case '"':
        return STR("\\\"");
    case '\\':
        return STR("\\\\");
    case '\n':
        return STR("\\n");
    case '\r':
        return STR("\\r");
    case '\t':
        return STR("\\t");
    default:
        snprintf(room, 8, "\\u%04x", byte);
        return str_from(room);
    }
}

void buffer_json_string(struct buffer *buffer, struct str text)
{
    if (text.ptr == NULL) {
        buffer_append(buffer, STR("null"));
        return;
    }
    buffer_reserve(buffer, text.len + 2);
    buffer_append(buffer, STR("\""));
    size_t done = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        char room[8];
        if (byte >= 0x20 && byte != '"' && byte != '\\')
            continue;
        buffer_append(buffer, (struct str){text.ptr + done, i - done});
        buffer_append(buffer, json_escape(byte, room));
        done = i + 1;
    }
    buffer_append(buffer, (struct str){text.ptr + done, text.len - done});
    buffer_append(buffer, STR("\""));
}

/* Writes `value` as exactly `count` decimal digits at `to` and returns where they end. */
static char *put_digits(char *to, int count, int64_t value)
{
    for (int i = count - 1; i >= 0; i--) {
        to[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return to + count;
}

static int count_digits(int64_t value)
{
    int count = 1;
    for (; value >= 10; value /= 10)
        count++;
    return count;
}

void buffer_json_number(struct buffer *buffer, double number)
{
    assert(isfinite(number));
    bool is_small = fabs(number) < 1e9;                     /* most are, and for them this is ten times as fast as printf */
    char *to = buffer_reserve(buffer, is_small ? 32 : 400); /* the longest double has 309 digits before its point */
    char *end;
    if (is_small) {
        int64_t millionths = llround(fabs(number) * 1e6);
        char *at = to;
        if (number < 0 && millionths > 0)
            *at++ = '-';
        at = put_digits(at, count_digits(millionths / 1000000), millionths / 1000000);
        *at++ = '.';
        end = put_digits(at, 6, millionths % 1000000);
    } else {
        end = to + snprintf(to, 400, "%.6f", number);
    }
    while (end[-1] == '0' && end[-2] != '.')
        end--;
    buffer->len += (size_t)(end - to);
}

/* Returns the days from 1970-01-01 to 1 January of `year`, in the Gregorian calendar. */
static int64_t days_before_year(int64_t year)
{
    int64_t past = year - 1;
    return past * 365 + past / 4 - past / 100 + past / 400 - 719162;
}

/* Splits days since 1970 into a date. gmtime_r would take a lock, for which threads that list workers would wait. */
static void civil_date(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    static const int days_before_month[2][13] = {
        {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365},
        {0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335, 366},
    };
    *year = 1970 + days / 365; /* too late because of leap days, by one year in this century */
    while (days_before_year(*year) > days)
        --*year;
    int64_t day_of_year = days - days_before_year(*year);
    const int *before = days_before_month[days_before_year(*year + 1) - days_before_year(*year) == 366];
    *month = 1;
    while (before[*month] <= day_of_year)
        ++*month;
    *day = day_of_year - before[*month - 1] + 1;
}

void buffer_json_time(struct buffer *buffer, int64_t milliseconds)
{
    const int64_t last = INT64_C(253402300799999); /* the end of year 9999 */
    milliseconds = milliseconds < 0 ? 0 : milliseconds > last ? last : milliseconds;
    int64_t year, month, day, of_day = milliseconds % 86400000;
    civil_date(milliseconds / 86400000, &year, &month, &day);
    char *to = buffer_reserve(buffer, 32), *at = to;
    *at++ = '"';
    at = put_digits(at, 4, year);
    *at++ = '-';
    at = put_digits(at, 2, month);
    *at++ = '-';
    at = put_digits(at, 2, day);
    *at++ = 'T';
    at = put_digits(at, 2, of_day / 3600000);
    *at++ = ':';
    at = put_digits(at, 2, of_day / 60000 % 60);
    *at++ = ':';
    at = put_digits(at, 2, of_day / 1000 % 60);
    *at++ = '.';
    at = put_digits(at, 3, of_day % 1000);
    *at++ = 'Z';
    *at++ = '"';
    buffer->len += (size_t)(at - to);
}
