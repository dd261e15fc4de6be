#include "redis/sentinel.h"

#include "base/clock.h"
#include "redis/adapter.h"
#include "redis/command.h"
#include "redis/dial.h"

#include <stdio.h>
#include <stdlib.h>

#define IDLE_MS 1000 /* between calls of sentinel_tick while nothing is under way */

struct sentinel {
    const struct address *address;
    sentinel_callback *callback;
    void *data;
    struct dial dial;
    redisAsyncContext *redis; /* to number `at`; NULL: not connected */
    size_t at;
    bool asking;
    bool doubted;       /* the next question begins with the Sentinel after number `at` */
    size_t left;        /* asking: how many Sentinels may still be tried, with this one */
    int64_t give_up_at; /* asking: when to give this one up */
    char why[192];      /* asking: why the last one that was tried has not named the primary */
};

static void ask_this_one(struct sentinel *sentinel);

static void hang_up(struct sentinel *sentinel)
{
    dial_cancel(&sentinel->dial);
    redisAsyncContext *redis = sentinel->redis;
    sentinel->redis = NULL;
    if (redis != NULL)
        redisAsyncFree(redis);
}

static void ask_the_next(struct sentinel *sentinel, const char *why)
{
    char place[ADDRESS_PLACE_MAX];
    snprintf(sentinel->why, sizeof(sentinel->why), "no Sentinel knows the primary; %.70s: %.70s",
             endpoint_place(&sentinel->address->sentinels[sentinel->at], place), why);
    hang_up(sentinel);
    sentinel->at = (sentinel->at + 1) % sentinel->address->sentinel_count;
    if (--sentinel->left > 0) {
        ask_this_one(sentinel);
        return;
    }
    sentinel->asking = false;
    sentinel->callback(sentinel->data, NULL, sentinel->why);
}

bool sentinel_auth(struct buffer *out, const struct address *address)
{
    if (address->sentinel_user[0] == '\0' && address->sentinel_password[0] == '\0')
        return false;
    command_auth(out, address->sentinel_user, address->sentinel_password);
    return true;
}

void sentinel_question(struct buffer *out, const struct address *address)
{
    command_begin(out, 3);
    command_add(out, STR("SENTINEL"));
    command_add(out, STR("GET-MASTER-ADDR-BY-NAME"));
    command_add(out, str_from(address->primary));
}

const char *sentinel_read(const redisReply *reply, struct endpoint *out)
{
    if (reply->type == REDIS_REPLY_ERROR)
        return reply->str;
    if (reply->type == REDIS_REPLY_NIL)
        return "it has no primary of that name";
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_STRING || reply->element[0]->len > ADDRESS_HOST_MAX)
        return "what answers there is no Sentinel";
    long port = strtol(reply->element[1]->str, NULL, 10);
    if (port < 1 || port > 65535 || reply->element[0]->len == 0)
        return "what answers there is no Sentinel";
    memcpy(out->host, reply->element[0]->str, reply->element[0]->len + 1);
    out->port = (int)port;
    return NULL;
}

static void on_answer(redisAsyncContext *redis, void *data, void *privdata)
{
    struct sentinel *sentinel = privdata;
    const redisReply *reply = data;
    if (redis != sentinel->redis || !sentinel->asking ||
        reply == NULL) /* without a reply the connection is lost; see on_disconnect */
        return;
    struct endpoint primary;
    const char *why = sentinel_read(reply, &primary);
    if (why != NULL) {
        ask_the_next(sentinel, why);
        return;
    }
    sentinel->asking = false;
    sentinel->callback(sentinel->data, &primary, NULL);
}

/* Goes on to the next Sentinel if the password is refused: the error of the question that follows says less. */
static void on_auth(redisAsyncContext *redis, void *data, void *privdata)
{
    struct sentinel *sentinel = privdata;
    const redisReply *reply = data;
    if (redis == sentinel->redis && sentinel->asking && reply != NULL && reply->type == REDIS_REPLY_ERROR)
        ask_the_next(sentinel, reply->str);
}

static void send_question(struct sentinel *sentinel)
{
    struct buffer command = BUFFER_INIT;
    sentinel_question(&command, sentinel->address);
    redisAsyncFormattedCommand(sentinel->redis, on_answer, sentinel, command.ptr, command.len);
    buffer_fini(&command);
}

static void on_disconnect(const redisAsyncContext *redis, int status)
{
    (void)status;
    struct sentinel *sentinel = redis->data;
    if (redis != sentinel->redis)
        return;
    sentinel->redis = NULL;
    if (sentinel->asking)
        ask_the_next(sentinel, redis->errstr != NULL && redis->errstr[0] != '\0' ? redis->errstr : "the connection was closed");
}

static void on_dialled(void *data, redisAsyncContext *redis, const char *why)
{
    struct sentinel *sentinel = data;
    if (redis == NULL) {
        ask_the_next(sentinel, why);
        return;
    }
    redis->data = sentinel;
    sentinel->redis = redis;
    redisAsyncSetDisconnectCallback(redis, on_disconnect);
    struct buffer auth = BUFFER_INIT;
    if (sentinel_auth(&auth, sentinel->address))
        redisAsyncFormattedCommand(redis, on_auth, sentinel, auth.ptr, auth.len);
    buffer_fini(&auth);
    send_question(sentinel);
}

static void ask_this_one(struct sentinel *sentinel)
{
    sentinel->give_up_at = clock_ms() + SENTINEL_TIMEOUT_MS;
    if (sentinel->redis != NULL)
        send_question(sentinel);
    else
        dial_tcp(&sentinel->dial, &sentinel->address->sentinels[sentinel->at], 0);
}

struct sentinel *sentinel_new(struct st_h2o_evloop_t *loop, struct st_h2o_multithread_receiver_t *resolver,
                              const struct address *address, sentinel_callback *callback, void *data)
{
    struct sentinel *sentinel = calloc(1, sizeof(*sentinel));
    if (sentinel == NULL)
        abort();
    sentinel->address = address;
    sentinel->callback = callback;
    sentinel->data = data;
    sentinel->dial = (struct dial){.loop = loop, .resolver = resolver, .done = on_dialled, .data = sentinel};
    return sentinel;
}

void sentinel_ask(struct sentinel *sentinel)
{
    if (sentinel->asking)
        return;
    sentinel->asking = true;
    sentinel->left = sentinel->address->sentinel_count;
    if (sentinel->doubted) {
        sentinel->doubted = false;
        hang_up(sentinel);
        sentinel->at = (sentinel->at + 1) % sentinel->address->sentinel_count;
    }
    ask_this_one(sentinel);
}

void sentinel_doubt(struct sentinel *sentinel)
{
    sentinel->doubted = true;
}

int32_t sentinel_tick(struct sentinel *sentinel)
{
    int64_t now = clock_ms();
    if (sentinel->asking && now >= sentinel->give_up_at)
        ask_the_next(sentinel, "no answer in time");
    if (sentinel->redis != NULL)
        adapter_flush(sentinel->redis);
    if (!sentinel->asking)
        return IDLE_MS;
    return sentinel->give_up_at > now ? (int32_t)(sentinel->give_up_at - now) : 0;
}
