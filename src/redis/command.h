/*
 * Builds Redis commands in the wire protocol (RESP2: https://redis.io/docs/reference/protocol-spec/).
 */
#ifndef REDIS_COMMAND_H
#define REDIS_COMMAND_H

#include "base/buffer.h"

/* Begins a command of `count` strings in `out`. Exactly that many calls of command_add must follow. */
void command_begin(struct buffer *out, size_t count);
void command_add(struct buffer *out, struct str text);
void command_add_number(struct buffer *out, long long number);

/* Appends an AUTH command. An empty `user` is left out. */
void command_auth(struct buffer *out, const char *user, const char *password);

/* Appends a name and a value, as HSET takes them, unless the value is empty. Returns how many strings it appended. */
size_t command_add_pair(struct buffer *command, struct str name, struct str value);

#endif
