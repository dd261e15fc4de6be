/*
 * Checks whether Redis takes and permits the commands that requests need.
 */
#include "base/log_repeat.h"
#include "redis/refusal.h"
#include "store/internal.h"

#include <stdlib.h>

/* Writes the commands that are not permitted into `room`, with commas between: "TIME, HGET". */
static void list_missing(const struct redisReply *reply, char room[STORE_MISSING_MAX])
{
    size_t len = 0;
    room[0] = '\0';
    for (size_t i = 1; reply_element(reply, i) != NULL; i++) {
        struct str name = reply_text(reply_element(reply, i));
        const char *comma = len > 0 ? ", " : "";
        size_t needed = strlen(comma) + name.len;
        if (len + needed >= STORE_MISSING_MAX)
            break;
        memcpy(room + len, comma, strlen(comma));
        memcpy(room + len + strlen(comma), name.ptr, name.len);
        len += needed;
        room[len] = '\0';
    }
}

static void on_ready(void *data, enum err err, const struct redisReply *reply)
{
    struct waiter *waiter = data;
    struct store *store = waiter->store;
    store->missing[0] = '\0';
    store->refuses = err;
    if (err == ERR_NONE) {
        list_missing(reply, store->missing);
        struct str refusal = reply_text(reply_element(reply, 0));
        if (refusal.len > 0)
            store->refuses = refusal_read(refusal);
        if (store->missing[0] != '\0')
            store->refuses = ERR_NOT_PERMITTED;
    }
    if (store->missing[0] != '\0')
        log_repeatable(LOG_ERROR, "redis_forbids", "Redis does not permit its user what requests need: see docs/redis.md", 1,
                       log_text("commands", store->missing));
    if (waiter->done != NULL)
        waiter->done(waiter->data, store->refuses);
    free(waiter);
}

enum err store_ready(struct store *store, store_callback *callback, void *data)
{
    struct waiter *waiter = waiter_new(store, callback, data);
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_ready, NULL, 0);
    enum err err = link_run(store->link, SCRIPT_ready, &command, on_ready, waiter);
    if (err != ERR_NONE)
        free(waiter);
    return err;
}

enum err store_refusal(const struct store *store)
{
    return store->refuses;
}

const char *store_missing(const struct store *store)
{
    return store->missing;
}
