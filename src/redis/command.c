#include "redis/command.h"

/* Appends `mark`, the decimal digits of `number` and CRLF: "$12\r\n". */
static void add_length(struct buffer *out, char mark, size_t number)
{
    char digits[24];
    size_t at = sizeof(digits);
    digits[--at] = '\n';
    digits[--at] = '\r';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    digits[--at] = mark;
    buffer_append(out, (struct str){digits + at, sizeof(digits) - at});
}

void command_begin(struct buffer *out, size_t count)
{
    add_length(out, '*', count);
}

void command_add(struct buffer *out, struct str text)
{
    add_length(out, '$', text.len);
    buffer_append(out, text);
    buffer_append(out, STR("\r\n"));
}

void command_add_number(struct buffer *out, long long number)
{
    char digits[24];
    size_t at = sizeof(digits);
    unsigned long long rest = number < 0 ? 0 - (unsigned long long)number : (unsigned long long)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        digits[--at] = '-';
    command_add(out, (struct str){digits + at, sizeof(digits) - at});
}

void command_auth(struct buffer *out, const char *user, const char *password)
{
    bool named = user[0] != '\0';
    command_begin(out, named ? 3 : 2);
    command_add(out, STR("AUTH"));
    if (named)
        command_add(out, str_from(user));
    command_add(out, str_from(password));
}

size_t command_add_pair(struct buffer *command, struct str name, struct str value)
{
    if (value.len == 0)
        return 0;
    command_add(command, name);
    command_add(command, value);
    return 2;
}
