/*
 * The life of a waiting request, over a connection that exists in memory alone: it can be disposed of at any moment, which over
 * HTTP/1 on a real socket hardly ever happens while a handler waits.
 *
 * With NAIVE=1 in the environment the handler keeps a plain pointer instead. AddressSanitizer must then end the program: that
 * is how we know that these tests see what they are for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/pending.h"
#include "http/reply.h"
#include "http/thread.h"

#include <stdlib.h>

/* A request and its connection, freed together as HTTP/1 does it. */
struct fake {
    h2o_conn_t super;
    h2o_ostream_t final;
    h2o_req_t req;
};

static struct server server;
static struct server_thread thread;

static struct {
    int answers; /* that reached the wire */
    int status;  /* of the last one */
} wire;

static struct pending *waiting; /* what stands for the Redis callback's data */
static struct request *naive_waiting;
static int late_calls;

static void on_send(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *bufs, size_t count, h2o_send_state_t state)
{
    (void)self;
    (void)bufs;
    (void)count;
    (void)state;
    wire.answers++;
    wire.status = req->res.status;
}

static socklen_t no_name(h2o_conn_t *conn, struct sockaddr *name)
{
    (void)conn;
    (void)name;
    return 0;
}

static h2o_socket_t *no_socket(h2o_conn_t *conn)
{
    (void)conn;
    return NULL;
}

static void wait_handler(struct request *request)
{
    waiting = pending_new(request, NULL, 32);
}

static void late_answer(struct request *request)
{
    late_calls++;
    reply_constant(request, 503, STR("{}"));
}

static void wait_late_handler(struct request *request)
{
    waiting = pending_new(request, late_answer, 0);
}

static void delay_handler(struct request *request)
{
    pending_delay(request, server.config.request_timeout_ms, late_answer);
}

static void naive_handler(struct request *request)
{
    naive_waiting = request;
}

static const struct route routes[] = {
    {"GET", "/wait", wait_handler, .access = 0},
    {"GET", "/wait-late", wait_late_handler, .access = 0},
    {"GET", "/delay", delay_handler, .access = 0},
    {"GET", "/naive", naive_handler, .access = 0},
    {.path = NULL},
};

/* Receives GET `path`. */
static struct fake *receive(const char *path)
{
    static const h2o_conn_callbacks_t callbacks = {.get_sockname = no_name, .get_peername = no_name, .get_socket = no_socket};
    struct fake *fake =
        (struct fake *)h2o_create_connection(sizeof(*fake), &thread.context, server.h2o.hosts, (struct timeval){0, 0}, &callbacks);
    fake->final = (h2o_ostream_t){.do_send = on_send};
    h2o_init_request(&fake->req, &fake->super, NULL);
    fake->req._ostr_top = &fake->final;
    fake->req.version = 0x101;
    fake->req.input.method = h2o_iovec_init(H2O_STRLIT("GET"));
    fake->req.input.scheme = &H2O_URL_SCHEME_HTTP;
    fake->req.input.authority = h2o_iovec_init(H2O_STRLIT("localhost"));
    fake->req.input.path = h2o_iovec_init(path, strlen(path));
    h2o_process_request(&fake->req);
    return fake;
}

/* The client has gone, or has its answer. */
static void dispose(struct fake *fake)
{
    h2o_dispose_request(&fake->req);
    free(fake);
}

/* Redis has answered. Returns whether there was still somebody to tell. */
static bool redis_answers(void)
{
    struct request *request = pending_take(waiting);
    if (request != NULL)
        reply_constant(request, 200, STR("{}"));
    pending_release(waiting, ERR_INTERNAL);
    waiting = NULL;
    return request != NULL;
}

static int set_up(void **state)
{
    (void)state;
    wire.answers = wire.status = late_calls = 0;
    server.config.request_timeout_ms = 1000000;
    return 0;
}

static void test_delayed(void **state)
{
    (void)state;
    struct fake *fake = receive("/delay");
    pending_tick(&thread.waiting);
    assert_int_equal(late_calls, 0);
    pending_hurry(&thread.waiting, 0); /* the program ends */
    pending_tick(&thread.waiting);
    assert_int_equal(late_calls, 1);
    assert_int_equal(wire.status, 503);
    dispose(fake);

    fake = receive("/delay");
    dispose(fake);
    assert_int_equal(thread.waiting.deadlines.count, 0);
    server.config.request_timeout_ms = 0;
    fake = receive("/delay");
    assert_int_equal(late_calls, 1);
    pending_tick(&thread.waiting);
    assert_int_equal(late_calls, 2);
    dispose(fake);
}

static void test_answered(void **state)
{
    (void)state;
    struct fake *fake = receive("/wait");
    assert_int_equal(wire.answers, 0);
    assert_int_equal(thread.waiting.deadlines.count, 1);
    assert_true(pending_is_waited_for(waiting));
    assert_true(redis_answers());
    assert_int_equal(wire.answers, 1);
    assert_int_equal(wire.status, 200);
    assert_int_equal(thread.waiting.deadlines.count, 0);
    dispose(fake);
}

