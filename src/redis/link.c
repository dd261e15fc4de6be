#include "redis/link.h"

#include "base/clock.h"
#include "base/log_repeat.h"
#include "base/metrics.h"
#include "redis/adapter.h"
#include "redis/dial.h"
#include "redis/greeting.h"
#include "redis/link_state.h"
#include "redis/refusal.h"
#include "redis/sentinel.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECT_TIMEOUT_MS 1500 /* for the look-up of the name and connecting; the greeting gets the same time again */
#define WATCH_INTERVAL_MS 500   /* how often to ask whether the server still is the primary */
#define BACKOFF_MIN_MS 20
#define BACKOFF_MAX_MS 500
#define NO_SCRIPT SCRIPT_COUNT
_Static_assert(NO_SCRIPT < METRICS_SCRIPTS_MAX, "a place in the metrics for each script");
#define SCRIPT_LOADS_MAX 3 /* per call; a script that is still missing then was removed each time by a SCRIPT FLUSH */

/* A command on its way. */
struct call {
    struct call *next;
    struct link *link;
    link_callback *callback; /* NULL: nobody waits for the reply */
    void *data;
    enum script script; /* NO_SCRIPT for other commands */
    int loads;          /* how often the script had to be loaded for this call */
    int64_t sent_at;    /* clock_us */
    struct buffer command;
};

static void on_reply(redisAsyncContext *redis, void *data, void *privdata);

static void call_finish(struct call *call, enum err err, const struct redisReply *reply)
{
    if (err != ERR_NONE)
        metric_add(&metrics->command_errors[err], 1);
    if (call->callback != NULL)
        call->callback(call->data, err, reply);
    buffer_fini(&call->command);
    free(call);
}

