/*
 * A command about one thing, which the options name by its id: a worker, a task, a queue.
 */
#ifndef CLI_ONE_H
#define CLI_ONE_H

#include "cli/client.h"

/* Sends a request to the path `before` + id + `behind`, and prints what went wrong. Release *answer in any case. */
int one_ask(const struct options *options, const char *method, const char *before, const char *behind, struct str body,
            struct answer *answer);

/* Prints what went wrong if `code`, from client_ask or client_send, is not CLI_DONE; returns `code`. */
int one_say(int code, const struct client *client, const struct options *options);

/* Prints and frees *out, or prints the answer's JSON. Returns `code`, or CLI_FAILED after printing why. */
int one_print(struct buffer *out, int code);
int one_print_json(const struct answer *answer, int code);

/* Changes that thing, and prints "<id> <done>.". An answer without the text member `member` is not a coordinator's: CLI_FAILED. */
int one_act(const struct options *options, const char *method, const char *before, const char *behind, struct str body,
            const char *member, const char *done);

#endif
