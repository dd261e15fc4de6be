#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/route.h"

static const struct route routes[] = {
    {"GET", "/a", NULL, .access = 1},
    {"PUT", "/a", NULL, .access = 2},
    {"PATCH", "/a", NULL, .access = 3},
    {"POST", "/a", NULL, .access = 4},
    {"DELETE", "/a", NULL, .access = 5},
    {"GET", "/a", NULL, .access = 6},
    {"GET", "/w/{worker_id}", NULL, .access = 7},
    {"POST", "/w/{worker_id}/tasks/{task_id}", NULL, .access = 8},
    {"GET", "/w/tasks", NULL, .access = 9},
    {"GET", "/s/{service}/{path...}", NULL, .access = 10},
    {"POST", "/s/{service}/{path...}", NULL, .access = 11},
    {"DELETE", "/s/{service}/stop", NULL, .access = 12},
    {"GET", "/{a}/{b}/{c}/{d}", NULL, .access = 13},
    {"POST", "/{p}/{q}/{r}/{s}", NULL, .access = 14},
    {ROUTE_ANY, "/any/{path...}", NULL, .access = 15},
    {.path = NULL},
};

/* A request, the row that it finds (or the error), and what that has for its parameters; with ERR_METHOD: what Allow says. */
static const struct {
    const char *method, *path;
    int found;
    enum err err;
    const char *text;
} lookups[] = {
    {"GET", "/a", 1, ERR_NONE, ""},
    {"HEAD", "/a", 1, ERR_NONE, ""},
    {"PUT", "/a", 2, ERR_NONE, ""},
    {"PATCH", "/a", 3, ERR_NONE, ""},
    {"DELETE", "/a", 5, ERR_NONE, ""},
    {"BREW", "/a", 0, ERR_METHOD, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
    {"OPTIONS", "/a", 0, ERR_METHOD, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
    {"other", "/a", 0, ERR_METHOD, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
    {"GET", "/a/", 0, ERR_PATH_NOT_FOUND, ""},
    {"GET", "/any/", 15, ERR_NONE, "path= "},
    {"HEAD", "/any/x", 15, ERR_NONE, "path=x "},
    {"OPTIONS", "/any/x", 15, ERR_NONE, "path=x "},
    {"BREW", "/any/%2F/y", 15, ERR_NONE, "path=%2F/y "},
    {"GET", "/any", 0, ERR_PATH_NOT_FOUND, ""},
    {"GET", "/", 0, ERR_PATH_NOT_FOUND, ""},
    {"GET", "", 0, ERR_PATH_NOT_FOUND, ""},
    {"GET", "/b", 0, ERR_PATH_NOT_FOUND, ""},
    {"GET", "/w/w-1", 7, ERR_NONE, "worker_id=w-1 "},
    {"GET", "/w/w%2f1", 7, ERR_NONE, "worker_id=w%2f1 "},
    {"GET", "/w/", 0, ERR_PATH_NOT_FOUND, ""},
    {"GET", "/w/w-1/", 0, ERR_PATH_NOT_FOUND, ""},
    {"GET", "/w/tasks", 9, ERR_NONE, ""},
    {"POST", "/w/tasks", 0, ERR_METHOD, "GET, HEAD, OPTIONS"},
    {"POST", "/w/w-1", 0, ERR_METHOD, "GET, HEAD, OPTIONS"},
    {"POST", "/w/w-1/tasks/t-1", 8, ERR_NONE, "worker_id=w-1 task_id=t-1 "},
    {"POST", "/w/w-1/tasks/", 0, ERR_PATH_NOT_FOUND, ""},
    {"POST", "/w//tasks/t-1", 0, ERR_PATH_NOT_FOUND, ""},
    {"GET", "/s/rag/", 10, ERR_NONE, "service=rag path= "},
    {"GET", "/s/rag/v1/chat", 13, ERR_NONE, "a=s b=rag c=v1 d=chat "},
    {"GET", "/s/rag/v1/chat/%2F", 10, ERR_NONE, "service=rag path=v1/chat/%2F "},
    {"POST", "/s/rag/a//b/", 11, ERR_NONE, "service=rag path=a//b/ "},
    {"GET", "/s/rag", 0, ERR_PATH_NOT_FOUND, ""},
    {"GET", "/s//x", 0, ERR_PATH_NOT_FOUND, ""},
    {"DELETE", "/s/rag/stop", 12, ERR_NONE, "service=rag "},
    {"GET", "/s/rag/stop", 0, ERR_METHOD, "DELETE, OPTIONS"},
    {"DELETE", "/s/rag/start", 0, ERR_METHOD, "GET, HEAD, POST, OPTIONS"},
    {"POST", "/1/2/3/4", 14, ERR_NONE, "p=1 q=2 r=3 s=4 "},
    {"DELETE", "/1/2/3/4", 0, ERR_METHOD, "GET, HEAD, POST, OPTIONS"},
};

/* Writes what a match has for its parameters. */
static void write_parameters(const struct route_match *match, char room[256])
{
    size_t len = 0;
    room[0] = '\0';
    for (size_t i = 0; i < ROUTE_PARAMETERS_MAX && match->parameters[i].name.ptr != NULL; i++)
        len += (size_t)snprintf(room + len, 256 - len, "%.*s=%.*s ", STR_PRINTF(match->parameters[i].name),
                                STR_PRINTF(match->parameters[i].value));
}

static void test_lookups(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(lookups) / sizeof(lookups[0]); i++) {
        struct route_match match;
        char room[256] = "";
        enum err err = route_find(routes, str_from(lookups[i].method), str_from(lookups[i].path), &match);
        print_message("%s %s\n", lookups[i].method, lookups[i].path);
        assert_int_equal(err, lookups[i].err);
        if (err == ERR_METHOD)
            assert_string_equal(match.allow, lookups[i].text);
        if (err != ERR_NONE)
            continue;
        write_parameters(&match, room);
        assert_int_equal(match.route->access, lookups[i].found);
        assert_string_equal(room, lookups[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lookups)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