/* Gives a call to hiredis. False: the connection takes no more commands. */
static bool call_submit(struct link *link, struct call *call)
{
    if (redisAsyncFormattedCommand(link->redis, on_reply, call, call->command.ptr, call->command.len) != REDIS_OK)
        return false;
    call->sent_at = clock_us();
    if (link->first == NULL)
        link->heard_at = call->sent_at / 1000;
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

/* Sends a command of the link itself; `callback` gets the link. False: the connection takes no more commands. */
static bool send_quietly(struct link *link, struct buffer *command, link_callback *callback)
{
    struct call *call = call_new(link, NO_SCRIPT, command, callback, link);
    if (call_submit(link, call))
        return true;
    call->callback = NULL;
    call_finish(call, ERR_UNAVAILABLE, NULL);
    return false;
}

/* Gives up the present attempt or connection, and plans the next attempt. */
static void link_drop(struct link *link, enum err cause, const char *why)
{
    enum link_state before = link->state;
    if (before == LINK_DOWN)
        return;
    link->state = LINK_DOWN;
    link->retry_at = clock_ms() + link->backoff +
                     clock_us() % (link->backoff / 2 + 1); /* a random part, so that the instances don't all come at once */
    link->backoff = link->backoff * 2 < BACKOFF_MAX_MS ? link->backoff * 2 : BACKOFF_MAX_MS;
    link->failures++;
    link->cause = cause;
    snprintf(link->why, sizeof(link->why), "%s", why);
    if (before == LINK_UP)
        metric_add(&metrics->redis_disconnects, 1);
    char place[ADDRESS_PLACE_MAX];
    bool left = cause == ERR_NEWER || cause == ERR_OLDER;
    log_repeatable(LOG_WARN, left ? "redis_left" : "redis_lost",
                   left                ? "what is in Redis is not touched, trying on"
                   : before == LINK_UP ? "Redis is lost"
                                       : "Redis can't be reached, trying on",
                   2, log_text("redis", link_place(link, place)), log_str("why", refusal_text(str_from(why))));
    dial_cancel(&link->dial);
    if (link->sentinel != NULL && (before == LINK_CONNECTING || before == LINK_GREETING))
        sentinel_doubt(link->sentinel);
    if (link->redis != NULL) {
        redisAsyncContext *redis = link->redis;
        link->redis = NULL;
        redisAsyncFree(redis); /* calls back all calls in flight with ERR_UNAVAILABLE */
    }
}

static void link_came_up(struct link *link)
{
    link->state = LINK_UP;
    metric_add(&metrics->redis_connects, 1);
    link->backoff = BACKOFF_MIN_MS;
    char place[ADDRESS_PLACE_MAX];
    log_repeatable(link->failures > 0 ? LOG_INFO : LOG_DEBUG, "redis_up", "Redis answers", 1,
                   log_text("redis", link_place(link, place)), log_number("failed_attempts", link->failures));
    link->failures = 0;
}

/*
 * Drops the link if the error is about the server and not about the command: the server has become a replica, another node has our
 * keys ("MOVED 3999 10.0.0.2:6381"), or its data is of a newer format. The next attempt then looks for the right server, or waits.
 */
static void link_heed(struct link *link, enum err err, struct str text)
{
    char why[GREETING_WHY_MAX];
    if (err != ERR_READONLY && err != ERR_MASTER_DOWN && err != ERR_MOVED && err != ERR_NEWER)
        return;
    if (err == ERR_NEWER)
        (void)str_cut(&text, ' '); /* the word that names the error; the sentence behind it says all */
    snprintf(why, sizeof(why), "%.*s", STR_PRINTF(text));
    if (err == ERR_MOVED) {
        (void)str_cut(&text, ' ');
        (void)str_cut(&text, ' ');
        link->redirected = endpoint_read(text, &link->endpoint);
    }
    link_drop(link, err, why);
}

/* Loads a script that Redis does not have, and sends the call again after it. False: this can't be done. */
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
    int64_t now = clock_us();
    link->heard_at = now / 1000;
    if (reply != NULL)
        histogram_observe(&metrics->command_us[call->script], metrics_latency_bounds, now - call->sent_at);

    if (reply == NULL) {
        call_finish(call, ERR_UNAVAILABLE, NULL);
    } else if (reply->type != REDIS_REPLY_ERROR) {
        call_finish(call, ERR_NONE, reply);
    } else {
        struct str text = {reply->str, reply->len};
        if (text.len >= 8 && memcmp(text.ptr, "NOSCRIPT", 8) == 0 && call_reload(link, call))
            return;
        enum err err = refusal_read(text);
        if ((err == ERR_INTERNAL || err == ERR_NOT_PERMITTED) &&
            call->data != link) /* the link logs the errors of its own commands itself */
            refusal_log(call->script, text);
        bool greets = link->state == LINK_GREETING;
        if (!greets || err == ERR_MOVED)
            link_heed(link, err, text);
        call_finish(call, err, greets ? reply : NULL);
    }
}

static void on_opened(void *data, enum err err, const struct redisReply *reply);

/* Takes the next step of the opener. The link is up when the opener has no more commands. */
static void link_open(struct link *link, enum err err, const struct redisReply *reply)
{
    struct buffer command = BUFFER_INIT;
    char why[GREETING_WHY_MAX] = "connection lost while greeting";
    if (link->opener != NULL)
        err = link->opener(link->opener_data, link, err, reply, &command, why);
    if (err != ERR_NONE) {
        buffer_fini(&command);
        link_drop(link, err, why);
    } else if (command.len > 0) {
        link->give_up_at = clock_ms() + CONNECT_TIMEOUT_MS;
        (void)send_quietly(link, &command, on_opened);
    } else {
        link_came_up(link);
    }
}

static void on_opened(void *data, enum err err, const struct redisReply *reply)
{
    struct link *link = data;
    if (link->state == LINK_GREETING)
        link_open(link, err, reply);
}

