/*
 * The load of the benchmark's task figures: submits tasks, or works on them, over many connections at once, in one thread.
 *
 *   tasks add|work http|next|beanstalk PORT CONNECTIONS BULK COUNT
 *
 * Over each connection goes one request after the other, with BULK tasks (beanstalkd knows no bulks: 1). Ends when COUNT tasks
 * were acknowledged (add), or were taken and completed (work, as worker "bench-000000000000"). A worker of "http" asks, completes
 * and asks again; one of "next" gets its next tasks with the answer to its results, and asks when there were none. Prints when it
 * began and when it was done: ms since 1970, a line each. Any unexpected answer ends it with 1.
 */
#include "load.h"

#include <stdarg.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <time.h>

#define CONNECTIONS_MAX 256
#define ROOM ((size_t)1 << 17)
#define PAYLOAD 200 /* bytes of a task's */
#define WORKER "bench-000000000000"

struct connection {
    int fd;
    bool holds;  /* a worker's: what it has asked for is to be completed next */
    size_t busy; /* tasks of the request on its way */
    size_t len;
    char in[ROOM];  /* the answer, as far as it has come; ends in NUL */
    char out[ROOM]; /* a request */
};

static struct {
    bool adds, beanstalk, next;
    size_t bulk, count, begun, done;
    char payload[PAYLOAD + 1];
} load;

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Sends a request with the body that stands at out + 512. */
static void post(struct connection *connection, const char *path, const char *query, size_t body_len)
{
    char head[512];
    int len = snprintf(head, sizeof(head),
                       "POST %s%s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", path,
                       query, body_len);
    char *start = connection->out + sizeof(head) - len;
    memcpy(start, head, (size_t)len);
    send_all(connection->fd, start, (size_t)len + body_len);
}

/* Adds to the request that ends at `at`; returns its end. */
__attribute__((format(printf, 3, 4))) static char *print(struct connection *connection, char *at, const char *form, ...)
{
    size_t room = ROOM - (size_t)(at - connection->out);
    va_list args;
    va_start(args, form);
    int len = vsnprintf(at, room, form, args);
    va_end(args);
    if (len < 0 || (size_t)len >= room)
        fail("a long request", connection->out);
    return at + len;
}

static void add_http(struct connection *connection)
{
    char *at = connection->out + 512;
    bool many = load.bulk > 1;
    if (many)
        at = print(connection, at, "{\"tasks\":[");
    for (size_t i = 0; i < connection->busy; i++)
        at =
            print(connection, at, "%s{\"type\":\"bench\",\"payload\":\"%s\"}", i > 0 ? "," : "", load.payload + 2); /* two quotes */
    if (many)
        at = print(connection, at, "]}");
    post(connection, many ? "/api/tasks/bulk" : "/api/tasks", "", (size_t)(at - connection->out) - 512);
}

static void ask_http(struct connection *connection)
{
    int len = snprintf(connection->out, ROOM,
                       "GET /api/worker/tasks?worker_id=" WORKER "&wait=30&max=%zu HTTP/1.1\r\nHost: bench\r\n\r\n", load.bulk);
    send_all(connection->fd, connection->out, (size_t)len);
}

/* Copies the text of the member `name`, found from *from on, and moves *from behind it. */
static bool take_text(const char **from, const char *name, char room[64])
{
    const char *at = strstr(*from, name);
    if (at == NULL)
        return false;
    at += strlen(name);
    size_t len = strcspn(at, "\"");
    if (len >= 64)
        fail("a long member", at);
    memcpy(room, at, len);
    room[len] = '\0';
    *from = at + len;
    return true;
}

/* Completes the tasks that an answer gives. */
static void complete_http(struct connection *connection)
{
    const char *from = strstr(connection->in, "\"tasks\":[");
    char *at = connection->out + 512, id[64], lease[64];
    bool many = load.bulk > 1;
    if (from == NULL)
        fail("no tasks", connection->in);
    connection->busy = 0;
    at = print(connection, at, "{\"worker_id\":\"" WORKER "\",%s", many ? "\"results\":[" : "");
    while (take_text(&from, "\"task_id\":\"", id) && take_text(&from, "\"lease\":\"", lease)) {
        const char *form =
            many ? "%s{\"task_id\":\"%s\",\"lease\":\"%s\",\"result\":1}" : "%s\"task_id\":\"%s\",\"lease\":\"%s\",\"result\":1";
        at = print(connection, at, form, connection->busy > 0 ? "," : "", id, lease);
        connection->busy++;
    }
    at = print(connection, at, many ? "]}" : "}");
    connection->holds = connection->busy > 0;
    char query[32] = "";
    if (load.next)
        snprintf(query, sizeof(query), "?next=%zu", load.bulk);
    if (connection->holds)
        post(connection, many ? "/api/worker/tasks/complete" : "/api/worker/task-complete", query,
             (size_t)(at - connection->out) - 512);
    else
        ask_http(connection);
}

