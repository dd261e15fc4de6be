#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/proxy_headers.h"
#include "api/proxy_target.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct proxy_trust nothing = {false, false}, everything = {true, true};
static const struct proxy_connection unnamed = {.count = 0};

static void test_what_goes_up(void **state)
{
    (void)state;
    static const char *const up[] = {"Accept",
                                     "accept-encoding",
                                     "Content-Type",
                                     "Content-Encoding",
                                     "Range",
                                     "If-None-Match",
                                     "Idempotency-Key",
                                     "User-Agent",
                                     "Origin",
                                     "Referer",
                                     "traceparent",
                                     "tracestate",
                                     "Via",
                                     "Sec-WebSocket-Key",
                                     "X-Anything",
                                     "Content-Language",
                                     "Prefer",
                                     "X-API-Key",
                                     "x-forwarded",
                                     "forwarded-by",
                                     "teapot",
                                     "Cache-Control",
                                     "hosts"};
    static const char *const never[] = {"Connection",
                                        "Keep-Alive",
                                        "Proxy-Connection",
                                        "Proxy-Authorization",
                                        "proxy-authenticate",
                                        "TE",
                                        "Trailer",
                                        "Transfer-Encoding",
                                        "Upgrade",
                                        "HTTP2-Settings",
                                        "Content-Length",
                                        "Host",
                                        "Expect",
                                        "Forwarded",
                                        "X-Forwarded-For",
                                        "X-Forwarded-Anything",
                                        "x_forwarded_for",
                                        "X_Forwarded-Proto",
                                        "CONTENT_LENGTH",
                                        "Transfer_Encoding",
                                        "Fly-Client-IP",
                                        "fly-anything",
                                        "X-RMA-Worker",
                                        "x-rma-session",
                                        "X-Real-IP",
                                        "X-Request-Id",
                                        "Proxy",
                                        "CF-Connecting-IP"};
    static const char *const trusted[] = {"Cookie", "cookie", "Authorization", "AUTHORIZATION"};
    for (size_t i = 0; i < COUNT(up); i++)
        if (!proxy_goes_up(str_from(up[i]), &unnamed, &nothing))
            fail_msg("%s does not go up", up[i]);
    for (size_t i = 0; i < COUNT(never); i++)
        if (proxy_goes_up(str_from(never[i]), &unnamed, &everything))
            fail_msg("%s goes up", never[i]);
    for (size_t i = 0; i < COUNT(trusted); i++)
        if (proxy_goes_up(str_from(trusted[i]), &unnamed, &nothing) || !proxy_goes_up(str_from(trusted[i]), &unnamed, &everything))
            fail_msg("%s goes up by itself", trusted[i]);
}

static void test_what_connection_names_ends_here(void **state)
{
    (void)state;
    struct proxy_connection connection = {.count = 0};
    assert_true(proxy_add_connection(&connection, STR("close, X-Anything ,,\tx-other")));
    assert_true(proxy_add_connection(&connection, STR("authorization")));
    static const char *const named[] = {"x-anything", "X-Other", "Authorization", "X-ANYTHING"};
    for (size_t i = 0; i < COUNT(named); i++) {
        assert_false(proxy_goes_up(str_from(named[i]), &connection, &everything));
        assert_false(proxy_comes_down(str_from(named[i]), STR(""), &connection, &everything));
    }
    assert_true(proxy_goes_up(STR("X-Any"), &connection, &nothing));
    assert_true(proxy_comes_down(STR("anything"), STR(""), &connection, &nothing));
    for (size_t i = 2; i < PROXY_CONNECTION_LINES_MAX; i++)
        assert_true(proxy_add_connection(&connection, STR("x")));
    assert_false(proxy_add_connection(&connection, STR("x")));
}

