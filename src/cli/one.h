/*
 * A command about one thing, which the options name by its id: a worker, a task, a queue.
 */
#ifndef CLI_ONE_H
#define CLI_ONE_H

#include "cli/client.h"

/* Asks about it, at the path `before`, id, `behind`, and says what went wrong. Release *answer in any case. */
int one_ask(const struct options *options, const char *method, const char *before, const char *behind, struct str body,
            struct answer *answer);

/* Says what went wrong if `code`, of client_ask or client_send, is not CLI_DONE; returns it. */
int one_say(int code, const struct client *client, const struct options *options);

/* Prints and frees what is in *out, or the answer's JSON; returns `code`, or CLI_FAILED after having said why. */
int one_print(struct buffer *out, int code);
int one_print_json(const struct answer *answer, int code);

/* Does something to it, and says "<id> <done>."; an answer without the text `member` is none of a coordinator. */
int one_act(const struct options *options, const char *method, const char *before, const char *behind, struct str body,
            const char *member, const char *done);

#endif
