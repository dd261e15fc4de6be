/*
 * The Lua scripts, addressed by their content: two versions of the coordinator can run side by side on one Redis.
 */
#ifndef REDIS_SCRIPT_H
#define REDIS_SCRIPT_H

#include "base/buffer.h"
#include "redis/keys.h"
#include "scripts.h" /* made from lua/: enum script and the scripts' argument names */

/* What the embedding tool writes for each script. */
struct script_text {
    const char *name;
    const struct str *parts; /* its text in parts: each part of a library is in memory once, however many scripts have it */
    size_t part_count;
    const enum key *keys;
    size_t key_count;
    size_t arg_count; /* without the rest */
};
extern const struct script_text script_texts[SCRIPT_COUNT];

/* The commands that a Redis user needs beside SCRIPT_COMMANDS, in the form of ACL SETUSER. */
#define STORE_COMMANDS "+evalsha +mget +script|load +subscribe +wait +xrange +xrevrange +zrangebylex"

/* Computes the scripts' digests. Call it once, before any thread starts, after keys_init. */
void scripts_init(void);

/*
 * Begins the EVALSHA of a script with its keys and its named arguments: as many as the script has, and absent ones
 * are sent empty. Exactly `rest` strings must follow by command_add.
 */
void script_begin(struct buffer *out, enum script script, const struct str *args, size_t rest);

/* Appends the text of a script, as Redis gets it. */
void script_write(struct buffer *out, enum script script);

/* Returns line `number` (from 1) of the text of a script; absent if there is no such line. */
struct str script_line(enum script script, long number);

/* Appends the SCRIPT LOAD of a script. */
void script_load_command(struct buffer *out, enum script script);

#endif
