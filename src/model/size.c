#include "model/size.h"

#include "base/ascii.h"

#include <math.h>
#include <stdio.h>

#define AMOUNTS_MAX 1024 /* the most sizes in one text, and the largest number before an "x" */

static char at(struct str text, size_t i)
{
    return i < text.len ? text.ptr[i] : '\0';
}

static void skip(struct str *text, size_t len)
{
    text->ptr += len;
    text->len -= len;
}

static void skip_space(struct str *text)
{
    while (text->len > 0 && ascii_is_space(text->ptr[0]))
        skip(text, 1);
}

/* Skips white space within a line. */
static void skip_blanks(struct str *text)
{
    while (text->len > 0 && (text->ptr[0] == ' ' || text->ptr[0] == '\t'))
        skip(text, 1);
}

static size_t count_digits(struct str text, size_t from)
{
    size_t end = from;
    while (ascii_is_digit(at(text, end)))
        end++;
    return end - from;
}

/*
 * Returns the length of the number at the front of `text` if it has groups of three digits, as in "24,564" or "1.234.567"; else 0.
 */
static size_t grouped_length(struct str text, char mark)
{
    size_t len = count_digits(text, 0), groups = 0;
    if (len < 1 || len > 3 || text.ptr[0] == '0')
        return 0;
    while (at(text, len) == mark && count_digits(text, len + 1) == 3) {
        len += 4;
        groups++;
    }
    bool goes_on = at(text, len) == mark && ascii_is_digit(at(text, len + 1));
    return goes_on || groups < (mark == ',' ? 1 : 2) ? 0 : len; /* "1.234" has a decimal point */
}

/* Returns the length of a number up to its decimal point; *mark: what separates its groups, 0: nothing. */
static size_t whole_length(struct str text, char *mark)
{
    static const char marks[] = ",.";
    for (*mark = ','; *mark != '\0'; *mark = *mark == ',' ? '.' : '\0') {
        size_t len = grouped_length(text, *mark);
        if (len > 0)
            return len;
    }
    /* "1.234,5": one group is enough if the other mark follows */
    size_t len = count_digits(text, 0);
    if (len >= 1 && len <= 3 && at(text, len) == marks[1] && count_digits(text, len + 1) == 3 && at(text, len + 4) == marks[0] &&
        ascii_is_digit(at(text, len + 5))) {
        *mark = '.';
        return len + 4;
    }
    return len;
}

/*
 * Takes a decimal number off the front of *text: "15", "15.6", "3,6", "24,564". strtod would also take "inf", "0x8" and "1e3".
 * In "24564,24564" the comma begins another number, because the first has four digits or more, and three or more follow.
 */
static bool take_number(struct str *text, double *number)
{
    char mark;
    size_t whole = whole_length(*text, &mark);
    double value = 0;
    if (whole == 0)
        return false;
    for (size_t i = 0; i < whole; i++)
        if (ascii_is_digit(text->ptr[i]))
            value = value * 10 + (text->ptr[i] - '0');
    skip(text, whole);
    char point = at(*text, 0);
    size_t decimals = count_digits(*text, 1);
    if (point == '.' && decimals == 0)
        return false;
    bool is_decimal = (point == '.' && mark != '.') || (point == ',' && mark != ',' && decimals > 0 && (whole < 4 || decimals < 3));
    if (is_decimal) {
        for (size_t i = 1; i <= decimals; i++)
            value = value * 10 + (text->ptr[i] - '0');
        value /= pow(10, (double)decimals);
        skip(text, decimals + 1);
    }
    *number = value;
    return at(*text, 0) != '.';
}

/* Takes a unit off the front of *text. Returns its power of 1000 or 1024, 0 for bytes; -1: there is none; -2: it is no unit. */
static int take_unit(struct str *text, bool *is_binary)
{
    static const char letters[] = "kmgtp";
    char room[8] = "";
    size_t len = 0;
    for (; len < text->len; len++) {
        char c = text->ptr[len];
        c = ascii_lower(c);
        if (c < 'a' || c > 'z' || c == 'x')
            break;
        if (len == sizeof(room) - 1)
            return -2;
        room[len] = c;
    }
    struct str unit = {room, len};
    skip(text, len);
    *is_binary = false;
    if (len == 0)
        return -1;
    if (str_eq(unit, STR("b")) || str_eq(unit, STR("byte")) || str_eq(unit, STR("bytes")))
        return 0;
    const char *letter = strchr(letters, room[0]);
    if (letter == NULL)
        return -2;
    skip(&unit, 1);
    *is_binary = at(unit, 0) == 'i';
    if (unit.len == 0 || str_eq(unit, STR("b")) || str_eq(unit, STR("i")) || str_eq(unit, STR("ib")))
        return (int)(letter - letters) + 1;
    return -2;
}

struct size size_of_number(double number)
{
    const double binary_gb = 1024.0 * 1024 * 1024;
    if (number > 1e8)
        return (struct size){number, number, number / binary_gb};
    if (number > 1000)
        return (struct size){number * 1024 * 1024, number * 1024 * 1024, number / 1024};
    return (struct size){number * 1e9, number * 1e9, number};
}

