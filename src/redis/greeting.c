#include "redis/greeting.h"

#include "base/log.h"
#include "redis/command.h"
#include "redis/keys.h"

#include <hiredis/hiredis.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define VERSION_NEEDED 7 /* PEXPIRETIME, which the scripts call */

int greeting_from(int step, const struct address *address)
{
    if (step == GREETING_AUTH && !address_has_secret(address))
        step++;
    if (step == GREETING_SELECT && address->db == 0)
        step++;
    if (address->replica && step >= GREETING_PROBE && step < GREETING_SCRIPTS)
        step = GREETING_SCRIPTS;
    return step;
}

void greeting_role(struct buffer *out)
{
    command_begin(out, 1);
    command_add(out, STR("ROLE"));
}

void greeting_command(struct buffer *out, int step, const struct address *address)
{
    switch (step) {
    case GREETING_AUTH:
        command_auth(out, address->user, address->password);
        return;
    case GREETING_SELECT:
        command_begin(out, 2);
        command_add(out, STR("SELECT"));
        command_add_number(out, address->db);
        return;
    case GREETING_NAME:
        command_begin(out, 3);
        command_add(out, STR("CLIENT"));
        command_add(out, STR("SETNAME"));
        command_add(out, STR("rma-coordinator"));
        return;
    case GREETING_PROBE: /* any of our keys will do: a node of a cluster that does not have it names the node that does */
        command_begin(out, 2);
        command_add(out, STR("EXISTS"));
        command_add(out, key_name(KEY_workers));
        return;
    case GREETING_ROLE:
        greeting_role(out);
        return;
    case GREETING_INFO:
        command_begin(out, 1);
        command_add(out, STR("INFO"));
        return;
    case GREETING_CONFIG:
        command_begin(out, 4);
        command_add(out, STR("CONFIG"));
        command_add(out, STR("GET"));
        command_add(out, STR("protected-mode"));
        command_add(out, STR("min-replicas-to-write"));
        return;
    default:
        script_load_command(out, (enum script)(step - GREETING_SCRIPTS));
    }
}

/* Returns the value of a line "name:value" of an INFO; absent if there is no such line. */
static struct str info_value(const struct redisReply *info, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = info->str; (at = strstr(at, name)) != NULL; at += len)
        if ((at == info->str || at[-1] == '\n') && at[len] == ':')
            return (struct str){at + len + 1, strcspn(at + len + 1, "\r\n")};
    return (struct str){NULL, 0};
}

void greeting_server(const struct redisReply *reply, struct greeting_server *out)
{
    *out = (struct greeting_server){.run = ""};
    if (reply->type != REDIS_REPLY_STRING)
        return;
    struct str run = info_value(reply, "run_id"), uptime = info_value(reply, "uptime_in_seconds");
    if (run.len == 0 || run.len >= sizeof(out->run) || uptime.len == 0)
        return;
    memcpy(out->run, run.ptr, run.len);
    out->uptime_s = strtoll(uptime.ptr, NULL, 10);
}

static void warn_once(atomic_flag *told, const char *event, const char *message)
{
    if (!atomic_flag_test_and_set(told))
        log_event(LOG_WARN, event, message);
}

static enum err judge_info(const struct redisReply *reply, char why[GREETING_WHY_MAX])
{
    static atomic_flag evicts = ATOMIC_FLAG_INIT, forgets = ATOMIC_FLAG_INIT;
    struct str version = info_value(reply, "redis_version");
    if (version.len > 0 && strtol(version.ptr, NULL, 10) < VERSION_NEEDED) {
        snprintf(why, GREETING_WHY_MAX, "Redis %.*s is too old: the scripts need 7.0 or newer (they call PEXPIRETIME)",
                 version.len < 20 ? (int)version.len : 20, version.ptr);
        return ERR_TOO_OLD;
    }
    struct str policy = info_value(reply, "maxmemory_policy");
    if (policy.len > 0 && !str_eq(policy, STR("noeviction")))
        warn_once(&evicts, "redis_evicts", "Redis may throw workers away for room: set its maxmemory-policy to noeviction");
    if (str_eq(info_value(reply, "aof_enabled"), STR("0")))
        warn_once(&forgets, "redis_forgets",
                  "Redis writes no append-only file, its end may cost the register: set its appendonly to yes");
    return ERR_NONE;
}

/* Returns the value of a setting in the reply to a CONFIG GET; NULL if the reply does not have it. */
static const char *config_value(const struct redisReply *reply, const char *name)
{
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2)
        if (reply->element[i]->type == REDIS_REPLY_STRING && reply->element[i + 1]->type == REDIS_REPLY_STRING &&
            strcmp(reply->element[i]->str, name) == 0)
            return reply->element[i + 1]->str;
    return NULL;
}

