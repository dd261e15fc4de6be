#include "model/iso_time.h"

#include "base/ascii.h"

#include <time.h>

#define END_OF_9999 INT64_C(253402300800000)
#define FRACTION_MAX 9 /* digits */

static bool take_char(struct str *text, char c)
{
    if (text->len == 0 || text->ptr[0] != c)
        return false;
    text->ptr++;
    text->len--;
    return true;
}

/* Takes a number of exactly `digits` digits, from low to high. */
static bool take_number(struct str *text, size_t digits, int low, int high, int *out)
{
    int value = 0;
    if (text->len < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (!ascii_is_digit(text->ptr[i]))
            return false;
        value = value * 10 + (text->ptr[i] - '0');
    }
    text->ptr += digits;
    text->len -= digits;
    *out = value;
    return value >= low && value <= high;
}

static int days_in(int month, int year)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap);
}

/* Takes ".123456", if it is there, as milliseconds. */
static bool take_fraction(struct str *text, int *milliseconds)
{
    *milliseconds = 0;
    if (!take_char(text, '.'))
        return true;
    int unit = 100;
    size_t digits = 0;
    for (; text->len > 0 && ascii_is_digit(text->ptr[0]); digits++) {
        *milliseconds += (text->ptr[0] - '0') * unit;
        unit /= 10;
        text->ptr++;
        text->len--;
    }
    return digits > 0 && digits <= FRACTION_MAX;
}

/* Takes "Z", "+01:00", "+0100", "+01" or nothing, up to the end, as minutes east of UTC. */
static bool take_zone(struct str *text, int *minutes)
{
    *minutes = 0;
    if (take_char(text, 'Z') || take_char(text, 'z') || text->len == 0)
        return text->len == 0;
    int sign = take_char(text, '-') ? -1 : 1, hour, minute = 0;
    if ((sign == 1 && !take_char(text, '+')) || !take_number(text, 2, 0, 23, &hour))
        return false;
    if (text->len > 0) {
        take_char(text, ':');
        if (!take_number(text, 2, 0, 59, &minute))
            return false;
    }
    *minutes = sign * (hour * 60 + minute);
    return text->len == 0;
}

bool iso_time_parse(struct str text, int64_t *milliseconds)
{
    struct tm date = {.tm_isdst = 0};
    int year, month, fraction, zone;
    if (!take_number(&text, 4, 1970, 9999, &year) || !take_char(&text, '-') || !take_number(&text, 2, 1, 12, &month) ||
        !take_char(&text, '-') || !take_number(&text, 2, 1, days_in(month, year), &date.tm_mday) ||
        !(take_char(&text, 'T') || take_char(&text, ' ')))
        return false;
    if (!take_number(&text, 2, 0, 23, &date.tm_hour) || !take_char(&text, ':') || !take_number(&text, 2, 0, 59, &date.tm_min) ||
        !take_char(&text, ':') || !take_number(&text, 2, 0, 59, &date.tm_sec))
        return false;
    if (!take_fraction(&text, &fraction) || !take_zone(&text, &zone))
        return false;
    date.tm_year = year - 1900;
    date.tm_mon = month - 1;
    int64_t moment = ((int64_t)timegm(&date) - zone * 60) * 1000 + fraction;
    if (moment < 0 || moment >= END_OF_9999)
        return false;
    *milliseconds = moment;
    return true;
}
