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
    GREETING_SCRIPTS, /* this one and those up to GREETING_END: a script each */
    GREETING_END = GREETING_SCRIPTS + SCRIPT_COUNT
};

#define GREETING_WHY_MAX 192

/* The first step from `step` on that a Redis at `address` needs; GREETING_END when there is none. */
int greeting_from(int step, const struct address *address);

/* Appends the command of a step. */
void greeting_command(struct buffer *out, int step, const struct address *address);

/*
 * Judges the reply to a step (NULL: the connection is lost). Returns ERR_NONE, or what is wrong as far as Redis says, and `why`
 * in words. Logs a warning about bad settings of Redis, once for each process and fault.
 */
MUST_CHECK enum err greeting_judge(int step, const struct address *address, const struct redisReply *reply,
                                   char why[GREETING_WHY_MAX]);

/* The min-replicas-to-write in the reply to GREETING_CONFIG; 0 when it has none. */
int greeting_min_replicas(const struct redisReply *reply);

/* What a Redis says of itself. */
struct greeting_server {
    char run[48];     /* names this run of it; empty when it does not say */
    int64_t uptime_s; /* when it said so */
};

/* Reads the reply to GREETING_INFO; where it does not say, or does not permit the question, `out` is empty. */
void greeting_server(const struct redisReply *reply, struct greeting_server *out);

/* Appends the question whether it is a primary, and judges the reply likewise. A Redis that does not say counts as a primary. */
void greeting_role(struct buffer *out);
MUST_CHECK enum err greeting_judge_role(const struct redisReply *reply, char why[GREETING_WHY_MAX]);

/* Appends the question for the format of the data, and judges the reply likewise: ERR_NEWER where this version is too old. */
void greeting_format(struct buffer *out);
MUST_CHECK enum err greeting_judge_format(const struct redisReply *reply, char why[GREETING_WHY_MAX]);

#endif
