#include "redis/link.h"

#include "base/clock.h"
#include "base/log_repeat.h"
#include "redis/adapter.h"
#include "redis/command.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <h2o/hostinfo.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdlib.h>

#define CONNECT_TIMEOUT_MS 1500 /* for resolving and connecting; then again for greeting */
#define BACKOFF_MIN_MS 20
#define BACKOFF_MAX_MS 500
#define NO_SCRIPT SCRIPT_COUNT
#define SCRIPT_LOADS_MAX 3 /* a script that is gone again after so many loads is somebody's SCRIPT FLUSH in a loop */

enum link_state { LINK_DOWN, LINK_RESOLVING, LINK_CONNECTING, LINK_GREETING, LINK_UP };

/* A command on its way. */
struct call {
    struct call *next;
    struct link *link;
    link_callback *callback; /* NULL: nobody waits for the reply */
    void *data;
    enum script script; /* NO_SCRIPT for other commands */
    int loads;          /* how often the script had to be loaded for this call */
    struct buffer command;
};

struct link {
    h2o_loop_t *loop;
    h2o_multithread_receiver_t *resolver;
    const struct address *address;
    enum link_state state;
    redisAsyncContext *redis;          /* CONNECTING, GREETING, UP */
    h2o_hostinfo_getaddr_req_t *query; /* RESOLVING */
    struct call *first, **last;        /* commands in flight, oldest first */
    size_t in_flight, in_flight_bytes;
    int64_t heard_at;   /* when the last reply came, or else when the first command of those in flight was sent */
    int greetings;      /* GREETING: replies still to come */
    int64_t retry_at;   /* DOWN */
    int64_t give_up_at; /* RESOLVING, CONNECTING, GREETING */
    int32_t backoff;
    int failures; /* attempts that failed since it was last up */
};

static void on_reply(redisAsyncContext *redis, void *data, void *privdata);

static void call_finish(struct call *call, enum err err, const struct redisReply *reply)
{
    if (call->callback != NULL)
        call->callback(call->data, err, reply);
    buffer_fini(&call->command);
    free(call);
}

/* Puts a call in flight; false when the connection takes no more. */
static bool call_submit(struct link *link, struct call *call)
{
    if (redisAsyncFormattedCommand(link->redis, on_reply, call, call->command.ptr, call->command.len) != REDIS_OK)
        return false;
    if (link->first == NULL)
        link->heard_at = clock_ms();
    call->next = NULL;
    *link->last = call;
    link->last = &call->next;
    link->in_flight++;
    link->in_flight_bytes += call->command.len;
    return true;
}

static struct call *call_new(struct link *link, enum script script, struct buffer *command, link_callback *callback, void *data)
{
    struct call *call = calloc(1, sizeof(*call));
    if (call == NULL)
        abort();
    call->link = link;
    call->callback = callback;
    call->data = data;
    call->script = script;
    call->command = *command;
    *command = BUFFER_INIT;
    return call;
}

/* Sends `command` without waiting for its reply to tell anybody. */
static bool send_quietly(struct link *link, struct buffer *command, link_callback *callback)
{
    struct call *call = call_new(link, NO_SCRIPT, command, callback, link);
    if (call_submit(link, call))
        return true;
    call->callback = NULL;
    call_finish(call, ERR_UNAVAILABLE, NULL);
    return false;
}

/* What Redis says, without the arguments that it quotes of a command that it does not know: one of AUTH is a password. */
static struct str without_args(struct str text)
{
    const char *args = text.len > 0 ? memmem(text.ptr, text.len, ", with args", 11) : NULL;
    return args != NULL ? (struct str){text.ptr, (size_t)(args - text.ptr)} : text;
}

/* Gives up the present attempt or connection and plans the next. */
static void link_drop(struct link *link, const char *why)
{
    enum link_state before = link->state;
    if (before == LINK_DOWN)
        return;
    link->state = LINK_DOWN;
    link->retry_at =
        clock_ms() + link->backoff + clock_us() % (link->backoff / 2 + 1); /* so that instances don't come all at once */
    link->backoff = link->backoff * 2 < BACKOFF_MAX_MS ? link->backoff * 2 : BACKOFF_MAX_MS;
    link->failures++;
    char place[ADDRESS_PLACE_MAX];
    log_repeatable(LOG_WARN, "redis_lost", before == LINK_UP ? "Redis is lost" : "Redis can't be reached, trying on", 2,
                   log_text("redis", address_place(link->address, place)), log_str("why", without_args(str_from(why))));
    if (link->query != NULL) {
        h2o_hostinfo_getaddr_cancel(link->query);
        link->query = NULL;
    }
    if (link->redis != NULL) {
        redisAsyncContext *redis = link->redis;
        link->redis = NULL;
        redisAsyncFree(redis); /* runs the callbacks of all that wait */
    }
}

static void link_came_up(struct link *link)
{
    link->state = LINK_UP;
    link->backoff = BACKOFF_MIN_MS;
    char place[ADDRESS_PLACE_MAX];
    log_repeatable(link->failures > 0 ? LOG_INFO : LOG_DEBUG, "redis_up", "Redis answers", 1,
                   log_text("redis", address_place(link->address, place)), log_number("failed_attempts", link->failures));
    link->failures = 0;
}

