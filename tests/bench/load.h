/*
 * What the benchmark's loads share. They run on loopback, and end the program at anything unexpected.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what, const char *answer)
{
    fprintf(stderr, "load: %s: %.300s\n", what, answer);
    exit(1);
}

static int dial(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        fail("connect", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    return fd;
}

static void send_all(int fd, const char *data, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        ssize_t part = write(fd, data + sent, len - sent);
        if (part <= 0)
            fail("write", strerror(errno));
        sent += (size_t)part;
    }
}

/* Reads what has come behind the first *len bytes of `in`, and ends it in NUL. */
static void read_some(int fd, char *in, size_t room, size_t *len)
{
    ssize_t part = read(fd, in + *len, room - 1 - *len);
    if (part <= 0)
        fail("read", part == 0 ? "closed" : strerror(errno));
    *len += (size_t)part;
    in[*len] = '\0';
}

/* The length of an HTTP answer of which `in`, which ends in NUL, is the beginning; 0: its head is not there yet. */
static size_t answer_len(const char *in)
{
    const char *end = strstr(in, "\r\n\r\n"), *length = strstr(in, "\r\nContent-Length: ");
    if (end == NULL)
        return 0;
    if (length == NULL || length > end)
        fail("no length", in);
    return (size_t)(end - in) + 4 + strtoul(length + 18, NULL, 10);
}

#endif