/* Checks a reply of the greeting. Each one must be good; after the last one the opener has its turn. */
static void on_greeted(void *data, enum err err, const struct redisReply *reply)
{
    struct link *link = data;
    char why[GREETING_WHY_MAX];
    if (link->state != LINK_GREETING)
        return;
    err = greeting_judge(link->greeting, link->address, reply, why);
    if (err != ERR_NONE) {
        link_drop(link, err, why);
        return;
    }
    if (link->greeting == GREETING_INFO)
        greeting_server(reply, &link->server);
    if (link->greeting == GREETING_CONFIG)
        link->min_replicas = greeting_min_replicas(reply);
    link->greeting = greeting_from(link->greeting + 1, link->address);
    if (link->greeting == GREETING_END)
        link_open(link, ERR_NONE, NULL);
}

static void on_disconnect(const redisAsyncContext *redis, int status)
{
    (void)status;
    struct link *link = redis->data;
    if (redis != link->redis)
        return;
    link->redis = NULL;
    link_drop(link, ERR_UNAVAILABLE,
              redis->errstr != NULL && redis->errstr[0] != '\0' ? redis->errstr : "the connection was closed");
}

static void on_dialled(void *data, redisAsyncContext *redis, const char *why)
{
    struct link *link = data;
    if (redis == NULL) {
        link_drop(link, ERR_UNAVAILABLE, why);
        return;
    }
    redis->data = link;
    link->redis = redis;
    redisAsyncSetDisconnectCallback(redis, on_disconnect);
    link->state = LINK_GREETING;
    link->hides_role = false;
    link->server = (struct greeting_server){.run = ""};
    link->give_up_at = clock_ms() + CONNECT_TIMEOUT_MS;
    link->greeting = greeting_from(0, link->address);
    for (int step = link->greeting; step < GREETING_END; step = greeting_from(step + 1, link->address)) {
        struct buffer command = BUFFER_INIT;
        greeting_command(&command, step, link->address);
        (void)send_quietly(link, &command, on_greeted);
    }
}

static void link_connect(struct link *link)
{
    link->state = LINK_CONNECTING;
    link->give_up_at = clock_ms() + CONNECT_TIMEOUT_MS;
    link->watch_at = clock_ms() + WATCH_INTERVAL_MS;
    if (link->address->path[0] != '\0')
        dial_unix(&link->dial, link->address->path);
    else /* a name may have several addresses ("localhost": ::1, then 127.0.0.1): each failure moves on to the next */
        dial_tcp(&link->dial, &link->endpoint, link->failures);
}

/* Begins an attempt. */
static void link_seek(struct link *link)
{
    if (link->redirected) {
        link->redirected = false; /* for this attempt only */
        link_connect(link);
    } else if (link->sentinel != NULL) {
        link->state = LINK_SEEKING;
        sentinel_ask(link->sentinel);
    } else {
        link->endpoint = link->address->tcp;
        link_connect(link);
    }
}

static void on_primary(void *data, const struct endpoint *primary, const char *why)
{
    struct link *link = data;
    if (link->state == LINK_SEEKING && primary == NULL) {
        link->endpoint.host[0] = '\0';
        link_drop(link, ERR_UNAVAILABLE, why);
    } else if (link->state == LINK_SEEKING) {
        link->endpoint = *primary;
        link_connect(link);
    } else if (link->state != LINK_DOWN && primary != NULL && !endpoint_eq(primary, &link->endpoint)) {
        link->backoff = BACKOFF_MIN_MS;
        link_drop(link, ERR_UNAVAILABLE, "the Sentinels name another primary");
    }
}

static void on_role(void *data, enum err err, const struct redisReply *reply)
{
    struct link *link = data;
    char why[GREETING_WHY_MAX];
    if (err == ERR_NOT_PERMITTED)
        link->hides_role = true;
    if (err == ERR_NONE && link->state == LINK_UP)
        err = greeting_judge_role(reply, why);
    if (err != ERR_NONE && link->state == LINK_UP && reply != NULL)
        link_drop(link, err, why);
}

