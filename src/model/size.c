#include "model/size.h"

#include <math.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct str trim(struct str text)
{
    while (text.len > 0 && is_space(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && is_space(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

static void skip(struct str *text, size_t len)
{
    text->ptr += len;
    text->len -= len;
}

/* Takes digits off the front of *text and returns how many there were; *value becomes value * 10^digits + digits. */
static size_t take_digits(struct str *text, double *value)
{
    size_t len = 0;
    while (len < text->len && is_digit(text->ptr[len]))
        *value = *value * 10 + (text->ptr[len++] - '0');
    skip(text, len);
    return len;
}

/* Takes a decimal number off the front of *text: "15", "15.6". strtod would also take "inf", "0x8", "1e3" and a locale's comma. */
static bool take_number(struct str *text, double *number)
{
    double value = 0;
    if (take_digits(text, &value) == 0)
        return false;
    if (text->len > 0 && text->ptr[0] == '.') {
        skip(text, 1);
        size_t decimals = take_digits(text, &value);
        if (decimals == 0)
            return false;
        value /= pow(10, (double)decimals);
    }
    *number = value;
    return true;
}

static bool unit_parse(struct str unit, double *factor)
{
    static const struct {
        struct str name;
        double factor;
    } units[] = {
        {{"", 0}, 1e9},
        {{"B", 1}, 1},
        {{"K", 1}, 1e3},
        {{"KB", 2}, 1e3},
        {{"KiB", 3}, 1024.0},
        {{"M", 1}, 1e6},
        {{"MB", 2}, 1e6},
        {{"MiB", 3}, 1024.0 * 1024},
        {{"G", 1}, 1e9},
        {{"GB", 2}, 1e9},
        {{"GiB", 3}, 1024.0 * 1024 * 1024},
        {{"T", 1}, 1e12},
        {{"TB", 2}, 1e12},
        {{"TiB", 3}, 1024.0 * 1024 * 1024 * 1024},
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (str_eq_nocase(unit, units[i].name)) {
            *factor = units[i].factor;
            return true;
        }
    }
    return false;
}

bool size_parse(struct str text, double *bytes)
{
    double number, factor;
    text = trim(text);
    if (text.len == 0)
        return false;
    if (!take_number(&text, &number) || !unit_parse(trim(text), &factor))
        return false;
    if (!isfinite(number * factor))
        return false;
    *bytes = number * factor;
    return true;
}
