/*
 * check: walks all keys in pages, and lets a script check each page. The script changes nothing. It reads a key, and everything
 * that the key must agree with, at one moment, so coordinators may run meanwhile.
 */
#include "base/json_writer.h"
#include "cli/connection.h"
#include "redis/command.h"
#include "redis/keys.h"
#include "redis/script.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE 200 /* keys that one call checks */

struct checking {
    struct connection connection;
    bool json;
    size_t keys, tasks, faults;
    struct buffer document; /* with --json: the list of faults */
};

static struct str text_of(const struct redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? (struct str){reply->str, reply->len} : (struct str){NULL, 0};
}

static void report_fault(struct checking *checking, struct str fault)
{
    checking->faults++;
    if (checking->json)
        json_add_text(&checking->document, NULL, fault);
    else
        printf("%.*s\n", STR_PRINTF(fault));
}

/* Lets the script check `names`: keys without the prefix if `index` is empty, else members of that index. */
static enum err check_names(struct checking *checking, struct str index, const struct str *names, size_t count)
{
    struct buffer command = BUFFER_INIT;
    if (count == 0)
        return ERR_NONE;
    const struct script_text *script = &script_texts[SCRIPT_check];
    command_begin(&command, 4 + script->key_count + count);
    command_add(&command, STR("EVAL_RO"));
    struct buffer text = BUFFER_INIT;
    script_write(&text, SCRIPT_check);
    command_add(&command, buffer_str(&text));
    buffer_fini(&text);
    command_add_number(&command, (long long)script->key_count);
    for (size_t i = 0; i < script->key_count; i++)
        command_add(&command, key_name(script->keys[i]));
    command_add(&command, index);
    for (size_t i = 0; i < count; i++)
        command_add(&command, names[i]);
    struct redisReply *reply = connection_ask(&checking->connection, &command);
    if (reply == NULL)
        return ERR_UNAVAILABLE;
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
        report_fault(checking, text_of(reply->element[i]));
    freeReplyObject(reply);
    return ERR_NONE;
}

/* Returns the command that reads the members of an index of tasks or of waiters; NULL if the key is no such index. */
static const char *scan_of(struct str name)
{
    static const struct {
        const char *start, *scan;
    } kinds[] = {{"ready:", "ZSCAN"},     {"scheduled:", "ZSCAN"}, {"expiring:", "ZSCAN"},
                 {"completed:", "ZSCAN"}, {"dead:", "ZSCAN"},      {"cancelled:", "ZSCAN"},
                 {"expired:", "ZSCAN"},   {"held:", "HSCAN"},      {"parked:", "ZSCAN"}};
    if (str_eq(name, STR("parked")))
        return "HSCAN";
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (name.len > strlen(kinds[i].start) && memcmp(name.ptr, kinds[i].start, strlen(kinds[i].start)) == 0)
            return kinds[i].scan;
    return NULL;
}

/* Sets *is_index to whether the key can be read with `scan`, or is gone. Else its type is wrong, which is a fault. */
static enum err check_type(struct checking *checking, struct str key, struct str name, const char *scan, bool *is_index)
{
    struct buffer command = BUFFER_INIT, fault = BUFFER_INIT;
    command_begin(&command, 2);
    command_add(&command, STR("TYPE"));
    command_add(&command, key);
    struct redisReply *reply = connection_ask(&checking->connection, &command);
    if (reply == NULL)
        return ERR_UNAVAILABLE;
    struct str type = reply->type == REDIS_REPLY_STATUS ? (struct str){reply->str, reply->len} : STR("");
    *is_index = str_eq(type, scan[0] == 'H' ? STR("hash") : STR("zset")) || str_eq(type, STR("none"));
    buffer_printf(&fault, "%.*s is of a wrong type: %.*s", STR_PRINTF(name), STR_PRINTF(type));
    if (!*is_index)
        report_fault(checking, buffer_str(&fault));
    buffer_fini(&fault);
    freeReplyObject(reply);
    return ERR_NONE;
}