static void test_what_comes_down(void **state)
{
    (void)state;
    static const char *const down[] = {"Content-Disposition",
                                       "ETag",
                                       "Last-Modified",
                                       "Cache-Control",
                                       "Vary",
                                       "X-Anything",
                                       "WWW-Authenticate",
                                       "Location",
                                       "Link",
                                       "Retry-After",
                                       "Content-Encoding",
                                       "Accept-Ranges",
                                       "X-Accel-Buffering",
                                       "Server-Timing",
                                       "fly-request-id",
                                       "Age",
                                       "Content-Language"};
    static const char *const never[] = {"Connection",
                                        "keep-alive",
                                        "Transfer-Encoding",
                                        "Content-Length",
                                        "Upgrade",
                                        "Trailer",
                                        "Proxy-Authenticate",
                                        "Server",
                                        "Date",
                                        "fly-replay",
                                        "Fly-Replay-Cache",
                                        "X-Reproxy-URL",
                                        "X-Accel-Redirect",
                                        "X-Sendfile",
                                        "X-Sendfile2",
                                        "X-Sendfile-Temporary",
                                        "X-LIGHTTPD-Send-tempfile",
                                        "Alt-Svc",
                                        "Strict-Transport-Security",
                                        "Access-Control-Allow-Origin",
                                        "access-control-anything",
                                        "X-RMA-Worker",
                                        "X-Request-Id",
                                        "Clear-Site-Data",
                                        "Service-Worker-Allowed",
                                        "NEL",
                                        "Accept-CH",
                                        "Critical-CH",
                                        "Set-Login",
                                        "Use-As-Dictionary",
                                        "Sec-Session-Registration",
                                        "Secure-Session-Registration",
                                        "Secure-Session-Challenge",
                                        "Report-To"};
    for (size_t i = 0; i < COUNT(down); i++)
        if (!proxy_comes_down(str_from(down[i]), STR("x"), &unnamed, &nothing))
            fail_msg("%s does not come down", down[i]);
    for (size_t i = 0; i < COUNT(never); i++)
        if (proxy_comes_down(str_from(never[i]), STR("x"), &unnamed, &everything))
            fail_msg("%s comes down", never[i]);
    assert_false(proxy_comes_down(STR("Set-Cookie"), STR("a=b"), &unnamed, &nothing));
    assert_true(proxy_comes_down(STR("Set-Cookie"), STR("a=b; rma_session=x"), &unnamed, &everything));
    assert_false(proxy_comes_down(STR("set-cookie"), STR(" rma_session =x; Path=/"), &unnamed, &everything));
    assert_false(proxy_comes_down(STR("set_cookie"), STR("RMA_Session=x"), &unnamed, &everything));
    assert_false(proxy_comes_down(STR("Set-Cookie"), STR("=rma_session=x"), &unnamed, &everything));
}

static void test_our_cookie_stays_here(void **state)
{
    (void)state;
    static const struct {
        const char *cookies, *left;
    } cases[] = {{"a=b", "a=b"},
                 {"rma_session=s3cret", ""},
                 {"a=b; rma_session=s3cret; c=d", "a=b; c=d"},
                 {" rma_session = s3cret ;x;;y=\"1; 2\"", "x; y=\"1; 2\""},
                 {"", ""}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buffer out = BUFFER_INIT;
        proxy_write_cookies(&out, str_from(cases[i].cookies));
        if (!str_eq(buffer_str(&out), str_from(cases[i].left)))
            fail_msg("%s: %.*s", cases[i].cookies, STR_PRINTF(buffer_str(&out)));
        buffer_fini(&out);
    }
}

