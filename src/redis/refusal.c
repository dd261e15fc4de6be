#include "redis/refusal.h"

#include "base/log_repeat.h"

#include <stdio.h>
#include <stdlib.h>

enum err refusal_read(struct str text)
{
    static const char in_script[] = "ERR The user executing the script can't"; /* Redis 7.0 says this for NOPERM in a script */
    if (text.len >= sizeof(in_script) - 1 && memcmp(text.ptr, in_script, sizeof(in_script) - 1) == 0)
        return ERR_NOT_PERMITTED;
    return err_from_reply(text);
}

struct str refusal_text(struct str text)
{
    const char *args = text.len > 0 ? memmem(text.ptr, text.len, ", with args", 11) : NULL;
    return args != NULL ? (struct str){text.ptr, (size_t)(args - text.ptr)} : text;
}

/* Returns what follows `mark` in `text`; absent if `text` does not have it. */
static struct str str_behind(struct str text, struct str mark)
{
    const char *at = text.len >= mark.len ? memmem(text.ptr, text.len, mark.ptr, mark.len) : NULL;
    if (at == NULL)
        return (struct str){NULL, 0};
    at += mark.len;
    return (struct str){at, (size_t)(text.ptr + text.len - at)};
}

/* Returns the capital letters with which a text begins; absent if there are none. */
static struct str leading_word(struct str text)
{
    size_t len = 0;
    while (len < text.len && text.ptr[len] >= 'A' && text.ptr[len] <= 'Z')
        len++;
    return len > 0 ? (struct str){text.ptr, len} : (struct str){NULL, 0};
}

/*
 * Returns the command that failed in a script. The error names the command (as lib/try.lua does), or the line of the script that
 * calls it ("user_script:12"). Absent if it names neither.
 */
static struct str failed_command(enum script script, struct str text)
{
    struct str named = leading_word(str_behind(text, STR(", calling ")));
    struct str number = str_behind(text, STR("user_script:"));
    if (named.ptr != NULL || number.ptr == NULL)
        return named;
    char digits[12];
    snprintf(digits, sizeof(digits), "%.*s", STR_PRINTF(number));
    return leading_word(str_behind(script_line(script, strtol(digits, NULL, 10)), STR("call('")));
}

void refusal_log(enum script script, struct str text)
{
    bool is_script = script < SCRIPT_COUNT;
    log_repeatable(LOG_ERROR, "redis_error", "Redis refused a command", 3, log_str("reply", refusal_text(text)),
                   log_text("script", is_script ? script_texts[script].name : ""),
                   log_str("command", is_script ? failed_command(script, text) : (struct str){NULL, 0}));
}