/* Checks all members of an index. */
static enum err check_index(struct checking *checking, struct str key, struct str name)
{
    char cursor[CONNECTION_CURSOR_MAX] = "0";
    bool is_index = false;
    enum err err = check_type(checking, key, name, scan_of(name), &is_index);
    if (!is_index)
        return err;
    do {
        struct str ids[PAGE];
        size_t count = 0;
        struct redisReply *reply = connection_scan(&checking->connection, scan_of(name), key, STR(""), cursor);
        if (reply == NULL)
            return ERR_UNAVAILABLE;
        const struct redisReply *page = reply->element[1];
        for (size_t i = 0; i + 1 < page->elements && err == ERR_NONE; i += 2) {
            ids[count++] = text_of(page->element[i]);
            if (count == PAGE || i + 3 >= page->elements) {
                err = check_names(checking, name, ids, count);
                count = 0;
            }
        }
        freeReplyObject(reply);
    } while (err == ERR_NONE && strcmp(cursor, "0") != 0);
    return err;
}

/* Checks one page of keys. */
static enum err check_page(struct checking *checking, const struct redisReply *page)
{
    struct str prefix = key_name(KEY_prefix), names[PAGE];
    size_t count = 0;
    enum err err = ERR_NONE;
    for (size_t i = 0; i < page->elements && err == ERR_NONE; i++) {
        struct str key = text_of(page->element[i]);
        if (key.len <= prefix.len)
            continue;
        struct str name = {key.ptr + prefix.len, key.len - prefix.len};
        checking->keys++;
        checking->tasks += name.len > 5 && memcmp(name.ptr, "task:", 5) == 0;
        names[count++] = name;
        if (scan_of(name) != NULL)
            err = check_index(checking, key, name);
        if (count == PAGE && err == ERR_NONE) {
            err = check_names(checking, STR(""), names, count);
            count = 0;
        }
    }
    return err == ERR_NONE ? check_names(checking, STR(""), names, count) : err;
}

static enum err check_all(struct checking *checking)
{
    char cursor[CONNECTION_CURSOR_MAX] = "0";
    enum err err = ERR_NONE;
    do {
        struct redisReply *reply = connection_scan(&checking->connection, "SCAN", STR(""), key_name(KEY_prefix), cursor);
        if (reply == NULL)
            return ERR_UNAVAILABLE;
        err = check_page(checking, reply->element[1]);
        freeReplyObject(reply);
    } while (err == ERR_NONE && strcmp(cursor, "0") != 0);
    return err;
}

/* Prints the whole JSON document. The list of faults in it must be complete. */
static void print_document(const struct checking *checking)
{
    struct buffer out = BUFFER_INIT;
    json_begin_object(&out, NULL);
    json_add_text(&out, "redis", str_from(checking->connection.place));
    json_add_integer(&out, "keys", (int64_t)checking->keys);
    json_add_integer(&out, "tasks", (int64_t)checking->tasks);
    json_add_raw(&out, "faults", buffer_str(&checking->document));
    json_end_object(&out);
    printf("%.*s\n", STR_PRINTF(buffer_str(&out)));
    buffer_fini(&out);
}

enum err transfer_check(const struct transfer *transfer, char why[TRANSFER_WHY_MAX])
{
    if (transfer->file != NULL) {
        snprintf(why, TRANSFER_WHY_MAX, "check takes no \"%.64s\": it looks at the Redis of REDIS_URL", transfer->file);
        return ERR_BAD_REQUEST;
    }
    struct checking checking = {.json = transfer->json};
    snprintf(why, TRANSFER_WHY_MAX, "what answers there is no Redis");
    json_begin_array(&checking.document, NULL);
    enum err err = connection_find_data(transfer->config, why);
    if (err == ERR_NONE)
        err = connection_open(&checking.connection, transfer, why);
    if (err == ERR_NONE)
        err = check_all(&checking);
    connection_close(&checking.connection);
    json_end_array(&checking.document);
    if (err == ERR_NONE && checking.json)
        print_document(&checking);
    else if (err == ERR_NONE && checking.keys == 0)
        printf("No key in the Redis at %s begins with %.*s, so there was nothing to check.\n", checking.connection.place,
               STR_PRINTF(transfer->config->text[CONFIG_KEY_PREFIX]));
    else if (err == ERR_NONE && checking.faults == 0)
        printf("%zu keys, of %zu tasks among others, agree in the Redis at %s.\n", checking.keys, checking.tasks,
               checking.connection.place);
    if (err == ERR_NONE && checking.faults > 0) {
        snprintf(why, TRANSFER_WHY_MAX, "%zu of what %zu keys say does not agree", checking.faults, checking.keys);
        err = ERR_INVALID;
    }
    buffer_fini(&checking.document);
    return err;
}
