/*
 * A Redis, or a Sentinel, that answers what a test tells it to. It listens on a port of loopback and has no thread of its own:
 * the test serves it between the turns of the loop (fake_wait).
 *
 *     struct fake_redis *redis = fake_new();
 *     fake_answer(redis, "EVALSHA", "+OK\r\n");
 *     struct link *link = link_new(fake_loop(), fake_resolver(), fake_address(redis));
 *     fake_wait(link_is_up(link), link_tick(link));
 *
 * What a coordinator asks in its greeting has good answers unless the test says otherwise. Fakes and what was made over them
 * live until the test program ends.
 *
 * The clock for deadlines stands still, except that each turn of the loop takes 1 ms. fake_pass moves it on.
 */
#ifndef TESTS_FAKE_REDIS_H
#define TESTS_FAKE_REDIS_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <h2o.h>
#include <h2o/hostinfo.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "redis/address.h"
#include "redis/keys.h"
#include "redis/script.h"

#define FAKES_MAX 64
#define FAKE_PEERS_MAX 8
#define FAKE_ANSWERS_MAX 32
#define FAKE_WORDS_MAX 16
#define FAKE_WITHIN_MS 10000 /* a machine may be busy */

struct fake_peer {
    int fd; /* -1: none */
    struct buffer input;
};

struct fake_redis {
    int listener, port;
    struct fake_peer peers[FAKE_PEERS_MAX];
    struct {
        const char *command;
        const char *reply; /* as it goes over the wire; NULL: none */
        int times;         /* left; -1: for ever */
    } answers[FAKE_ANSWERS_MAX];
    size_t answer_count;
    int counts[FAKE_ANSWERS_MAX]; /* how often each command of `names` came */
    char names[FAKE_ANSWERS_MAX][16];
    struct buffer last; /* the words of the last command, with blanks between */
    struct address address;
};

static struct fake_redis *fakes[FAKES_MAX];
static size_t fake_count_all;
static int64_t fake_now_ms = 1000000000;

/* Stands in for the C library's. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE)
        return (int)syscall(SYS_clock_gettime, clock, now);
    *now = (struct timespec){.tv_sec = fake_now_ms / 1000, .tv_nsec = fake_now_ms % 1000 * 1000000};
    return 0;
}

static inline void fake_pass(int64_t ms)
{
    fake_now_ms += ms;
}

static inline h2o_loop_t *fake_loop(void)
{
    static h2o_loop_t *loop;
    if (loop == NULL) {
        keys_init(STR("{rma}"));
        scripts_init();
        loop = h2o_evloop_create();
    }
    return loop;
}

static inline h2o_multithread_receiver_t *fake_resolver(void)
{
    static h2o_multithread_receiver_t receiver;
    static h2o_multithread_queue_t *queue;
    if (queue == NULL) {
        queue = h2o_multithread_create_queue(fake_loop());
        h2o_multithread_register_receiver(queue, &receiver, h2o_hostinfo_getaddr_receiver);
    }
    return &receiver;
}

static inline void fake_listen(struct fake_redis *fake)
{
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)fake->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(name);
    int on = 1;
    fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fake->listener >= 0);
    assert_int_equal(setsockopt(fake->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(setsockopt(fake->listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0); /* as Redis does */
    assert_int_equal(bind(fake->listener, (struct sockaddr *)&name, size), 0);
    assert_int_equal(listen(fake->listener, FAKE_PEERS_MAX), 0);
    assert_int_equal(getsockname(fake->listener, (struct sockaddr *)&name, &size), 0);
    fake->port = ntohs(name.sin_port);
}

static inline struct fake_redis *fake_new(void)
{
    struct fake_redis *fake = calloc(1, sizeof(*fake));
    assert_non_null(fake);
    assert_true(fake_count_all < FAKES_MAX);
    fakes[fake_count_all++] = fake;
    for (size_t i = 0; i < FAKE_PEERS_MAX; i++)
        fake->peers[i].fd = -1;
    fake_listen(fake);
    return fake;
}

/* Where it is, as the REDIS_URL "redis://127.0.0.1:port" says. */
static inline struct address *fake_address(struct fake_redis *fake)
{
    struct buffer url = BUFFER_INIT;
    const char *why;
    buffer_printf(&url, "redis://127.0.0.1:%d", fake->port);
    assert_int_equal(address_parse(buffer_str(&url), &fake->address, &why), ERR_NONE);
    buffer_fini(&url);
    return &fake->address;
}

/*
 * From now on it answers `command` so: `reply` as it goes over the wire, which lives on; NULL: not at all. `times`: then as
 * before; -1: ever.
 */
static inline void fake_answer_times(struct fake_redis *fake, const char *command, const char *reply, int times)
{
    assert_true(fake->answer_count < FAKE_ANSWERS_MAX);
    fake->answers[fake->answer_count].command = command;
    fake->answers[fake->answer_count].reply = reply;
    fake->answers[fake->answer_count++].times = times;
}

static inline void fake_answer(struct fake_redis *fake, const char *command, const char *reply)
{
    fake_answer_times(fake, command, reply, -1);
}

/* How often it was sent `command` so far. */
static inline int fake_count(const struct fake_redis *fake, const char *command)
{
    for (size_t i = 0; i < FAKE_ANSWERS_MAX; i++)
        if (strcasecmp(fake->names[i], command) == 0)
            return fake->counts[i];
    return 0;
}