/* The script of a call is not in Redis (any more): loads it and sends the call again behind it. */
static bool call_reload(struct link *link, struct call *call)
{
    if (call->script == NO_SCRIPT || call->loads++ == SCRIPT_LOADS_MAX || link->redis == NULL)
        return false;
    struct buffer load = BUFFER_INIT;
    script_load_command(&load, call->script);
    return send_quietly(link, &load, NULL) && call_submit(link, call);
}

static void on_reply(redisAsyncContext *redis, void *data, void *privdata)
{
    (void)redis;
    struct call *call = privdata;
    struct link *link = call->link;
    const redisReply *reply = data;
    assert(link->first == call);
    link->first = call->next;
    if (link->first == NULL)
        link->last = &link->first;
    link->in_flight--;
    link->in_flight_bytes -= call->command.len;
    link->heard_at = clock_ms();

    if (reply == NULL) {
        call_finish(call, ERR_UNAVAILABLE, NULL);
    } else if (reply->type != REDIS_REPLY_ERROR) {
        call_finish(call, ERR_NONE, reply);
    } else {
        struct str text = {reply->str, reply->len};
        if (text.len >= 8 && memcmp(text.ptr, "NOSCRIPT", 8) == 0 && call_reload(link, call))
            return;
        enum err err = err_from_reply(text);
        if (err == ERR_INTERNAL && call->data != link) /* the link's own commands say it themselves */
            log_repeatable(LOG_ERROR, "redis_error", "Redis refused a command", 2, log_str("reply", without_args(text)),
                           log_text("script", call->script != NO_SCRIPT ? script_texts[call->script].name : ""));
        call_finish(call, err, link->state == LINK_GREETING ? reply : NULL);
    }
}

/*
 * Every reply of a greeting must be good; the last one opens the link. An echo is no reply: a socket that connects to a local port where
 * nobody listens may meet itself (RFC 9293, section 3.5, simultaneous open).
 */
static void on_greeted(void *data, enum err err, const struct redisReply *reply)
{
    struct link *link = data;
    if (link->state != LINK_GREETING)
        return;
    if (err != ERR_NONE)
        link_drop(link, reply != NULL ? reply->str : "connection lost while greeting");
    else if (reply->type != REDIS_REPLY_STATUS && reply->type != REDIS_REPLY_STRING)
        link_drop(link, "what answers there is no Redis");
    else if (--link->greetings == 0)
        link_came_up(link);
}

static void greet(struct link *link, struct buffer *command)
{
    if (link->state == LINK_GREETING && send_quietly(link, command, on_greeted))
        link->greetings++;
    buffer_fini(command);
}

/* A Redis that evicts keys loses workers without a word: says so, once for each process. */
static void on_memory_info(void *data, enum err err, const struct redisReply *reply)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    (void)data;
    if (err != ERR_NONE || reply->type != REDIS_REPLY_STRING || strstr(reply->str, "maxmemory_policy:") == NULL ||
        strstr(reply->str, "maxmemory_policy:noeviction") != NULL || atomic_flag_test_and_set(&told))
        return;
    log_event(LOG_WARN, "redis_evicts", "Redis may throw workers away for room: set its maxmemory-policy to noeviction");
}

static void link_greet(struct link *link)
{
    const struct address *address = link->address;
    struct buffer command = BUFFER_INIT;
    link->state = LINK_GREETING;
    link->give_up_at = clock_ms() + CONNECT_TIMEOUT_MS;
    link->greetings = 0;
    if (address->password[0] != '\0') {
        command_begin(&command, address->user[0] != '\0' ? 3 : 2);
        command_add(&command, STR("AUTH"));
        if (address->user[0] != '\0')
            command_add(&command, str_from(address->user));
        command_add(&command, str_from(address->password));
        greet(link, &command);
    }
    if (address->db != 0) {
        command_begin(&command, 2);
        command_add(&command, STR("SELECT"));
        command_add_number(&command, address->db);
        greet(link, &command);
    }
    command_begin(&command, 3);
    command_add(&command, STR("CLIENT"));
    command_add(&command, STR("SETNAME"));
    command_add(&command, STR("rma-coordinator"));
    greet(link, &command);
    for (int script = 0; script < SCRIPT_COUNT; script++) {
        script_load_command(&command, (enum script)script);
        greet(link, &command);
    }
    command_begin(&command, 2);
    command_add(&command, STR("INFO"));
    command_add(&command, STR("memory"));
    send_quietly(link, &command, on_memory_info);
}

static void on_connect(const redisAsyncContext *redis, int status)
{
    struct link *link = redis->data;
    if (redis != link->redis)
        return;
    if (status == REDIS_OK) {
        link_greet(link);
        return;
    }
    link->redis = NULL; /* hiredis frees a context that could not connect */
    link_drop(link, redis->c.errstr[0] != '\0' ? redis->c.errstr : strerror(errno));
}