static void test_disposed_while_waiting(void **state)
{
    (void)state;
    struct fake *fake = receive("/wait");
    memset(pending_payload(waiting), 'x', 32);
    dispose(fake);
    assert_int_equal(thread.waiting.deadlines.count, 0);
    assert_false(pending_is_waited_for(waiting));
    assert_int_equal(((char *)pending_payload(waiting))[31], 'x'); /* the payload outlives the request */
    assert_false(redis_answers());
    assert_int_equal(wire.answers, 0);
}

static void test_disposed_after_the_answer(void **state)
{
    (void)state;
    struct fake *fake = receive("/wait");
    struct request *request = pending_take(waiting);
    reply_constant(request, 200, STR("{}"));
    dispose(fake);
    pending_release(waiting, ERR_INTERNAL);
    assert_int_equal(wire.answers, 1);
}

static void test_deadline(void **state)
{
    (void)state;
    server.config.request_timeout_ms = 0;
    struct fake *fake = receive("/wait");
    pending_tick(&thread.waiting);
    assert_int_equal(wire.answers, 1);
    assert_int_equal(wire.status, 504);
    assert_false(redis_answers()); /* too late: taken once */
    assert_int_equal(wire.answers, 1);
    dispose(fake);
}

static void test_deadline_then_disposed_then_answered(void **state)
{
    (void)state;
    server.config.request_timeout_ms = 0;
    struct fake *fake = receive("/wait");
    pending_tick(&thread.waiting);
    dispose(fake);
    assert_false(redis_answers());
    assert_int_equal(wire.answers, 1);
}

static void test_late_answer_of_its_own(void **state)
{
    (void)state;
    server.config.request_timeout_ms = 0;
    struct fake *fake = receive("/wait-late");
    pending_tick(&thread.waiting);
    assert_int_equal(late_calls, 1);
    assert_int_equal(wire.status, 503);
    assert_false(redis_answers());
    dispose(fake);
}

static void test_nobody_is_forgotten(void **state)
{
    (void)state;
    struct fake *fake = receive("/wait");
    pending_release(waiting, ERR_UNAVAILABLE);
    assert_int_equal(wire.status, 503);
    dispose(fake);
}

static void test_many_in_any_order(void **state)
{
    (void)state;
    enum { MANY = 50 };
    struct fake *fakes[MANY];
    struct pending *pendings[MANY];
    for (int i = 0; i < MANY; i++) {
        fakes[i] = receive("/wait");
        pendings[i] = waiting;
    }
    assert_int_equal(thread.waiting.deadlines.count, MANY);
    for (int i = 0; i < MANY; i++) {
        int each = i * 7 % MANY; /* 7 and 50 have no common factor */
        waiting = pendings[each];
        if (i % 2 == 0) {
            assert_true(redis_answers());
            dispose(fakes[each]);
        } else {
            dispose(fakes[each]);
            assert_false(redis_answers());
        }
        assert_int_equal(thread.waiting.deadlines.count, MANY - 1 - i);
    }
    assert_int_equal(wire.answers, MANY / 2);
    assert_null(heap_first(&thread.waiting.deadlines));
}

static void test_naive_pointer(void **state)
{
    (void)state;
    struct fake *fake = receive("/naive");
    dispose(fake);
    reply_constant(naive_waiting, 200, STR("{}"));
}

static void start(void)
{
    server.config = (struct server_config){.allowed_origins = STR("*"), .routes = routes, .threads = 1};
    h2o_config_init(&server.h2o);
    h2o_hostconf_t *host = h2o_config_register_host(&server.h2o, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    dispatch_register(&host->fallback_path);
    thread.server = &server;
    thread.inside = true;
    h2o_context_init(&thread.context, h2o_evloop_create(), &server.h2o);
    h2o_timeout_init(thread.context.loop, &thread.soon, 0);
}

int main(void)
{
    start();
    const struct CMUnitTest naive[] = {cmocka_unit_test(test_naive_pointer)};
    if (getenv("NAIVE") != NULL)
        return cmocka_run_group_tests(naive, NULL, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_delayed, set_up),
        cmocka_unit_test_setup(test_answered, set_up),
        cmocka_unit_test_setup(test_disposed_while_waiting, set_up),
        cmocka_unit_test_setup(test_disposed_after_the_answer, set_up),
        cmocka_unit_test_setup(test_deadline, set_up),
        cmocka_unit_test_setup(test_deadline_then_disposed_then_answered, set_up),
        cmocka_unit_test_setup(test_late_answer_of_its_own, set_up),
        cmocka_unit_test_setup(test_nobody_is_forgotten, set_up),
        cmocka_unit_test_setup(test_many_in_any_order, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
