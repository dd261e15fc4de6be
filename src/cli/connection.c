#include "cli/connection.h"

#include "base/clock.h"
#include "redis/command.h"
#include "redis/embedded.h"
#include "redis/greeting.h"
#include "redis/refusal.h"
#include "redis/sentinel.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define CONNECT_TIMEOUT_S 5
#define SENTINEL_TIMEOUT_S 1
#define REPLY_TIMEOUT_S 10
#define LOADING_TIMEOUT_MS 120000 /* until Redis has loaded its data */
#define NEIGHBOUR_TIMEOUT_MS 3000 /* until the Redis of a coordinator that is just starting takes connections */

/* Returns a connected context, or NULL with the reason in `why`. */
static redisContext *try_connect(const struct address *address, char why[TRANSFER_WHY_MAX])
{
    const struct timeval timeout = {CONNECT_TIMEOUT_S, 0}, reply_timeout = {REPLY_TIMEOUT_S, 0};
    char place[ADDRESS_PLACE_MAX];
    redisContext *redis = address->path[0] != '\0' ? redisConnectUnixWithTimeout(address->path, timeout)
                                                   : redisConnectWithTimeout(address->tcp.host, address->tcp.port, timeout);
    if (redis == NULL)
        abort();
    if (redis->err == 0 && redisSetTimeout(redis, reply_timeout) == REDIS_OK)
        return redis;
    snprintf(why, TRANSFER_WHY_MAX, "Redis at %.120s can't be reached: %.100s", address_place(address, place), redis->errstr);
    redisFree(redis);
    return NULL;
}

/* Asks one Sentinel for the primary; false, with the reason in `why`, if it does not know it. */
static bool ask_sentinel(const struct address *address, const struct endpoint *sentinel, struct endpoint *out,
                         char why[TRANSFER_WHY_MAX])
{
    const struct timeval timeout = {SENTINEL_TIMEOUT_S, 0};
    redisContext *redis = redisConnectWithTimeout(sentinel->host, sentinel->port, timeout);
    if (redis == NULL)
        abort();
    struct buffer commands = BUFFER_INIT;
    int replies = sentinel_auth(&commands, address) ? 2 : 1;
    sentinel_question(&commands, address);
    const char *cause = NULL;
    void *reply = NULL;
    if (redis->err == 0 && redisSetTimeout(redis, timeout) == REDIS_OK)
        redisAppendFormattedCommand(redis, commands.ptr, commands.len);
    buffer_fini(&commands);
    for (bool ok = redis->err == 0; ok && replies > 0; replies--) {
        freeReplyObject(reply);
        ok = redisGetReply(redis, &reply) == REDIS_OK;
        if (!ok)
            reply = NULL;
    }
    cause = reply != NULL ? sentinel_read(reply, out) : redis->errstr;
    char place[ADDRESS_PLACE_MAX];
    if (cause != NULL)
        snprintf(why, TRANSFER_WHY_MAX, "no Sentinel knows the primary; %.100s: %.80s", endpoint_place(sentinel, place), cause);
    freeReplyObject(reply);
    redisFree(redis);
    return cause == NULL;
}

/* Asks the Sentinels for the primary, if the address names Sentinels, and writes it to the address. */
static enum err find_primary(struct address *address, char why[TRANSFER_WHY_MAX])
{
    for (size_t i = 0; i < address->sentinel_count; i++)
        if (ask_sentinel(address, &address->sentinels[i], &address->tcp, why)) {
            address->primary[0] = '\0'; /* from here on the address names a server */
            return ERR_NONE;
        }
    return address->sentinel_count > 0 ? ERR_UNAVAILABLE : ERR_NONE;
}

