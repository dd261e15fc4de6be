/*
 * What Redis says when it refuses a command.
 */
#ifndef REDIS_REFUSAL_H
#define REDIS_REFUSAL_H

#include "base/err.h"
#include "redis/script.h"

/* The error that an error reply stands for; ERR_INTERNAL if it is unknown. */
enum err refusal_read(struct str text);

/*
 * The text of an error of Redis, without the arguments that Redis quotes of an unknown command: an argument of AUTH is a
 * password.
 */
struct str refusal_text(struct str text);

/* Logs that Redis has refused a script, or another command (SCRIPT_COUNT), with the command that it is about. */
void refusal_log(enum script script, struct str text);

#endif