/* Sends the next request over a connection; what came before has been answered. */
static void go_on(struct connection *connection)
{
    if (load.adds) {
        connection->busy = least(load.bulk, load.count - load.begun);
        load.begun += connection->busy;
        if (connection->busy == 0)
            return;
    }
    if (!load.beanstalk && load.adds) {
        add_http(connection);
    } else if (!load.beanstalk) {
        ask_http(connection);
    } else if (load.adds) {
        int len = snprintf(connection->out, ROOM, "put 0 0 90 %d\r\n%s\r\n", PAYLOAD, load.payload);
        send_all(connection->fd, connection->out, (size_t)len);
    } else {
        send_all(connection->fd, "reserve\r\n", 9);
    }
}

/* Whether the whole answer is there. */
static bool is_whole(struct connection *connection)
{
    size_t len, body = 0;
    if (!load.beanstalk) {
        len = answer_len(connection->in);
        return len > 0 && connection->len >= len;
    }
    const char *end = strstr(connection->in, "\r\n");
    if (end == NULL)
        return false;
    if (sscanf(connection->in, "RESERVED %*s %zu", &body) == 1)
        body += 2;
    return connection->len >= (size_t)(end - connection->in) + 2 + body;
}

static void expect(const struct connection *connection, const char *start)
{
    if (strncmp(connection->in, start, strlen(start)) != 0)
        fail("unexpected answer", connection->in);
}

/* Counts the tasks of a bulk that were taken. */
static void check_bulk(const struct connection *connection)
{
    const char *word = load.adds ? "\"status\":201" : "\"status\":200";
    size_t found = 0;
    for (const char *at = connection->in; (at = strstr(at, word)) != NULL; at += strlen(word))
        found++;
    if (found != connection->busy)
        fail("not all of a bulk were taken", connection->in);
}

static void on_answer(struct connection *connection)
{
    if (load.adds || connection->holds) {
        if (load.beanstalk)
            expect(connection, load.adds ? "INSERTED" : "DELETED");
        else
            expect(connection, load.adds && load.bulk == 1 ? "HTTP/1.1 201" : "HTTP/1.1 200");
        if (load.bulk > 1)
            check_bulk(connection);
        load.done += connection->busy;
        connection->holds = false;
        if (load.next && !load.adds)
            complete_http(connection);
        else
            go_on(connection);
    } else if (load.beanstalk) {
        char id[32];
        if (sscanf(connection->in, "RESERVED %31s", id) != 1)
            fail("unexpected answer", connection->in);
        connection->busy = 1;
        connection->holds = true;
        send_all(connection->fd, connection->out, (size_t)snprintf(connection->out, ROOM, "delete %s\r\n", id));
    } else {
        expect(connection, "HTTP/1.1 200");
        complete_http(connection);
    }
}

static void on_readable(struct connection *connection)
{
    read_some(connection->fd, connection->in, ROOM, &connection->len);
    if (is_whole(connection)) {
        connection->len = 0;
        on_answer(connection);
    }
}

static void print_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    printf("%.3f\n", (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static struct connection connections[CONNECTIONS_MAX];
    struct epoll_event events[CONNECTIONS_MAX];
    int epoll = epoll_create1(0);
    if (argc != 7)
        fail("usage", "tasks add|work http|next|beanstalk PORT CONNECTIONS BULK COUNT");
    load.adds = strcmp(argv[1], "add") == 0;
    load.beanstalk = strcmp(argv[2], "beanstalk") == 0;
    load.next = strcmp(argv[2], "next") == 0;
    size_t count = least(strtoul(argv[4], NULL, 10), CONNECTIONS_MAX);
    load.bulk = strtoul(argv[5], NULL, 10);
    load.count = strtoul(argv[6], NULL, 10);
    memset(load.payload, 'x', PAYLOAD);
    for (size_t i = 0; i < count; i++) {
        connections[i].fd = dial(argv[3]);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event) != 0)
            fail("epoll", strerror(errno));
    }
    print_time();
    for (size_t i = 0; i < count; i++)
        go_on(&connections[i]);
    while (load.done < load.count) {
        int ready = epoll_wait(epoll, events, CONNECTIONS_MAX, 60000);
        if (ready <= 0)
            fail("nothing comes any more", "");
        for (int i = 0; i < ready && load.done < load.count; i++)
            on_readable(events[i].data.ptr);
    }
    print_time();
    return 0;
}