static void test_hops_and_traces(void **state)
{
    (void)state;
    assert_int_equal(proxy_count_hops(STR("")), 0);
    assert_int_equal(proxy_count_hops(STR("1.1 rma-coordinator, 1.1 other (rma-coordinator) ,HTTP/1.1 RMA-Coordinator (x)")), 2);
    static const char good[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_true(proxy_is_trace(str_from(good)));
    static const char *const bad[] = {"",
                                      "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                      "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                      "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                                      "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                                      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
                                      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
                                      "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(proxy_is_trace(str_from(bad[i])));
    assert_true(proxy_is_trace(STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")));
}

static void test_types(void **state)
{
    (void)state;
    static const char *const pages[] = {"text/html",
                                        "TEXT/HTML; charset=utf-8",
                                        "image/svg+xml",
                                        "application/xhtml+xml",
                                        "text/xml",
                                        "application/atom+xml",
                                        "",
                                        "html",
                                        "*/*",
                                        "text/*",
                                        "text/plain, text/html",
                                        "multipart/x-mixed-replace; boundary=x"};
    static const char *const others[] = {
        "application/json",         "text/event-stream", "application/pdf", "text/plain; charset=utf-8",
        "application/octet-stream", "image/png",         "text/csv",        "application/x-ndjson"};
    for (size_t i = 0; i < COUNT(pages); i++)
        if (!proxy_is_page(str_from(pages[i])))
            fail_msg("%s is no page", pages[i]);
    for (size_t i = 0; i < COUNT(others); i++)
        if (proxy_is_page(str_from(others[i])))
            fail_msg("%s is a page", others[i]);
    assert_true(proxy_is_page((struct str){NULL, 0}));
    assert_true(proxy_is_replay(STR("application/VND.fly.replay+json")));
    assert_false(proxy_is_replay(STR("application/json")));
}

static void expect_head(const struct proxy_head *head, const char *expected)
{
    struct buffer out = BUFFER_INIT;
    proxy_write_head(&out, head);
    if (!str_eq(buffer_str(&out), str_from(expected)))
        fail_msg("%.*s", STR_PRINTF(buffer_str(&out)));
    buffer_fini(&out);
}

#define ORIGIN                                                                                                                     \
    "Forwarded: for=\"[2001:db8::1]\";host=\"h:8080\";proto=https\r\nX-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Host: h:8080\r\n" \
    "X-Forwarded-Proto: https\r\nX-Forwarded-Prefix: /service/rag\r\nVia: 1.1 rma-coordinator\r\nX-Request-Id: id\r\n"

static void test_a_head(void **state)
{
    (void)state;
    static const struct request_field fields[] = {{STR("Accept"), STR("a")},
                                                  {STR("accept"), STR("b")},
                                                  {STR("Connection"), STR("close, X-Hop")},
                                                  {STR("X-Hop"), STR("1")},
                                                  {STR("Cookie"), STR("rma_session=s3cret")},
                                                  {STR("cookie"), STR("a=b;rma_session=s3cret")},
                                                  {STR("Authorization"), STR("Bearer s3cret")},
                                                  {STR("X-Forwarded-For"), STR("6.6.6.6")},
                                                  {STR("Content-Type"), STR("text/plain")},
                                                  {STR("tracestate"), STR("x=y")},
                                                  {STR("traceparent"), STR("nonsense")},
                                                  {STR("Via"), STR("1.0 other")}};
    struct proxy_connection connection = {.count = 0};
    assert_true(proxy_add_connection(&connection, fields[2].value));
    struct proxy_head head = {.authority = STR("w:1"),
                              .fields = fields,
                              .count = COUNT(fields),
                              .connection = &connection,
                              .trust = &nothing,
                              .address = STR("2001:db8::1"),
                              .scheme = STR("https"),
                              .host = STR("h:8080"),
                              .prefix = STR("/service/rag"),
                              .request_id = STR("id"),
                              .trace = STR("00-t-s-01")};
    expect_head(&head, "Host: w:1\r\nAccept: a\r\naccept: b\r\nContent-Type: text/plain\r\nVia: 1.0 other\r\n"
                       "traceparent: 00-t-s-01\r\n" ORIGIN "\r\n");
    head.trust = &everything;
    head.length = STR("5");
    head.type = STR("application/json");
    expect_head(&head, "Host: w:1\r\nAccept: a\r\naccept: b\r\ncookie: a=b\r\nAuthorization: Bearer s3cret\r\nVia: 1.0 other\r\n"
                       "traceparent: 00-t-s-01\r\n" ORIGIN "Content-Type: application/json\r\nContent-Length: 5\r\n\r\n");
    head.authorization = STR("Bearer ours");
    head.length = (struct str){NULL, 0};
    head.chunked = true;
    head.count = 2;
    expect_head(&head, "Host: w:1\r\nAccept: a\r\naccept: b\r\ntraceparent: 00-t-s-01\r\nAuthorization: Bearer ours\r\n" ORIGIN
                       "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static void test_an_upgrade_and_a_trace_that_came(void **state)
{
    (void)state;
    static const struct request_field fields[] = {
        {STR("traceparent"), STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")}, {STR("tracestate"), STR("x=y")}};
    const struct proxy_head head = {.authority = STR("[::1]:1"),
                                    .fields = fields,
                                    .count = COUNT(fields),
                                    .connection = &unnamed,
                                    .trust = &nothing,
                                    .address = STR(""),
                                    .scheme = STR("http"),
                                    .host = STR("h"),
                                    .request_id = STR("id"),
                                    .trace = STR("00-t-s-01"),
                                    .upgrade = STR("websocket")};
    expect_head(&head,
                "Host: [::1]:1\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: x=y\r\n"
                "Forwarded: for=unknown;host=\"h\";proto=http\r\nX-Forwarded-Host: h\r\n"
                "X-Forwarded-Proto: http\r\nVia: 1.1 rma-coordinator\r\nX-Request-Id: id\r\nConnection: Upgrade\r\n"
                "Upgrade: websocket\r\n\r\n");
}

static void test_paths(void **state)
{
    (void)state;
    static const char *const fine[] = {
        "/",    "",        "/a//b/", "/a%2Fb", "/...",          "/a..b/..c/d..",        "/%2e",
        "/./x", "/a%zz%2", "/%",     "/..%2",  "/\xff\xc3\xa9", "/%25%32%65%25%32%65/", "/a;b=c/x;.."};
    static const char *const bad[] = {"/..",    "/../",  "/a/../b",     "/a/..",      "..",        "/%2e%2E/x",
                                      "/.%2e/", "/%2E.", "/a%2f..%2fb", "/a%5C..%5c", "/a\\..\\b", "/..%2fx",
                                      "/..\\x", "/x#y",  "/#",          "/a/%2e%2e",  "/a;b/..;x", "/.%2e%3B/x"};
    for (size_t i = 0; i < COUNT(fine); i++)
        if (proxy_check_path(str_from(fine[i]), (struct str){NULL, 0}) != NULL)
            fail_msg("%s is refused", fine[i]);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (proxy_check_path(str_from(bad[i]), STR("a=b")) == NULL)
            fail_msg("%s is taken", bad[i]);
    assert_non_null(proxy_check_path(STR("/"), STR("a=b#c")));
    assert_null(proxy_check_path(STR("/"), STR("a=../..")));
}

static void test_targets(void **state)
{
    (void)state;
#define NONE                                                                                                                       \
    {                                                                                                                              \
        NULL, 0                                                                                                                    \
    }
    static const struct {
        const char *base;
        struct proxy_target target;
        const char *expected;
    } cases[] = {
        {"", {STR(""), STR("uploads/x%2Fy/"), NONE}, "/uploads/x%2Fy/"},
        {"", {STR(""), STR(""), NONE}, "/"},
        {"", {STR(""), NONE, NONE}, "/"},
        {"", {STR("/query"), NONE, STR("a=1&a=2&b=%20+")}, "/query?a=1&a=2&b=%20+"},
        {"", {STR("/query"), STR(""), STR("")}, "/query/?"},
        {"/base", {STR("/v1"), STR("//x"), NONE}, "/base/v1///x"},
        {"/base", {STR(""), NONE, NONE}, "/base"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buffer out = BUFFER_INIT;
        buffer_append(&out, STR("GET "));
        struct buffer alone = BUFFER_INIT;
        proxy_write_target(&out, str_from(cases[i].base), &cases[i].target);
        proxy_write_target(&alone, str_from(cases[i].base), &cases[i].target);
        assert_true(str_eq(buffer_str(&alone), str_from(cases[i].expected)));
        assert_true(str_eq((struct str){out.ptr + 4, out.len - 4}, buffer_str(&alone)));
        buffer_fini(&out);
        buffer_fini(&alone);
    }
}

static void test_locations(void **state)
{
    (void)state;
    static const struct {
        const char *location, *expected; /* of a worker at w:8102, with base path /b, for /service/rag → /v1 */
    } cases[] = {
        {"http://w:8102/b/v1/x?y#z", "/service/rag/x?y#z"},
        {"HTTPS://W:8102/b/v1", "/service/rag"},
        {"http://w:8102/b/v1?x", "/service/rag?x"},
        {"http://w:8102/b/v12", NULL},
        {"http://w:8102/other", NULL},
        {"http://w:81022/b/v1/x", NULL},
        {"http://w:8102@evil/b/v1/x", NULL},
        {"http://other/b/v1/x", NULL},
        {"/b/v1/x", NULL},
        {"//W:8102/b/v1/x", "/service/rag/x"},
        {"//w:8102", NULL},
        {"//other/b/v1/x", NULL},
        {"///w:8102/b/v1/x", NULL},
        {"x", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buffer room = BUFFER_INIT;
        struct str public =
            proxy_public_location(str_from(cases[i].location), STR("w:8102"), STR("/b"), STR("/v1"), STR("/service/rag"), &room);
        if (!str_eq(public, str_from(cases[i].expected)) || (public.ptr == NULL) != (cases[i].expected == NULL))
            fail_msg("%s: %.*s", cases[i].location, STR_PRINTF(public));
        buffer_fini(&room);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_goes_up),    cmocka_unit_test(test_what_connection_names_ends_here),
        cmocka_unit_test(test_what_comes_down), cmocka_unit_test(test_our_cookie_stays_here),
        cmocka_unit_test(test_hops_and_traces), cmocka_unit_test(test_types),
        cmocka_unit_test(test_a_head),          cmocka_unit_test(test_an_upgrade_and_a_trace_that_came),
        cmocka_unit_test(test_paths),           cmocka_unit_test(test_targets),
        cmocka_unit_test(test_locations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
