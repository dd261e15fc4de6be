/*
 * Prepares a store on each new connection, before the link is up. It checks that this version knows the format of the data. Then
 * it runs the script `serve` until the script has nothing more to do (see lua/serve.lua).
 */
#include "base/log.h"
#include "redis/refusal.h"
#include "store/internal.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define WORKERS_MAX "200" /* handled by one call: some 3 ms */

static void serve_command(struct store *store, const struct link *link, struct buffer *out)
{
    const struct greeting_server *server = link_server(link);
    char format[12], beside[12], uptime[24];
    snprintf(format, sizeof(format), "%d", KEYS_FORMAT);
    snprintf(beside, sizeof(beside), "%d", KEYS_FORMAT_BESIDE);
    snprintf(uptime, sizeof(uptime), "%" PRId64, server->uptime_s);
    struct str args[SERVE_ARGS] = {
        [SERVE_format] = str_from(format),
        [SERVE_beside] = str_from(beside),
        [SERVE_serves] = link_is_up(link) && !store->is_barred ? STR("1") : STR("0"),
        [SERVE_instance] = store->config->instance,
        [SERVE_run] = str_from(server->run),
        [SERVE_uptime] = str_from(uptime),
        [SERVE_loaded] = link_has_loaded(link) ? STR("1") : STR("0"),
        [SERVE_timeout] = buffer_str(&store->timeout),
        [SERVE_removal] = buffer_str(&store->removal),
        [SERVE_revive] = buffer_str(&store->revive),
        [SERVE_max] = STR(WORKERS_MAX),
    };
    script_begin(out, SCRIPT_serve, args, 0);
}

/* Logs the work that a call has finished. Returns whether there is more to do. */
static bool take_reply(const struct redisReply *reply)
{
    struct str from = reply_text(reply_element(reply, 1)), count = reply_text(reply_element(reply, 2));
    if (from.len > 0)
        log_event(LOG_INFO, "format", "the data of an older version is brought forward", log_str("from", from),
                  log_number("to", KEYS_FORMAT));
    if (count.len > 0) {
        struct downtime downtime = {.workers = reply_number(reply_element(reply, 2)), .ms = reply_number(reply_element(reply, 3))};
        struct buffer message = BUFFER_INIT;
        downtime_write(&message, &downtime);
        buffer_append(&message, (struct str){"", 1});
        log_event(LOG_INFO, "downtime", message.ptr, log_number("workers", (double)downtime.workers),
                  log_number("seconds", (double)downtime.ms / 1000));
        buffer_fini(&message);
    }
    return str_eq(reply_text(reply_element(reply, 0)), STR("1"));
}

/*
 * Lets the link go up although `serve` has failed, since reads still work. If Redis takes no writes now, `serve` is tried again in
 * place of each sweep. If the script itself fails or is not permitted, trying again does not help.
 */
static void open_unserved(struct store *store, enum err err, struct str text)
{
    store->is_barred = err != ERR_INTERNAL && err != ERR_NOT_PERMITTED;
    if (!store->is_barred)
        refusal_log(SCRIPT_serve, text);
}

static enum err open_primary(void *data, struct link *link, enum err err, const struct redisReply *reply, struct buffer *out,
                             char why[GREETING_WHY_MAX])
{
    struct store *store = data;
    store->is_barred = true;
    if (reply == NULL && err != ERR_NONE)
        return err;
    if (reply == NULL || (err == ERR_NONE && take_reply(reply))) {
        serve_command(store, link, out);
        return ERR_NONE;
    }
    store->is_barred = false;
    if (err == ERR_NEWER || err == ERR_OLDER) {
        const char *sentence = strchr(reply->str, ' '); /* after the word that names the error */
        snprintf(why, GREETING_WHY_MAX, "%s", sentence != NULL ? sentence + 1 : reply->str);
        return err;
    }
    if (err != ERR_NONE)
        open_unserved(store, err, (struct str){reply->str, reply->len});
    return ERR_NONE;
}

static void life_command(struct buffer *out)
{
    command_begin(out, 4);
    command_add(out, STR("HMGET"));
    command_add(out, key_name(KEY_life));
    command_add(out, STR("run"));
    command_add(out, STR("downtime"));
}

/* Whether Redis has been restarted and not all deadlines have been moved for that yet. */
static bool owes(const struct link *link, const struct redisReply *reply)
{
    struct str run = str_from(link_server(link)->run), noted = reply_text(reply_element(reply, 0));
    return reply_text(reply_element(reply, 1)).len > 0 || (run.len > 0 && noted.len > 0 && !str_eq(run, noted));
}

/*
 * Opens the connection of a store that does not sweep. It checks whether this version can read the format of the data. Such a
 * store moves no deadlines. So a primary's store also asks whether deadlines must still be moved: until then TTLs don't tell which
 * workers live.
 */
static enum err open_reader(void *data, struct link *link, enum err err, const struct redisReply *reply, struct buffer *out,
                            char why[GREETING_WHY_MAX])
{
    struct store *store = data;
    if (reply == NULL) {
        store->is_barred = false;
        if (err == ERR_NONE)
            greeting_format(out);
        return err;
    }
    if (store->is_barred) { /* the second reply */
        store->is_barred = owes(link, reply);
        return ERR_NONE;
    }
    err = greeting_judge_format(reply, why);
    store->is_barred = err == ERR_NONE && store->replica == NULL;
    if (store->is_barred)
        life_command(out);
    return err;
}

void store_look_first(struct store *store)
{
    bool serves = store->replica == NULL && store->config->sweeps;
    link_set_opener(store->link, serves ? open_primary : open_reader, store);
}

/* Logs once that the data is of a newer format, in spite of which this instance may serve. */
static void note_newer(bool is_newer)
{
    static atomic_bool told;
    if (atomic_exchange(&told, is_newer) || !is_newer)
        return;
    log_event(LOG_WARN, "format_newer",
              "the data is of a newer format now: this instance serves until it connects again, start the newer version for it");
}

static void on_served(void *data, enum err err, const struct redisReply *reply)
{
    struct store *store = data;
    store->serving = false;
    if (err == ERR_NONE) {
        note_newer(str_eq(reply_text(reply_element(reply, 0)), STR("n")));
        store->is_barred = take_reply(reply);
    }
    if (err == ERR_NONE && store->is_barred && store_serve(store) != ERR_NONE)
        return; /* the next sweep calls it again */
}

enum err store_serve(struct store *store)
{
    if (store->serving)
        return ERR_NONE;
    struct buffer command = BUFFER_INIT;
    serve_command(store, store->link, &command);
    enum err err = link_run(store->link, SCRIPT_serve, &command, on_served, store);
    store->serving = err == ERR_NONE;
    return err;
}

static void on_downtime(void *data, enum err err, const struct redisReply *reply)
{
    struct store *store = data;
    if (err == ERR_NONE)
        store->downtime = (struct downtime){.at = reply_number(reply_element(reply, 0)),
                                            .ms = reply_number(reply_element(reply, 1)),
                                            .workers = reply_number(reply_element(reply, 2))};
}

enum err store_ask_downtime(struct store *store)
{
    struct buffer command = BUFFER_INIT;
    command_begin(&command, 5);
    command_add(&command, STR("HMGET"));
    command_add(&command, key_name(KEY_life));
    command_add(&command, STR("moved_at"));
    command_add(&command, STR("moved_ms"));
    command_add(&command, STR("moved_workers"));
    return link_send(store->link, &command, on_downtime, store);
}

const struct downtime *store_downtime(const struct store *store)
{
    return &store->downtime;
}
