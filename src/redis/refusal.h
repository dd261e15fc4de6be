/*
 * Reads what Redis says when it refuses a command.
 */
#ifndef REDIS_REFUSAL_H
#define REDIS_REFUSAL_H

#include "base/err.h"
#include "redis/script.h"

/* Returns the error that an error reply stands for; ERR_INTERNAL if it is unknown. */
enum err refusal_read(struct str text);

/*
 * Returns the text of an error of Redis without the arguments that Redis quotes when it does not know a command: an argument of
 * AUTH is a password.
 */
struct str refusal_text(struct str text);

/* Logs that Redis has refused a script, and the command in it if that is known. script: SCRIPT_COUNT for any other command. */
void refusal_log(enum script script, struct str text);

#endif