enum err connection_find_data(const struct config *config, char why[TRANSFER_WHY_MAX])
{
    const char *data_dir = config->text[CONFIG_DATA_DIR].ptr;
    char path[PATH_MAX];
    struct stat status;
    int len = snprintf(path, sizeof(path), "%s/appendonlydir", data_dir);
    if (config->text[CONFIG_REDIS_URL].len > 0 || (len > 0 && (size_t)len < sizeof(path) && stat(path, &status) == 0))
        return ERR_NONE;
    snprintf(why, TRANSFER_WHY_MAX, "REDIS_URL is not set, and no coordinator has its data in DATA_DIR %.100s; set one of them",
             data_dir);
    return ERR_INVALID;
}

/* Connects to the Redis of a coordinator that runs in DATA_DIR, or else starts one there. */
static enum err open_embedded(struct connection *connection, const struct config *config, struct address *address,
                              char why[TRANSFER_WHY_MAX])
{
    char ignored[TRANSFER_WHY_MAX];
    const char *data_dir = config->text[CONFIG_DATA_DIR].ptr;
    *address = (struct address){.db = 0};
    int length = snprintf(address->path, sizeof(address->path), "%s/redis.sock", data_dir);
    bool fits = length > 0 && (size_t)length < sizeof(address->path);
    enum err err = ERR_NONE;
    for (int64_t end = clock_ms() + NEIGHBOUR_TIMEOUT_MS; err == ERR_NONE || clock_ms() < end; poll(NULL, 0, 20)) {
        connection->redis = fits ? try_connect(address, ignored) : NULL;
        if (connection->redis != NULL)
            return ERR_NONE;
        if (err != ERR_NONE)
            continue;
        struct address own;
        err = embedded_start(data_dir, config->text[CONFIG_APPENDFSYNC].ptr, &connection->embedded, &own, why);
        if (err == ERR_NONE) {
            *address = own;
            connection->redis = try_connect(address, why);
            return connection->redis != NULL ? ERR_NONE : ERR_UNAVAILABLE;
        }
    }
    return err;
}

/* Takes one step of the greeting. It fails if the answer is not what Redis answers (an echo server's). */
static enum err greet(struct connection *connection, int step, const struct address *address)
{
    struct buffer command = BUFFER_INIT;
    char ignored[GREETING_WHY_MAX];
    greeting_command(&command, step, address);
    redisReply *reply = connection_ask(connection, &command);
    if (reply == NULL)
        return ERR_UNAVAILABLE;
    enum err err = greeting_judge(step, address, reply, ignored);
    if (err != ERR_NONE)
        snprintf(connection->why, TRANSFER_WHY_MAX, "what answers at %.120s is no Redis", connection->place);
    freeReplyObject(reply);
    return err;
}

/* Checks that this version knows the format of the data in Redis. */
static enum err check_format(struct connection *connection)
{
    struct buffer command = BUFFER_INIT;
    char why[GREETING_WHY_MAX];
    greeting_format(&command);
    redisReply *reply = connection_ask(connection, &command);
    if (reply == NULL)
        return ERR_UNAVAILABLE;
    enum err err = greeting_judge_format(reply, why);
    if (err != ERR_NONE)
        snprintf(connection->why, TRANSFER_WHY_MAX, "%s", why);
    freeReplyObject(reply);
    return err;
}

/* Waits until Redis has loaded its data. */
static enum err wait_until_loaded(struct connection *connection, const struct address *address)
{
    enum err err;
    int64_t end = clock_ms() + LOADING_TIMEOUT_MS;
    while ((err = greet(connection, GREETING_PROBE, address)) != ERR_NONE && connection->refusal == ERR_LOADING && clock_ms() < end)
        poll(NULL, 0, 50);
    return err;
}