static void on_disconnect(const redisAsyncContext *redis, int status)
{
    (void)status;
    struct link *link = redis->data;
    if (redis != link->redis)
        return;
    link->redis = NULL;
    link_drop(link, redis->errstr != NULL && redis->errstr[0] != '\0' ? redis->errstr : "the connection was closed");
}

static void link_open(struct link *link, redisAsyncContext *redis)
{
    link->state = LINK_CONNECTING;
    if (redis == NULL)
        abort();
    if (redis->err != 0) {
        char why[sizeof(redis->c.errstr)];
        snprintf(why, sizeof(why), "%s", redis->errstr);
        redisAsyncFree(redis);
        link_drop(link, why);
        return;
    }
    fcntl(redis->c.fd, F_SETFD, FD_CLOEXEC); /* not for an embedded redis-server that is started later */
    redis->data = link;
    link->redis = redis;
    adapter_attach(redis, link->loop);
    redisAsyncSetConnectCallback(redis, on_connect);
    redisAsyncSetDisconnectCallback(redis, on_disconnect);
}

static void on_resolved(h2o_hostinfo_getaddr_req_t *query, const char *err, struct addrinfo *found, void *data)
{
    (void)query;
    struct link *link = data;
    const struct addrinfo *chosen = found;
    link->query = NULL;
    if (err != NULL || found == NULL) {
        link_drop(link, err != NULL ? err : "the name look-up gave no address");
        return;
    }
    /* a name may have several addresses ("localhost": ::1, then 127.0.0.1): each failure moves on to the next */
    for (int skip = link->failures; skip > 0; skip--)
        chosen = chosen->ai_next != NULL ? chosen->ai_next : found;
    char host[NI_MAXHOST];
    if (getnameinfo(chosen->ai_addr, chosen->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST) != 0)
        link_drop(link, "the name look-up gave no address");
    else
        link_open(link, redisAsyncConnect(host, link->address->port));
}

static void link_connect(struct link *link)
{
    const struct address *address = link->address;
    link->give_up_at = clock_ms() + CONNECT_TIMEOUT_MS;
    if (address->path[0] != '\0') {
        link_open(link, redisAsyncConnectUnix(address->path));
        return;
    }
    char port[16];
    snprintf(port, sizeof(port), "%d", address->port);
    link->state = LINK_RESOLVING;
    link->query = h2o_hostinfo_getaddr(link->resolver, h2o_iovec_init(address->host, strlen(address->host)),
                                       h2o_iovec_init(port, strlen(port)), AF_UNSPEC, SOCK_STREAM, IPPROTO_TCP, AI_NUMERICSERV,
                                       on_resolved, link);
}

struct link *link_new(h2o_loop_t *loop, h2o_multithread_receiver_t *resolver, const struct address *address)
{
    struct link *link = calloc(1, sizeof(*link));
    if (link == NULL)
        abort();
    link->loop = loop;
    link->resolver = resolver;
    link->address = address;
    link->last = &link->first;
    link->backoff = BACKOFF_MIN_MS;
    return link;
}

bool link_is_up(const struct link *link)
{
    return link->state == LINK_UP;
}

enum err link_run(struct link *link, enum script script, struct buffer *command, link_callback *callback, void *data)
{
    enum err err = ERR_NONE;
    if (link->state != LINK_UP)
        err = ERR_UNAVAILABLE;
    else if (link->in_flight >= LINK_IN_FLIGHT_MAX || link->in_flight_bytes >= LINK_BYTES_MAX)
        err = ERR_OVERLOADED;
    if (err != ERR_NONE) {
        buffer_fini(command);
        return err;
    }
    struct call *call = call_new(link, script, command, callback, data);
    if (!call_submit(link, call)) {
        call->callback = NULL;
        call_finish(call, ERR_UNAVAILABLE, NULL);
        return ERR_UNAVAILABLE;
    }
    return ERR_NONE;
}

enum err link_send(struct link *link, struct buffer *command, link_callback *callback, void *data)
{
    return link_run(link, NO_SCRIPT, command, callback, data);
}

void link_flush(struct link *link)
{
    if (link->redis != NULL && (link->state == LINK_UP || link->state == LINK_GREETING))
        adapter_flush(link->redis);
}

int32_t link_tick(struct link *link)
{
    int64_t now = clock_ms();
    if (link->state == LINK_DOWN && now >= link->retry_at)
        link_connect(link);
    else if (link->state == LINK_UP && link->first != NULL && now - link->heard_at >= LINK_REPLY_TIMEOUT_MS)
        link_drop(link, "no reply in time");
    else if (link->state != LINK_DOWN && link->state != LINK_UP && now >= link->give_up_at)
        link_drop(link, "connecting took too long");
    link_flush(link);

    int64_t next = now + 1000;
    if (link->state == LINK_DOWN)
        next = link->retry_at;
    else if (link->state != LINK_UP)
        next = link->give_up_at;
    else if (link->first != NULL)
        next = link->heard_at + LINK_REPLY_TIMEOUT_MS;
    if (next - now > 1000)
        return 1000;
    return next > now ? (int32_t)(next - now) : 0;
}
