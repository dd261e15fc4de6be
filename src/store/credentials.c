#include "store/credentials.h"

#include "store/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGE "200"       /* credentials read by one call: some 2 ms of Redis */
#define KEPT_MS 90000000 /* how long a key stays known when it no longer signs: 25 h, JWT_LIFE_MAX */

struct credential {
    const struct redisReply *fields; /* name, value, name, value, … */
};

struct str credential_get(const struct credential *credential, const char *name)
{
    for (size_t i = 0; i + 1 < credential->fields->elements; i += 2)
        if (str_eq(reply_text(reply_element(credential->fields, i)), str_from(name)))
            return reply_text(reply_element(credential->fields, i + 1));
    return (struct str){NULL, 0};
}

enum err store_credential_put(struct store *store, const struct actor *actor, const struct credential_change *change,
                              store_callback *callback, void *data)
{
    char most[16], end[24] = "";
    snprintf(most, sizeof(most), "%d", change->max);
    if (change->ends_at > 0)
        snprintf(end, sizeof(end), "%lld", (long long)change->ends_at);
    struct str args[CREDENTIAL_PUT_ARGS] = {
        [CREDENTIAL_PUT_member] = change->member,
        [CREDENTIAL_PUT_mode] = change->mode == CREDENTIAL_NEW ? STR("new") : STR("old"),
        [CREDENTIAL_PUT_max] = str_from(most),
        [CREDENTIAL_PUT_ends_at] = str_from(end),
        [CREDENTIAL_PUT_who] = actor->who,
        [CREDENTIAL_PUT_from] = actor->address,
        [CREDENTIAL_PUT_by] = actor->coordinator,
        [CREDENTIAL_PUT_action] = str_from(change->action),
        [CREDENTIAL_PUT_keep_admin] = actor->reaches_redis ? STR("0") : STR("1"),
    };
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_credential_put, args, 2 * change->field_count);
    for (size_t i = 0; i < change->field_count; i++) {
        command_add(&command, str_from(change->fields[i].name));
        command_add(&command, change->fields[i].value);
    }
    return store_run_replicated(store, SCRIPT_credential_put, &command, NULL, callback, data);
}

enum err store_credential_remove(struct store *store, const struct actor *actor, const char *action, struct str member,
                                 store_callback *callback, void *data)
{
    struct str args[CREDENTIAL_REMOVE_ARGS] = {
        [CREDENTIAL_REMOVE_member] = member,           [CREDENTIAL_REMOVE_who] = actor->who,
        [CREDENTIAL_REMOVE_from] = actor->address,     [CREDENTIAL_REMOVE_by] = actor->coordinator,
        [CREDENTIAL_REMOVE_action] = str_from(action), [CREDENTIAL_REMOVE_keep_admin] = actor->reaches_redis ? STR("0") : STR("1"),
    };
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_credential_remove, args, 0);
    return store_run_replicated(store, SCRIPT_credential_remove, &command, NULL, callback, data);
}

struct reading {
    store_credential_callback *row;
    store_credentials_callback *done;
    void *data;
};

static void on_credentials(void *data, enum err err, const struct redisReply *reply)
{
    struct reading *reading = data;
    struct credentials_page page = {reply_text(reply_element(reply, 0)), reply_number(reply_element(reply, 1)) == 1, {NULL, 0}};
    for (size_t i = 2; err == ERR_NONE && i + 1 < reply->elements; i += 2) {
        struct credential credential = {reply_element(reply, i + 1)};
        page.last = reply_text(reply_element(reply, i));
        if (credential.fields->type == REDIS_REPLY_ARRAY && credential.fields->elements > 0)
            reading->row(reading->data, page.last, &credential);
    }
    reading->done(reading->data, err, err == ERR_NONE ? &page : NULL);
    free(reading);
}

enum err store_credentials(struct store *store, struct str version, struct str after, store_credential_callback *row,
                           store_credentials_callback *done, void *data)
{
    struct str args[CREDENTIALS_ARGS] = {
        [CREDENTIALS_version] = version,
        [CREDENTIALS_after] = after,
        [CREDENTIALS_max] = STR(PAGE),
        [CREDENTIALS_prune] = store->replica == NULL ? STR("1") : STR("0"),
    };
    struct reading *reading = store_alloc(sizeof(*reading));
    *reading = (struct reading){row, done, data};
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_credentials, args, 0);
    enum err err = link_run(store->link, SCRIPT_credentials, &command, on_credentials, reading);
    if (err != ERR_NONE)
        free(reading);
    return err;
}

/* The callback of a call that reads one text. */
struct asking {
    store_text_callback *callback;
    void *data;
    bool must_be; /* it is ERR_NO_SUCH if there is no text */
};

static void on_text(void *data, enum err err, const struct redisReply *reply)
{
    struct asking *asking = data;
    struct str text = err == ERR_NONE ? reply_text(reply) : (struct str){NULL, 0};
    if (err == ERR_NONE && text.ptr == NULL && asking->must_be)
        err = ERR_NO_SUCH;
    asking->callback(asking->data, err, text);
    free(asking);
}

static struct asking *asking_new(store_text_callback *callback, void *data, bool must_be)
{
    struct asking *asking = store_alloc(sizeof(*asking));
    *asking = (struct asking){callback, data, must_be};
    return asking;
}

