/*
 * The steps on a new connection to a Redis before any other command, and the replies that they need: password, database, name,
 * whether it has our keys' slot, whether it is a primary, its settings, the scripts.
 */
#ifndef REDIS_GREETING_H
#define REDIS_GREETING_H

#include "base/buffer.h"
#include "base/err.h"
#include "redis/address.h"
#include "redis/script.h"

#include <stdint.h>

struct redisReply;

enum greeting {
    GREETING_AUTH,
    GREETING_SELECT,
    GREETING_NAME,
    GREETING_PROBE,
    GREETING_ROLE,
    GREETING_INFO,
    GREETING_CONFIG,
    GREETING_SCRIPTS, /* from here up to GREETING_END each step loads one script */
    GREETING_END = GREETING_SCRIPTS + SCRIPT_COUNT
};

#define GREETING_WHY_MAX 192

/* Returns the first step from `step` on that a Redis at `address` needs; GREETING_END when there is none. */
int greeting_from(int step, const struct address *address);

/* Appends the command of a step. */
void greeting_command(struct buffer *out, int step, const struct address *address);

/*
 * Judges the reply to a step (NULL: the connection is lost). Returns ERR_NONE, or the fault as far as Redis tells it,
 * with `why` in words. Logs a warning about each bad setting of Redis, once in the life of the process.
 */
MUST_CHECK enum err greeting_judge(int step, const struct address *address, const struct redisReply *reply,
                                   char why[GREETING_WHY_MAX]);

/* Returns the value of min-replicas-to-write in the reply to GREETING_CONFIG; 0 if the reply does not have it. */
int greeting_min_replicas(const struct redisReply *reply);

/* What a Redis tells about itself. */
struct greeting_server {
    char run[48];     /* the id of this run of the server; empty if Redis does not tell */
    int64_t uptime_s; /* for how long the server had run when it told this */
};

/* Reads the reply to GREETING_INFO. *out is empty if Redis does not tell these things, or does not permit INFO. */
void greeting_server(const struct redisReply *reply, struct greeting_server *out);

/*
 * Appends the command that asks whether this Redis is a primary, and judges the reply as above. A Redis that does not tell
 * counts as a primary.
 */
void greeting_role(struct buffer *out);
MUST_CHECK enum err greeting_judge_role(const struct redisReply *reply, char why[GREETING_WHY_MAX]);

/*
 * Appends the command that asks for the format of the data, and judges the reply as above: ERR_NEWER if this version is too old
 * for it.
 */
void greeting_format(struct buffer *out);
MUST_CHECK enum err greeting_judge_format(const struct redisReply *reply, char why[GREETING_WHY_MAX]);

#endif
