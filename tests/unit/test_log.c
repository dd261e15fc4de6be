#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* The line, without its end, that is written about `value`, in `room`. */
static char *line_of(struct str value, char room[512])
{
    int ends[2], old = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    log_event(LOG_INFO, "seen", "it was seen", log_str("value", value), log_number("count", 3));
    dup2(old, STDERR_FILENO);
    close(old);
    close(ends[1]);
    ssize_t len = read(ends[0], room, 511);
    close(ends[0]);
    assert_true(len > 0);
    assert_int_equal(room[len - 1], '\n');
    room[len - 1] = '\0';
    return room;
}

/* Values, and how they stand in a line of text. */
static const struct {
    struct str value;
    const char *text;
} texts[] = {
    {STR("worker-1:a.b_c"), "worker-1:a.b_c"},
    {STR("/a\\b~"), "/a\\b~"},
    {STR("two words"), "\"two words\""},
    {STR("a=b"), "\"a=b\""},
    {STR("a\"b"), "\"a\\\"b\""},
    {STR("a \\ b"), "\"a \\\\ b\""},
    {STR("a\n12:00:00.000 error: b"), "\"a\\x0a12:00:00.000 error: b\""},
    {STR("\x1b[31m\t\r\x7f"), "\"\\x1b[31m\\x09\\x0d\\x7f\""},
    {STR("a\0b"), "\"a\\x00b\""},
    {STR("\xc2\x9b\xff"), "\"\\xc2\\x9b\\xff\""},
};

static void test_text(void **state)
{
    (void)state;
    log_init(LOG_INFO, false);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char room[512], expected[256];
        const char *line = line_of(texts[i].value, room);
        snprintf(expected, sizeof(expected), " it was seen  value=%s  count=3", texts[i].text);
        assert_string_equal(line + sizeof("12:00:00.000") - 1, expected);
    }
}

/* Values, and how they stand in a line of JSON. */
static const struct {
    struct str value;
    const char *json;
} jsons[] = {
    {STR("two \"words\"\n"), "two \\\"words\\\"\\n"},
    {STR("J\xc3\xbcrgen \xe2\x82\xac \xf0\x9f\x98\x80"), "J\xc3\xbcrgen \xe2\x82\xac \xf0\x9f\x98\x80"},
    {STR("\xff"), "\xef\xbf\xbd"},
    {STR("a\xc3"), "a\xef\xbf\xbd"},
    {STR("\xc3("), "\xef\xbf\xbd("},
    {STR("\xe2\x82"), "\xef\xbf\xbd\xef\xbf\xbd"},
    {STR("\xc0\xaf"), "\xef\xbf\xbd\xef\xbf\xbd"},
    {STR("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {STR("\xf4\x90\x80\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
};

static void test_json(void **state)
{
    (void)state;
    log_init(LOG_INFO, true);
    for (size_t i = 0; i < sizeof(jsons) / sizeof(jsons[0]); i++) {
        char room[512], expected[256];
        const char *line = line_of(jsons[i].value, room);
        snprintf(expected, sizeof(expected), "\"message\":\"it was seen\",\"value\":\"%s\",\"count\":3}", jsons[i].json);
        assert_non_null(strstr(line, expected));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
