#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log_repeat.h"

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
    {STR("rmaj_abcdefghijkl_secret-Secret"), "rmaj_abcdefghijkl_*************"},
    {STR("/x/rmaa_abcdefghijkl_se?y=rmaa_abcdefghijkl_cr"), "\"/x/rmaa_abcdefghijkl_**?y=rmaa_abcdefghijkl_**\""},
    {STR("eyJhbGciOiJFUzI1NiJ9.e30.c2ln/eyJhbGciOiI"), "eyJhbGciOi*******************/eyJhbGciOi*"},
    {STR("rmaj_"), "rmaj_"},
    {STR("rmaj_abcdefghijkl_"), "rmaj_abcdefghijkl_"},
};

static void test_text(void **state)
{
    (void)state;
    log_init(LOG_INFO, false);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char room[512], expected[256];
        const char *line = line_of(texts[i].value, room);
        snprintf(expected, sizeof(expected), " info  it was seen  value=%s  count=3", texts[i].text);
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

/* Where stderr goes while lines are counted. */
struct capture {
    int reader, stderr_before;
    char text[65536];
};

static void capture_begin(struct capture *capture)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    capture->reader = ends[0];
    capture->stderr_before = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    fcntl(capture->reader, F_SETFL, O_NONBLOCK);
}

/* The lines since the last call go to capture->text; returns their number. */
static int take_lines(struct capture *capture)
{
    size_t len = 0;
    ssize_t got;
    while ((got = read(capture->reader, capture->text + len, sizeof(capture->text) - 1 - len)) > 0)
        len += (size_t)got;
    capture->text[len] = '\0';
    int lines = 0;
    for (size_t i = 0; i < len; i++)
        lines += capture->text[i] == '\n';
    return lines;
}

static void capture_end(struct capture *capture)
{
    dup2(capture->stderr_before, STDERR_FILENO);
    close(capture->stderr_before);
    close(capture->reader);
}

static void fail_at(double status, const char *route, double ms)
{
    log_repeatable(LOG_WARN, "request", "failed", 2, log_number("status", status), log_text("route", route), log_number("ms", ms));
}

static void test_the_first_of_a_kind_is_told_the_others_are_counted(void **state)
{
    (void)state;
    static struct capture capture;
    log_init(LOG_INFO, false);
    capture_begin(&capture);
    for (int i = 0; i < 1000; i++)
        fail_at(503, "/register", i);
    assert_int_equal(take_lines(&capture), 1);
    assert_non_null(strstr(capture.text, " warn  failed    status=503  route=/register  ms=0\n"));
    fail_at(504, "/register", 1);
    fail_at(503, "/heartbeat", 1);
    log_repeatable(LOG_ERROR, "request", "failed", 2, log_number("status", 503), log_text("route", "/register"));
    log_repeatable(LOG_WARN, "other", "failed", 2, log_number("status", 503), log_text("route", "/register"));
    assert_int_equal(take_lines(&capture), 4);
    log_repeat_tick(clock_ms());
    assert_int_equal(take_lines(&capture), 0);

    /* no more come: the number is told, of those that came more than once */
    log_repeat_tick(clock_ms() + LOG_REPEAT_MS);
    assert_int_equal(take_lines(&capture), 1);
    assert_non_null(strstr(capture.text, " warn  failed again  status=503  route=/register  times=999  seconds=1"));
    fail_at(503, "/register", 7);
    assert_int_equal(take_lines(&capture), 1);
    assert_non_null(strstr(capture.text, "  ms=7\n"));

    fail_at(503, "/register", 8);
    log_repeat_flush();
    assert_int_equal(take_lines(&capture), 1);
    assert_non_null(strstr(capture.text, "times=1"));
    log_repeat_flush();
    assert_int_equal(take_lines(&capture), 0);
    capture_end(&capture);
}

/* Of a text that is too long to be kept whole, the line that tells the number has whole words. */
static void test_long_texts_are_told_again_in_whole_words(void **state)
{
    (void)state;
    static struct capture capture;
    char why[400] = "what Redis has answered:";
    log_init(LOG_INFO, false);
    capture_begin(&capture);
    log_repeatable(LOG_WARN, "lost", "Redis is lost", 1,
                   log_text("why", "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."));
    log_repeatable(LOG_WARN, "lost", "Redis is lost", 1,
                   log_text("why", "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."));
    log_repeat_flush();
    assert_int_equal(take_lines(&capture), 2);
    const char *again = strstr(capture.text, "Redis is lost again");
    assert_non_null(again);
    assert_non_null(strstr(again, "why=\"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\""));

    while (strlen(why) < 390)
        strncat(why, " wordword", sizeof(why) - strlen(why) - 1);
    log_repeatable(LOG_WARN, "lost", "Redis is lost", 1, log_text("why", why));
    log_repeatable(LOG_WARN, "lost", "Redis is lost", 1, log_text("why", why));
    log_repeat_flush();
    assert_int_equal(take_lines(&capture), 2);
    again = strstr(capture.text, "Redis is lost again");
    assert_non_null(again);
    assert_non_null(strstr(again, " wordword...\""));
    capture_end(&capture);
}

static void test_levels_hold_for_what_repeats(void **state)
{
    (void)state;
    static struct capture capture;
    log_init(LOG_ERROR, false);
    capture_begin(&capture);
    fail_at(503, "/register", 1);
    fail_at(503, "/register", 1);
    log_repeat_flush();
    assert_int_equal(take_lines(&capture), 0);
    capture_end(&capture);
}

static void test_kinds_without_number_don_t_flood(void **state)
{
    (void)state;
    static struct capture capture;
    log_init(LOG_INFO, true);
    capture_begin(&capture);
    for (int i = 0; i < 1000; i++)
        fail_at(i, "/register", i);
    int lines = take_lines(&capture);
    assert_in_range(lines, 100, 200);
    log_repeat_tick(clock_ms() + 2 * LOG_REPEAT_MS);
    assert_int_equal(take_lines(&capture), 1);
    char expected[64];
    assert_non_null(strstr(capture.text, "\"event\":\"log_repeats\""));
    snprintf(expected, sizeof(expected), "\"times\":%d}", 1000 - lines);
    assert_non_null(strstr(capture.text, expected));
    capture_end(&capture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_the_first_of_a_kind_is_told_the_others_are_counted),
        cmocka_unit_test(test_long_texts_are_told_again_in_whole_words),
        cmocka_unit_test(test_levels_hold_for_what_repeats),
        cmocka_unit_test(test_kinds_without_number_don_t_flood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