/* Closes its connections. */
static inline void fake_hang_up(struct fake_redis *fake)
{
    for (size_t i = 0; i < FAKE_PEERS_MAX; i++) {
        if (fake->peers[i].fd != -1)
            close(fake->peers[i].fd);
        fake->peers[i].fd = -1;
        buffer_fini(&fake->peers[i].input);
    }
}

/* It is gone; fake_listen brings it back to the same port. */
static inline void fake_stop(struct fake_redis *fake)
{
    fake_hang_up(fake);
    close(fake->listener);
    fake->listener = -1;
}

static inline const char *fake_reply(struct fake_redis *fake, struct str command)
{
    static const char *const greeting[][2] = {
        {"AUTH", "+OK\r\n"},    {"SELECT", "+OK\r\n"},      {"CLIENT", "+OK\r\n"},
        {"EXISTS", ":0\r\n"},   {"CONFIG", "*0\r\n"},       {"ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"},
        {"INFO", "$0\r\n\r\n"}, {"SCRIPT", "$2\r\nid\r\n"},
    };
    for (size_t i = fake->answer_count; i-- > 0;) {
        if (!str_eq(str_from(fake->answers[i].command), command) || fake->answers[i].times == 0)
            continue;
        if (fake->answers[i].times > 0)
            fake->answers[i].times--;
        return fake->answers[i].reply;
    }
    for (size_t i = 0; i < sizeof(greeting) / sizeof(greeting[0]); i++)
        if (str_eq(str_from(greeting[i][0]), command))
            return greeting[i][1];
    return "-ERR unknown command\r\n";
}

static inline void fake_note(struct fake_redis *fake, const struct str *words, size_t count)
{
    size_t i = 0;
    while (fake->names[i][0] != '\0' && !str_eq(str_from(fake->names[i]), words[0]))
        assert_true(++i < FAKE_ANSWERS_MAX);
    snprintf(fake->names[i], sizeof(fake->names[i]), "%.*s", STR_PRINTF(words[0]));
    fake->counts[i]++;
    fake->last.len = 0;
    for (size_t word = 0; word < count; word++) {
        buffer_append(&fake->last, word > 0 ? STR(" ") : STR(""));
        buffer_append(&fake->last, words[word]);
    }
}

/* The number behind the character at *at, and past its line; -1 when the line is not whole. */
static inline long fake_number(const char **at, const char *end)
{
    const char *line = memchr(*at, '\n', (size_t)(end - *at));
    long number = line != NULL ? strtol(*at + 1, NULL, 10) : -1;
    *at = line != NULL ? line + 1 : *at;
    return number;
}

/* Answers the first command of the input, if it is whole. */
static inline bool fake_serve_one(struct fake_redis *fake, struct fake_peer *peer)
{
    const char *at = peer->input.ptr, *end = at + peer->input.len;
    struct str words[FAKE_WORDS_MAX];
    long count = peer->input.len > 0 ? fake_number(&at, end) : -1;
    for (long i = 0; i < count; i++) {
        long len = at < end ? fake_number(&at, end) : -1;
        if (len < 0 || end - at < len + 2)
            return false;
        if (i < FAKE_WORDS_MAX)
            words[i] = (struct str){at, (size_t)len};
        at += len + 2;
    }
    if (count < 1)
        return false;
    fake_note(fake, words, count < FAKE_WORDS_MAX ? (size_t)count : FAKE_WORDS_MAX);
    const char *reply = fake_reply(fake, words[0]);
    if (reply != NULL && send(peer->fd, reply, strlen(reply), MSG_NOSIGNAL) < 0)
        return false;
    size_t rest = (size_t)(end - at);
    memmove(peer->input.ptr, at, rest);
    peer->input.len = rest;
    return true;
}

static inline void fake_serve(struct fake_redis *fake)
{
    for (size_t i = 0; i < FAKE_PEERS_MAX && fake->listener != -1; i++) {
        struct fake_peer *peer = &fake->peers[i];
        if (peer->fd == -1)
            peer->fd = accept4(fake->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        ssize_t got = 1;
        while (peer->fd != -1 && got > 0) {
            got = read(peer->fd, buffer_reserve(&peer->input, 65536), 65536);
            peer->input.len += got > 0 ? (size_t)got : 0;
        }
        while (peer->fd != -1 && fake_serve_one(fake, peer))
            ;
        if (peer->fd != -1 && got == 0) {
            close(peer->fd);
            peer->fd = -1;
            buffer_fini(&peer->input);
        }
    }
}

static inline void fake_turn(void)
{
    for (size_t i = 0; i < fake_count_all; i++)
        fake_serve(fakes[i]);
    h2o_evloop_run(fake_loop(), 1);
    fake_pass(1);
}

/* Runs the loop and all fakes, with `tick` in each turn, until `condition` is true. */
#define fake_wait(condition, tick)                                                                                                 \
    do {                                                                                                                           \
        int64_t fake_deadline = clock_wall_ms() + FAKE_WITHIN_MS;                                                                  \
        while (!(condition)) {                                                                                                     \
            if (clock_wall_ms() > fake_deadline)                                                                                   \
                fail_msg("not within %d ms: %s", FAKE_WITHIN_MS, #condition);                                                      \
            (void)(tick);                                                                                                          \
            fake_turn();                                                                                                           \
        }                                                                                                                          \
    } while (0)

#endif