/* Takes "x", "X", "*" or "×" off the front of *text, with the white space around it; false if there is none. */
static bool take_times(struct str *text)
{
    struct str rest = *text;
    skip_blanks(&rest);
    size_t len = at(rest, 0) == 'x' || at(rest, 0) == 'X' || at(rest, 0) == '*' ? 1 : 0;
    if (rest.len >= 2 && memcmp(rest.ptr, "\xc3\x97", 2) == 0)
        len = 2;
    if (len == 0)
        return false;
    skip(&rest, len);
    skip_blanks(&rest);
    *text = rest;
    return true;
}

static bool is_count(double number)
{
    return number >= 1 && number <= AMOUNTS_MAX && floor(number) >= number;
}

/* Takes a size off the front of *text, with a count before or after it: "8 GB", "2 x 24 GB", "24 GB x 2". */
static bool take_amount(struct str *text, struct size *size)
{
    double number, count = 1;
    bool is_binary;
    if (!take_number(text, &number))
        return false;
    if (take_times(text)) {
        count = number;
        if (!take_number(text, &number))
            return false;
    }
    skip_blanks(text);
    int unit = take_unit(text, &is_binary);
    if (unit == -2 || (take_times(text) && (count > 1 || !take_number(text, &count))) || !is_count(count))
        return false;
    if (unit == -1) {
        *size = size_of_number(number);
    } else {
        size->bytes = size->largest = number * pow(is_binary ? 1024 : 1000, unit);
        size->shown = number * pow(1024, unit - 3);
    }
    size->bytes *= count;
    size->shown *= count;
    return true;
}

static bool is_separator(char c)
{
    return c == ',' || c == ';' || c == '+' || c == '|' || c == '\n' || c == '\r';
}

/* Takes separators and white space off the front of *text; false if there is no separator. */
static bool take_separator(struct str *text)
{
    bool found = false;
    for (; text->len > 0; skip(text, 1)) {
        char c = text->ptr[0];
        if (is_separator(c))
            found = true;
        else if (!ascii_is_space(c))
            break;
    }
    return found;
}

/*
 * Skips words before a size: its label ("MemTotal: 16318344 kB", "GPU 0: 24 GB"), and entries without a digit if others follow: a
 * headline, or "[N/A]" for a card that tells no size.
 */
static void skip_words(struct str *text)
{
    while (text->len > 0) {
        size_t len = 0, label = 0, end = 0;
        bool has_letter = false, has_digit = false;
        for (; len < text->len && !is_separator(text->ptr[len]); len++) {
            char c = text->ptr[len];
            if (c == ':' && has_letter)
                label = len + 1;
            has_letter = has_letter || ascii_is_letter(c);
            has_digit = has_digit || ascii_is_digit(c);
            end = ascii_is_space(c) ? end : len + 1;
        }
        if (has_digit && label > 0 &&
            (ascii_is_letter(text->ptr[end - 1]) || text->ptr[end - 1] == ')')) { /* "error: 404" has no unit */
            skip(text, label);
            skip_space(text);
        }
        if (has_digit || !has_letter || len == text->len)
            return;
        skip(text, len);
        take_separator(text);
    }
}

/* Skips a remark in parentheses: "16.0 GB (15.9 GB usable)". */
static void skip_remark(struct str *text)
{
    struct str rest = *text;
    skip_blanks(&rest);
    const char *end = at(rest, 0) == '(' ? memchr(rest.ptr, ')', rest.len) : NULL;
    if (end == NULL)
        return;
    skip(&rest, (size_t)(end - rest.ptr) + 1);
    *text = rest;
}

/* Whether the rest of the text is one entry without a digit. */
static bool is_wordy(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (ascii_is_digit(text.ptr[i]) || is_separator(text.ptr[i]))
            return false;
    return true;
}

bool size_parse(struct str text, struct size *size)
{
    struct size all = {0, 0, 0};
    skip_space(&text);
    if (text.len == 0)
        return false;
    for (int count = 0; text.len > 0; count++) {
        struct size each;
        skip_words(&text);
        if (count > 0 && is_wordy(text))
            break;
        if (count == AMOUNTS_MAX || !take_amount(&text, &each))
            return false;
        skip_remark(&text);
        all.bytes += each.bytes;
        all.shown += each.shown;
        all.largest = fmax(all.largest, each.largest);
        if (!take_separator(&text) && text.len > 0)
            return false;
    }
    if (!isfinite(all.bytes))
        return false;
    *size = all;
    return true;
}

/* Appends a number with three significant digits, and no zeros at the end of its decimals. */
static void write_short(struct buffer *out, double number)
{
    char room[32];
    int decimals = number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2;
    int len = snprintf(room, sizeof(room), "%.*f", decimals, fmin(number, 1e15));
    while (decimals > 0 && room[len - 1] == '0') {
        len--;
        decimals--;
    }
    if (room[len - 1] == '.')
        len--;
    buffer_append(out, (struct str){room, (size_t)len});
}

void size_write(struct buffer *out, struct size size)
{
    if (size.shown < 1) {
        write_short(out, floor(size.shown * 1024 + 0.5));
        buffer_append(out, STR(" MB"));
    } else if (size.shown < 1023.5) {
        write_short(out, size.shown);
        buffer_append(out, STR(" GB"));
    } else {
        write_short(out, size.shown / 1024);
        buffer_append(out, STR(" TB"));
    }
}
