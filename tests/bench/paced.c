/*
 * The load of the benchmark's latencies: GETs at a given rate, however long their answers take. They come like those of many
 * clients who know nothing of each other (a Poisson process), so that no burst of the load itself is measured; each run has the
 * same ones.
 *
 *   paced PORT PATH CONNECTIONS RATE SECONDS
 *
 * A request whose moment has come waits for a connection if none is free; its latency counts from that moment. Those of the first
 * tenth are not counted. Prints a line of JSON: requests, seconds, errors (always 0: anything but a 200 ends the program with 1),
 * p50 and p99 (µs).
 */
#include "load.h"

#include <math.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>

#define CONNECTIONS_MAX 256
#define ROOM 8192

struct connection {
    int fd;
    double since; /* s; when its request was due */
    size_t len;
    char in[ROOM]; /* the answer, as far as it has come; ends in NUL */
};

static struct {
    struct connection *free[CONNECTIONS_MAX]; /* a ring: the one that has been free for the longest is used next */
    size_t first, count;
    double *latencies; /* s */
    size_t done, most;
} load;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void give_back(struct connection *connection)
{
    load.free[(load.first + load.count++) % CONNECTIONS_MAX] = connection;
}

static void on_readable(struct connection *connection, double counted_from)
{
    read_some(connection->fd, connection->in, ROOM, &connection->len);
    size_t len = answer_len(connection->in);
    if (len == 0 || connection->len < len)
        return;
    if (strncmp(connection->in, "HTTP/1.1 200", 12) != 0)
        fail("unexpected answer", connection->in);
    connection->len = 0;
    if (connection->since >= counted_from && load.done < load.most)
        load.latencies[load.done++] = now() - connection->since;
    give_back(connection);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(double part)
{
    return load.latencies[(size_t)((double)(load.done - 1) * part)] * 1e6;
}

int main(int argc, char **argv)
{
    static struct connection connections[CONNECTIONS_MAX];
    struct epoll_event events[CONNECTIONS_MAX];
    int epoll = epoll_create1(0);
    if (argc != 6)
        fail("usage", "paced PORT PATH CONNECTIONS RATE SECONDS");
    size_t count = strtoul(argv[3], NULL, 10);
    double rate = strtod(argv[4], NULL), seconds = strtod(argv[5], NULL);
    char request[512];
    int len = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", argv[2]);
    if (count < 1 || count > CONNECTIONS_MAX || rate < 1 || seconds <= 0 || len >= (int)sizeof(request))
        fail("usage", "out of range");
    load.most = (size_t)(rate * seconds * 2) + 1000;
    load.latencies = calloc(load.most, sizeof(*load.latencies));
    if (load.latencies == NULL || prctl(PR_SET_TIMERSLACK, 1UL) != 0)
        fail("start", strerror(errno));
    for (size_t i = 0; i < count; i++) {
        connections[i].fd = dial(argv[1]);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event) != 0)
            fail("epoll", strerror(errno));
        give_back(&connections[i]);
    }
    srand48(20260301);
    double began = now(), due = began, end = began + seconds, counted_from = began + seconds / 10;
    while (due < end || load.count < count) {
        double left = due < end ? due - now() : 1;
        while (due < end && load.count > 0 && left <= 0) {
            struct connection *connection = load.free[load.first];
            load.first = (load.first + 1) % CONNECTIONS_MAX;
            load.count--;
            connection->since = due;
            send_all(connection->fd, request, (size_t)len);
            due -= log(1 - drand48()) / rate;
            left = due - now();
        }
        left = load.count == 0 || left > 1 ? 1 : left > 0 ? left : 0;
        struct timespec patience = {(time_t)left, (long)((left - (double)(time_t)left) * 1e9)};
        int ready = epoll_pwait2(epoll, events, CONNECTIONS_MAX, &patience, NULL);
        if (ready < 0)
            fail("epoll_pwait2", strerror(errno));
        for (int i = 0; i < ready; i++)
            on_readable(events[i].data.ptr, counted_from);
        if (now() > end + 10)
            fail("answers are missing", "");
    }
    if (load.done == 0)
        fail("no answers", "");
    qsort(load.latencies, load.done, sizeof(*load.latencies), compare);
    printf("{\"requests\": %zu, \"seconds\": %f, \"errors\": 0, \"p50\": %.0f, \"p99\": %.0f}\n", load.done, seconds * 0.9,
           percentile(0.5), percentile(0.99));
    return 0;
}
