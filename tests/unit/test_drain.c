/* What an operator says when a worker is drained. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/drain.h"

#include <stdio.h>

static void assert_read(const char *body, const char *expected)
{
    struct buffer reason = BUFFER_INIT;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    assert_int_equal(drain_parse(str_from(body), &reason, &faults, &why), ERR_NONE);
    assert_int_equal(faults.count, 0);
    assert_int_equal(reason.len, strlen(expected));
    assert_memory_equal(reason.len > 0 ? reason.ptr : "", expected, reason.len);
    buffer_fini(&reason);
}

static void assert_refused(const char *body, enum err expected)
{
    struct buffer reason = BUFFER_INIT;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    assert_int_equal(drain_parse(str_from(body), &reason, &faults, &why), expected);
    assert_int_equal(faults.count > 0, expected == ERR_INVALID);
    assert_int_equal(why != NULL, expected == ERR_BAD_REQUEST);
    faults_fini(&faults);
    buffer_fini(&reason);
}

static void test_reasons(void **state)
{
    (void)state;
    assert_read("", "");
    assert_read("{}", "");
    assert_read("{\"reason\": null, \"more\": [1]}", "");
    assert_read("{\"reason\": \" \\t\\n \"}", "");
    assert_read("{\"reason\": \"disk swap\"}", "disk swap");
    assert_read("{\"reason\": \"  two\\r\\nlines\\u001b[2J \\u202e end\\u0085\"}", "two lines [2J end");
    assert_read("{\"reason\": \"caf\u00e9 \U0001F600 e\u0301\"}", "caf\u00e9 \U0001F600 e\u0301");
}

static void test_refusals(void **state)
{
    (void)state;
    char body[DRAIN_REASON_MAX + 64] = "{\"reason\": \"";
    size_t len = strlen(body);
    memset(body + len, 'x', DRAIN_REASON_MAX + 1);
    snprintf(body + len + DRAIN_REASON_MAX + 1, 3, "\"}");
    assert_refused(body, ERR_INVALID);
    snprintf(body + len + DRAIN_REASON_MAX, 3, "\"}");
    body[len + DRAIN_REASON_MAX + 2] = '\0';
    struct buffer reason = BUFFER_INIT;
    struct faults faults = FAULTS_INIT;
    const char *why;
    assert_int_equal(drain_parse(str_from(body), &reason, &faults, &why), ERR_NONE);
    assert_int_equal(reason.len, DRAIN_REASON_MAX);
    buffer_fini(&reason);

    assert_refused("{\"reason\": 7}", ERR_INVALID);
    assert_refused("{\"reason\": [\"a\"]}", ERR_INVALID);
    assert_refused("[]", ERR_BAD_REQUEST);
    assert_refused("reason", ERR_BAD_REQUEST);
    assert_refused(" ", ERR_BAD_REQUEST);
    assert_refused("{\"reason\": \"\xff\"}", ERR_BAD_REQUEST);
    assert_refused("{\"reason\": \"\\u0000\"}", ERR_BAD_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
