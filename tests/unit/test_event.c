/*
 * Ids of events, and events as JSON.
 */
#include "model/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void ids_are_read_and_written(void **state)
{
    (void)state;
    struct event_id id;
    char room[EVENT_ID_MAX];
    assert_true(event_id_parse(STR("1764020000000-12"), &id));
    assert_true(id.milliseconds == 1764020000000 && id.sequence == 12);
    assert_true(str_eq(event_id_text(id, room), STR("1764020000000-12")));
    assert_true(event_id_parse(STR("0-0"), &id));
    assert_true(id.milliseconds == 0 && id.sequence == 0);
    struct str longest = event_id_text((struct event_id){UINT64_MAX, UINT64_MAX}, room);
    assert_true(str_eq(longest, STR("18446744073709551615-18446744073709551615")));
    assert_true(longest.len < EVENT_ID_MAX);
}

static void what_is_no_id_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",     "-",   "1",   "1-",   "-1",   "1-2-3",
                                        "1 -2", "a-1", "1-a", "+1-2", "1--2", "11111111111111111111-0"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct event_id id = {7, 7};
        assert_false(event_id_parse(str_from(wrong[i]), &id));
        assert_true(id.milliseconds == 7 && id.sequence == 7);
    }
    struct event_id id;
    assert_false(event_id_parse((struct str){NULL, 0}, &id));
}

static void ids_have_an_order(void **state)
{
    (void)state;
    assert_true(event_id_is_after((struct event_id){2, 0}, (struct event_id){1, 9}));
    assert_true(event_id_is_after((struct event_id){1, 2}, (struct event_id){1, 1}));
    assert_false(event_id_is_after((struct event_id){1, 1}, (struct event_id){1, 1}));
    assert_false(event_id_is_after((struct event_id){1, 9}, (struct event_id){2, 0}));
}

static void assert_written(const struct event *event, const char *expected)
{
    struct buffer out = BUFFER_INIT;
    event_write(&out, event);
    assert_true(str_eq(buffer_str(&out), str_from(expected)));
    buffer_fini(&out);
}

static void events_are_written(void **state)
{
    (void)state;
    struct event event = {.id = {1772366400000, 3},
                          .kind = STR("offline"),
                          .reason = STR("timeout"),
                          .worker_id = STR("my-worker"),
                          .tier = STR("2"),
                          .status = STR("offline"),
                          .services = STR("rag,ocr")};
    assert_written(&event,
                   "{\"worker_id\":\"my-worker\",\"status\":\"offline\",\"tier\":2,\"worker_type\":\"cpu\",\"services\":[\"rag\","
                   "\"ocr\"],\"reason\":\"timeout\",\"time\":\"2026-03-01T12:00:00.000Z\"}");
    event.tier = event.services = STR("");
    event.worker_id = STR("a\"\nb");
    assert_written(&event, "{\"worker_id\":\"a\\\"\\nb\",\"status\":\"offline\",\"tier\":null,\"worker_type\":null,\"services\":[],"
                           "\"reason\":\"timeout\",\"time\":\"2026-03-01T12:00:00.000Z\"}");
    event.kind = STR("updated"), event.reason = STR("drained"), event.tier = STR("9");
    event.drain_reason = STR("disk \"swap\""), event.drained_from = STR("::1");
    assert_written(&event, "{\"worker_id\":\"a\\\"\\nb\",\"status\":\"offline\",\"tier\":null,\"worker_type\":null,\"services\":[],"
                           "\"reason\":\"drained\",\"drain_reason\":\"disk \\\"swap\\\"\",\"drained_from\":\"::1\","
                           "\"time\":\"2026-03-01T12:00:00.000Z\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_read_and_written),
        cmocka_unit_test(what_is_no_id_is_refused),
        cmocka_unit_test(ids_have_an_order),
        cmocka_unit_test(events_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
