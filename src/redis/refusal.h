/*
 * What Redis says when it refuses a command.
 */
#ifndef REDIS_REFUSAL_H
#define REDIS_REFUSAL_H

#include "base/err.h"
#include "redis/script.h"

/* The error that it means; ERR_INTERNAL when it is none that is known. */
enum err refusal_read(struct str text);

/* An error without the arguments that Redis quotes of a command that it does not know: one of AUTH is a password. */
struct str refusal_text(struct str text);

/* Logs that Redis has refused a script, or another command (SCRIPT_COUNT), with the command that it is about. */
void refusal_log(enum script script, struct str text);

#endif