enum err store_password(struct store *store, struct str name, store_text_callback *callback, void *data)
{
    struct asking *asking = asking_new(callback, data, true);
    struct buffer command = BUFFER_INIT, key = BUFFER_INIT;
    buffer_append(&key, key_name(KEY_credential));
    buffer_append(&key, STR("user:"));
    buffer_append(&key, name);
    command_begin(&command, 3);
    command_add(&command, STR("HGET"));
    command_add(&command, buffer_str(&key));
    command_add(&command, STR("password"));
    buffer_fini(&key);
    enum err err = link_send(store->link, &command, on_text, asking);
    if (err != ERR_NONE)
        free(asking);
    return err;
}

enum err store_signing_key(struct store *store, const struct actor *actor, struct str kid, struct str pem, const char *mode,
                           store_text_callback *callback, void *data)
{
    char keep[24];
    snprintf(keep, sizeof(keep), "%d", KEPT_MS);
    struct str args[SIGNING_KEY_ARGS] = {
        [SIGNING_KEY_kid] = kid,
        [SIGNING_KEY_pem] = pem,
        [SIGNING_KEY_mode] = str_from(mode),
        [SIGNING_KEY_keep] = str_from(keep),
        [SIGNING_KEY_who] = actor->who,
        [SIGNING_KEY_from] = actor->address,
        [SIGNING_KEY_by] = actor->coordinator,
    };
    struct asking *asking = asking_new(callback, data, true);
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_signing_key, args, 0);
    enum err err = link_run(store->link, SCRIPT_signing_key, &command, on_text, asking);
    if (err != ERR_NONE)
        free(asking);
    return err;
}

static void on_noted(void *data, enum err err, const struct redisReply *reply)
{
    (void)data, (void)err, (void)reply; /* link.c counts and logs failures */
}

void store_audit(struct store *store, const struct actor *actor, const char *action, struct str target, const char *outcome)
{
    struct str args[AUDIT_ARGS] = {
        [AUDIT_who] = actor->who,          [AUDIT_from] = actor->address, [AUDIT_by] = actor->coordinator,
        [AUDIT_action] = str_from(action), [AUDIT_target] = target,       [AUDIT_outcome] = str_from(outcome),
    };
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_audit, args, 0);
    if (link_run(store->link, SCRIPT_audit, &command, on_noted, NULL) != ERR_NONE)
        return; /* Redis is out of reach: the entry is lost */
}

struct audit_reading {
    store_audit_callback *row;
    store_callback *done;
    void *data;
};

static struct audit_entry read_entry(const struct redisReply *reply)
{
    static const char *const names[] = {"who", "from", "by", "action", "target", "outcome"};
    struct audit_entry entry = {.id = reply_text(reply_element(reply, 0))};
    struct str *const places[] = {&entry.who, &entry.address, &entry.coordinator, &entry.action, &entry.target, &entry.outcome};
    const struct credential fields = {reply_element(reply, 1)};
    entry.time = entry.id.ptr != NULL ? strtoll(entry.id.ptr, NULL, 10) : 0;
    for (size_t i = 0; fields.fields != NULL && i < sizeof(names) / sizeof(names[0]); i++)
        *places[i] = credential_get(&fields, names[i]);
    return entry;
}

static void on_audit(void *data, enum err err, const struct redisReply *reply)
{
    struct audit_reading *reading = data;
    for (size_t i = 0; err == ERR_NONE && reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        struct audit_entry entry = read_entry(reply->element[i]);
        if (entry.id.ptr != NULL)
            reading->row(reading->data, &entry);
    }
    reading->done(reading->data, err);
    free(reading);
}

enum err store_audit_read(struct store *store, struct str before, size_t max, store_audit_callback *row, store_callback *done,
                          void *data)
{
    struct audit_reading *reading = store_alloc(sizeof(*reading));
    *reading = (struct audit_reading){row, done, data};
    struct buffer command = BUFFER_INIT, from = BUFFER_INIT;
    buffer_append(&from, before.ptr != NULL ? STR("(") : STR("+"));
    buffer_append(&from, before);
    command_begin(&command, 6);
    command_add(&command, STR("XREVRANGE"));
    command_add(&command, key_name(KEY_audit));
    command_add(&command, buffer_str(&from));
    command_add(&command, STR("-"));
    command_add(&command, STR("COUNT"));
    command_add_number(&command, (long long)max);
    buffer_fini(&from);
    enum err err = link_send(store->link, &command, on_audit, reading);
    if (err != ERR_NONE)
        free(reading);
    return err;
}

struct limiting {
    store_limit_callback *callback;
    void *data;
};

static void on_limited(void *data, enum err err, const struct redisReply *reply)
{
    struct limiting *limiting = data;
    limiting->callback(limiting->data, err, err == ERR_NONE ? reply_number(reply) : 0);
    free(limiting);
}

enum err store_limit(struct store *store, int interval_ms, int burst, const struct str *names, size_t count,
                     store_limit_callback *callback, void *data)
{
    char interval[16], most[16];
    snprintf(interval, sizeof(interval), "%d", interval_ms);
    snprintf(most, sizeof(most), "%d", burst);
    struct str args[LIMIT_ARGS] = {[LIMIT_interval] = str_from(interval), [LIMIT_burst] = str_from(most)};
    struct limiting *limiting = store_alloc(sizeof(*limiting));
    *limiting = (struct limiting){callback, data};
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_limit, args, count);
    for (size_t i = 0; i < count; i++)
        command_add(&command, names[i]);
    enum err err = link_run(store->link, SCRIPT_limit, &command, on_limited, limiting);
    if (err != ERR_NONE)
        free(limiting);
    return err;
}
