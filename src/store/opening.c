/*
 * What a store does on each new connection before it serves: whether the data is of a format that this version knows, and what
 * must be put right before anybody is told anything (see lua/serve.lua).
 */
#include "base/log.h"
#include "redis/refusal.h"
#include "store/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define WORKERS_MAX "100" /* seen to by one call: some 3 ms */

static void serve_command(struct store *store, struct buffer *out)
{
    char format[12], beside[12];
    snprintf(format, sizeof(format), "%d", KEYS_FORMAT);
    snprintf(beside, sizeof(beside), "%d", KEYS_FORMAT_BESIDE);
    struct str args[SERVE_ARGS] = {
        [SERVE_format] = str_from(format),
        [SERVE_beside] = str_from(beside),
        [SERVE_instance] = store->config->instance,
        [SERVE_max] = STR(WORKERS_MAX),
    };
    script_begin(out, SCRIPT_serve, args, 0);
}

/* Logs what a call has ended. */
static void tell(const struct redisReply *reply)
{
    struct str from = reply_text(reply_element(reply, 1));
    if (from.len > 0)
        log_event(LOG_INFO, "format", "the data of an older version is brought forward", log_str("from", from),
                  log_number("to", KEYS_FORMAT));
}

/* A Redis that takes no writes may still be read. */
static enum err on_primary(void *data, struct link *link, enum err err, const struct redisReply *reply, struct buffer *out,
                           char why[GREETING_WHY_MAX])
{
    struct store *store = data;
    (void)link;
    if (reply == NULL && err == ERR_NONE) {
        serve_command(store, out);
        return ERR_NONE;
    }
    if (err == ERR_NONE) {
        tell(reply);
        if (str_eq(reply_text(reply_element(reply, 0)), STR("1")))
            serve_command(store, out);
        return ERR_NONE;
    }
    if (reply == NULL)
        return err;
    struct str sentence = {reply->str, reply->len};
    (void)str_cut(&sentence, ' ');
    snprintf(why, GREETING_WHY_MAX, "%.*s", STR_PRINTF(sentence));
    return err == ERR_NEWER || err == ERR_OLDER ? err : ERR_NONE;
}

/* Who only reads looks whether it can read what is there. */
static enum err on_reader(void *data, struct link *link, enum err err, const struct redisReply *reply, struct buffer *out,
                          char why[GREETING_WHY_MAX])
{
    (void)data;
    (void)link;
    if (reply == NULL && err == ERR_NONE) {
        greeting_format(out);
        return ERR_NONE;
    }
    return reply != NULL ? greeting_judge_format(reply, why) : err;
}

void store_look_first(struct store *store)
{
    bool serves = store->replica == NULL && store->config->sweeps;
    link_set_opener(store->link, serves ? on_primary : on_reader, store);
}

enum err store_serve(struct store *store)
{
    struct buffer command = BUFFER_INIT;
    serve_command(store, &command);
    return link_run(store->link, SCRIPT_serve, &command, NULL, NULL);
}