int greeting_min_replicas(const struct redisReply *reply)
{
    const char *value = config_value(reply, "min-replicas-to-write");
    return value != NULL ? (int)strtol(value, NULL, 10) : 0;
}

/* Warns of a Redis without a password whose protected mode, which would keep strangers out, is off. */
static void judge_config(const struct address *address, const struct redisReply *reply)
{
    static atomic_flag open = ATOMIC_FLAG_INIT;
    const char *mode = config_value(reply, "protected-mode");
    if (mode != NULL && strcmp(mode, "no") == 0 && !address_has_secret(address) && address->path[0] == '\0')
        warn_once(&open, "redis_open",
                  "Redis asks for no password and its protected mode is off: whoever reaches its port may change everything");
}

enum err greeting_judge_role(const struct redisReply *reply, char why[GREETING_WHY_MAX])
{
    if (reply->type == REDIS_REPLY_ERROR)
        return ERR_NONE;
    const struct redisReply *role = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 ? reply->element[0] : NULL;
    if (role == NULL || role->type != REDIS_REPLY_STRING)
        snprintf(why, GREETING_WHY_MAX, "what answers there is no Redis");
    else if (strcmp(role->str, "master") == 0)
        return ERR_NONE;
    else if (strcmp(role->str, "slave") != 0)
        snprintf(why, GREETING_WHY_MAX, "it is a %.20s, no primary", role->str);
    else if (reply->elements >= 3 && reply->element[1]->type == REDIS_REPLY_STRING)
        snprintf(why, GREETING_WHY_MAX, "it is a replica, of %.100s:%lld, and takes no writes", reply->element[1]->str,
                 reply->element[2]->integer);
    else
        snprintf(why, GREETING_WHY_MAX, "it is a replica, and takes no writes");
    return role != NULL && role->type == REDIS_REPLY_STRING && strcmp(role->str, "slave") == 0 ? ERR_READONLY : ERR_UNAVAILABLE;
}

void greeting_format(struct buffer *out)
{
    command_begin(out, 2);
    command_add(out, STR("GET"));
    command_add(out, key_name(KEY_format));
}

enum err greeting_judge_format(const struct redisReply *reply, char why[GREETING_WHY_MAX])
{
    bool is_text = reply->type == REDIS_REPLY_STRING;
    if (!is_text && !(reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGTYPE", 9) == 0))
        return ERR_NONE;
    bool is_number = is_text && reply->len > 0 && strspn(reply->str, "0123456789") == reply->len;
    if (is_number && strtol(reply->str, NULL, 10) <= KEYS_FORMAT)
        return ERR_NONE;
    snprintf(why, GREETING_WHY_MAX, "The data in Redis is of %s%.20s, this version knows %d: it changes nothing, start a newer one",
             is_number ? "format " : "a format that is no number", is_number ? reply->str : "", KEYS_FORMAT);
    return ERR_NEWER;
}

static int type_of_reply(int step)
{
    if (step == GREETING_PROBE)
        return REDIS_REPLY_INTEGER;
    return step < GREETING_SCRIPTS ? REDIS_REPLY_STATUS : REDIS_REPLY_STRING;
}

/*
 * The type of each reply is checked, since an echo of the command is no reply: a socket that connects to a local port where nobody
 * listens may be connected to itself (RFC 9293, section 3.5, simultaneous open). Redis need not permit CLIENT SETNAME, ROLE, INFO
 * and CONFIG.
 */
enum err greeting_judge(int step, const struct address *address, const struct redisReply *reply, char why[GREETING_WHY_MAX])
{
    if (reply == NULL) {
        snprintf(why, GREETING_WHY_MAX, "connection lost while greeting");
        return ERR_UNAVAILABLE;
    }
    bool refused = reply->type == REDIS_REPLY_ERROR;
    if (step == GREETING_ROLE)
        return greeting_judge_role(reply, why);
    if (step == GREETING_NAME && refused)
        return ERR_NONE;
    if (step == GREETING_INFO && (refused || reply->type == REDIS_REPLY_STRING))
        return refused ? ERR_NONE : judge_info(reply, why);
    if (step == GREETING_CONFIG && (refused || reply->type == REDIS_REPLY_ARRAY)) {
        judge_config(address, reply);
        return ERR_NONE;
    }
    if (refused) {
        enum err err = err_from_reply((struct str){reply->str, reply->len});
        snprintf(why, GREETING_WHY_MAX, "%s", reply->str);
        return err != ERR_INTERNAL ? err : ERR_UNAVAILABLE;
    }
    if (reply->type == type_of_reply(step))
        return ERR_NONE;
    snprintf(why, GREETING_WHY_MAX, "what answers there is no Redis");
    return ERR_UNAVAILABLE;
}
