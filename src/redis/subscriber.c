#include "redis/subscriber.h"

#include "base/clock.h"
#include "base/log_repeat.h"
#include "redis/adapter.h"
#include "redis/command.h"
#include "redis/dial.h"
#include "redis/link.h"

#include <stdlib.h>

#define ATTEMPT_MS 1500 /* for connecting and the answer to SUBSCRIBE */
#define BACKOFF_MS 200

struct subscriber {
    const struct address *address;
    const struct link *link;
    struct dial dial;
    redisAsyncContext *redis;
    struct endpoint endpoint; /* the place to which it is connected, except for a unix socket */
    struct buffer channel;
    subscriber_callback *callback;
    void *data;
    bool wanted, dialling, listening;
    int failures;
    int64_t retry_at, give_up_at; /* clock_ms */
};

static void drop_connection(struct subscriber *subscriber, const char *why)
{
    redisAsyncContext *redis = subscriber->redis;
    if (why != NULL) {
        subscriber->failures++;
        log_repeatable(LOG_WARN, "subscription_lost", "Redis can't be listened to, trying on", 1, log_text("why", why));
    }
    subscriber->retry_at = clock_ms() + (why != NULL ? BACKOFF_MS : 0);
    subscriber->listening = subscriber->dialling = false;
    subscriber->redis = NULL;
    dial_cancel(&subscriber->dial);
    if (redis != NULL)
        redisAsyncFree(redis);
}

static void on_disconnect(const redisAsyncContext *redis, int status)
{
    (void)status;
    struct subscriber *subscriber = redis->data;
    if (redis != subscriber->redis)
        return;
    subscriber->redis = NULL; /* hiredis frees it */
    drop_connection(subscriber, "the connection was closed");
}

static void on_auth(redisAsyncContext *redis, void *data, void *privdata)
{
    struct subscriber *subscriber = privdata;
    const redisReply *reply = data;
    if (redis == subscriber->redis && reply != NULL && reply->type == REDIS_REPLY_ERROR)
        drop_connection(subscriber, reply->str);
}

/* Receives from the channel: {"subscribe", its name, 1} once, then {"message", its name, text} for each message. */
static void on_push(redisAsyncContext *redis, void *data, void *privdata)
{
    struct subscriber *subscriber = privdata;
    const redisReply *reply = data;
    if (redis != subscriber->redis || reply == NULL) /* without a reply the connection is lost; see on_disconnect */
        return;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3) {
        drop_connection(subscriber, reply->type == REDIS_REPLY_ERROR ? reply->str : "what answers there is no Redis");
        return;
    }
    const redisReply *message = reply->element[2];
    subscriber->listening = true;
    subscriber->failures = 0;
    if (message->type == REDIS_REPLY_STRING)
        subscriber->callback(subscriber->data, (struct str){message->str, message->len});
    else
        subscriber->callback(subscriber->data, (struct str){NULL, 0});
}

static void send_command(struct subscriber *subscriber, struct buffer *command, redisCallbackFn *callback)
{
    buffer_append(command, (struct str){"", 1}); /* hiredis reads a SUBSCRIBE up to a NUL, whatever its length is */
    if (redisAsyncFormattedCommand(subscriber->redis, callback, subscriber, command->ptr, command->len - 1) != REDIS_OK)
        subscriber->give_up_at = clock_ms();
    buffer_fini(command);
}

static void on_dialled(void *data, redisAsyncContext *redis, const char *why)
{
    struct subscriber *subscriber = data;
    struct buffer command = BUFFER_INIT;
    subscriber->dialling = false;
    if (redis == NULL) {
        drop_connection(subscriber, why);
        return;
    }
    redis->data = subscriber;
    subscriber->redis = redis;
    redisAsyncSetDisconnectCallback(redis, on_disconnect);
    if (address_has_secret(subscriber->address)) {
        command_auth(&command, subscriber->address->user, subscriber->address->password);
        send_command(subscriber, &command, on_auth);
    }
    command_begin(&command, 2);
    command_add(&command, STR("SUBSCRIBE"));
    command_add(&command, buffer_str(&subscriber->channel));
    send_command(subscriber, &command, on_push);
}

static void dial_redis(struct subscriber *subscriber)
{
    subscriber->dialling = true;
    subscriber->give_up_at = clock_ms() + ATTEMPT_MS;
    if (subscriber->address->path[0] != '\0') {
        dial_unix(&subscriber->dial, subscriber->address->path);
    } else {
        subscriber->endpoint = *link_endpoint(subscriber->link);
        dial_tcp(&subscriber->dial, &subscriber->endpoint, subscriber->failures);
    }
}

struct subscriber *subscriber_new(const struct link *link, struct str channel, subscriber_callback *callback, void *data)
{
    struct subscriber *subscriber = calloc(1, sizeof(*subscriber));
    if (subscriber == NULL)
        abort();
    subscriber->address = link_address(link);
    subscriber->link = link;
    subscriber->dial = link_dial(link);
    subscriber->dial.done = on_dialled;
    subscriber->dial.data = subscriber;
    buffer_append(&subscriber->channel, channel);
    subscriber->callback = callback;
    subscriber->data = data;
    return subscriber;
}

bool subscriber_listen(struct subscriber *subscriber)
{
    subscriber->wanted = true;
    return subscriber->listening;
}

int32_t subscriber_tick(struct subscriber *subscriber)
{
    int64_t now = clock_ms();
    bool busy = subscriber->dialling || subscriber->redis != NULL;
    if (!subscriber->wanted)
        return 1000;
    if (busy && link_is_up(subscriber->link) && subscriber->address->path[0] == '\0' &&
        !endpoint_eq(&subscriber->endpoint, link_endpoint(subscriber->link)))
        drop_connection(subscriber, NULL); /* the primary is another one now */
    else if (busy && !subscriber->listening && now >= subscriber->give_up_at)
        drop_connection(subscriber, "connecting took too long");
    if (!subscriber->dialling && subscriber->redis == NULL && now >= subscriber->retry_at && link_is_up(subscriber->link))
        dial_redis(subscriber);
    if (subscriber->redis != NULL)
        adapter_flush(subscriber->redis);
    if (subscriber->listening)
        return 1000;
    int64_t next = subscriber->redis != NULL || subscriber->dialling ? subscriber->give_up_at : subscriber->retry_at;
    return next - now > 1000 ? 1000 : next > now ? (int32_t)(next - now) : link_is_up(subscriber->link) ? 1 : 100;
}