/*
 * Asks whether the server still is the primary and has our keys. A primary that was demoted by hand still answers reads, and an
 * idle link gets no errors.
 */
static void link_watch(struct link *link)
{
    struct buffer command = BUFFER_INIT;
    link->watch_at = clock_ms() + WATCH_INTERVAL_MS;
    if (link->sentinel != NULL)
        sentinel_ask(link->sentinel);
    if (link->state != LINK_UP || link->address->replica)
        return;
    greeting_command(&command, GREETING_PROBE, link->address);
    (void)send_quietly(link, &command, NULL);
    if (!link->hides_role) {
        greeting_role(&command);
        (void)send_quietly(link, &command, on_role);
    }
}

struct link *link_new(h2o_loop_t *loop, h2o_multithread_receiver_t *resolver, const struct address *address)
{
    struct link *link = calloc(1, sizeof(*link));
    if (link == NULL)
        abort();
    link->address = address;
    link->dial = (struct dial){.loop = loop, .resolver = resolver, .done = on_dialled, .data = link};
    if (address->sentinel_count > 0)
        link->sentinel = sentinel_new(loop, resolver, address, on_primary, link);
    link->last = &link->first;
    link->backoff = BACKOFF_MIN_MS;
    link->cause = ERR_UNAVAILABLE;
    return link;
}

struct link *link_new_alike(const struct link *link)
{
    struct link *made = link_new(link->dial.loop, link->dial.resolver, link->address);
    link_set_opener(made, link->opener, link->opener_data);
    return made;
}

enum err link_run(struct link *link, enum script script, struct buffer *command, link_callback *callback, void *data)
{
    enum err err = link_check(link);
    if (err == ERR_NONE && (link->in_flight >= LINK_IN_FLIGHT_MAX || link->in_flight_bytes >= LINK_BYTES_MAX))
        err = ERR_OVERLOADED;
    if (err != ERR_NONE) {
        metric_add(&metrics->command_errors[err], 1);
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

/* Returns for how many ms the server may be silent while commands wait. */
static int32_t link_patience(const struct link *link)
{
    return link->address->replica ? LINK_REPLICA_TIMEOUT_MS : LINK_REPLY_TIMEOUT_MS;
}

/* Does what is due: watches, retries, and drops a link that is silent for too long. */
static void link_keep(struct link *link, int64_t now)
{
    bool connected = link->state == LINK_CONNECTING || link->state == LINK_GREETING || link->state == LINK_UP;
    if (connected && now >= link->watch_at)
        link_watch(link);
    if (link->state == LINK_DOWN && now >= link->retry_at)
        link_seek(link);
    else if (link->state == LINK_UP && link->first != NULL && now - link->heard_at >= link_patience(link))
        link_drop(link, ERR_UNAVAILABLE, "no reply in time");
    else if ((link->state == LINK_CONNECTING || link->state == LINK_GREETING) && now >= link->give_up_at)
        link_drop(link, ERR_UNAVAILABLE, "connecting took too long");
}

int32_t link_tick(struct link *link)
{
    int64_t now = clock_ms();
    link_keep(link, now);
    link_flush(link);

    int64_t next = now + 1000;
    if (link->sentinel != NULL)
        next = now + sentinel_tick(link->sentinel);
    if (link->state == LINK_DOWN && link->retry_at < next)
        next = link->retry_at;
    if (link->state != LINK_DOWN && link->state != LINK_SEEKING && link->watch_at < next)
        next = link->watch_at;
    if ((link->state == LINK_CONNECTING || link->state == LINK_GREETING) && link->give_up_at < next)
        next = link->give_up_at;
    if (link->state == LINK_UP && link->first != NULL && link->heard_at + link_patience(link) < next)
        next = link->heard_at + link_patience(link);
    return next > now ? (int32_t)(next - now) : 0;
}