enum err connection_open(struct connection *connection, const struct transfer *transfer, char why[TRANSFER_WHY_MAX])
{
    struct address address;
    *connection = (struct connection){.why = why};
    enum err err = ERR_NONE;
    if (transfer->config->text[CONFIG_REDIS_URL].len > 0) {
        address = *transfer->address;
        err = find_primary(&address, why);
        connection->redis = err == ERR_NONE ? try_connect(&address, why) : NULL;
        err = connection->redis != NULL ? ERR_NONE : ERR_UNAVAILABLE;
    } else {
        err = open_embedded(connection, transfer->config, &address, why);
    }
    if (err != ERR_NONE)
        return err;
    address_place(&address, connection->place);
    for (int step = greeting_from(GREETING_AUTH, &address); err == ERR_NONE && step < GREETING_PROBE;
         step = greeting_from(step + 1, &address)) {
        err = greet(connection, step, &address);
        if (step == GREETING_NAME && connection->redis->err == 0)
            err = ERR_NONE; /* an ACL may forbid CLIENT SETNAME, which is not needed */
    }
    if (err == ERR_NONE)
        err = wait_until_loaded(connection, &address);
    return err == ERR_NONE ? check_format(connection) : err;
}

void connection_close(struct connection *connection)
{
    if (connection->redis != NULL)
        redisFree(connection->redis);
    if (connection->embedded != NULL)
        embedded_stop(connection->embedded);
    connection->redis = NULL;
    connection->embedded = NULL;
}

void connection_send(struct connection *connection, struct buffer *command)
{
    if (redisAppendFormattedCommand(connection->redis, command->ptr, command->len) != REDIS_OK)
        abort(); /* out of memory */
    buffer_fini(command);
}

void connection_flush(struct connection *connection)
{
    int done = 0;
    while (!done && redisBufferWrite(connection->redis, &done) == REDIS_OK)
        ; /* the next receive reports an error again */
}

redisReply *connection_receive(struct connection *connection)
{
    void *got = NULL;
    connection->refusal = ERR_NONE;
    if (redisGetReply(connection->redis, &got) != REDIS_OK) {
        bool silent = connection->redis->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK);
        snprintf(connection->why, TRANSFER_WHY_MAX, "Redis at %.120s %s%.80s", connection->place,
                 silent ? "does not answer" : "is lost: ", silent ? "" : connection->redis->errstr);
        return NULL;
    }
    redisReply *reply = got;
    if (reply->type != REDIS_REPLY_ERROR)
        return reply;
    connection->refusal = refusal_read((struct str){reply->str, reply->len});
    snprintf(connection->why, TRANSFER_WHY_MAX, "Redis at %.120s says: %.100s", connection->place, reply->str);
    freeReplyObject(reply);
    return NULL;
}

redisReply *connection_ask(struct connection *connection, struct buffer *command)
{
    connection_send(connection, command);
    return connection_receive(connection);
}

redisReply *connection_scan(struct connection *connection, const char *command, struct str key, struct str prefix,
                            char cursor[CONNECTION_CURSOR_MAX])
{
    struct buffer text = BUFFER_INIT, pattern = BUFFER_INIT;
    buffer_append(&pattern, prefix); /* KEY_PREFIX has no character to which a pattern gives a meaning */
    buffer_append(&pattern, STR("*"));
    command_begin(&text, key.len > 0 ? 7 : 6);
    command_add(&text, str_from(command));
    if (key.len > 0)
        command_add(&text, key);
    command_add(&text, str_from(cursor));
    command_add(&text, STR("MATCH"));
    command_add(&text, buffer_str(&pattern));
    command_add(&text, STR("COUNT"));
    command_add(&text, STR("1000"));
    buffer_fini(&pattern);
    redisReply *reply = connection_ask(connection, &text);
    if (reply == NULL)
        return NULL;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[0]->type == REDIS_REPLY_STRING &&
        reply->element[1]->type == REDIS_REPLY_ARRAY) {
        snprintf(cursor, CONNECTION_CURSOR_MAX, "%s", reply->element[0]->str);
        return reply;
    }
    snprintf(connection->why, TRANSFER_WHY_MAX, "what answers at %.120s is no Redis", connection->place);
    freeReplyObject(reply);
    return NULL;
}
