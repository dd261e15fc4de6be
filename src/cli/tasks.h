/*
 * What the commands of tasks share.
 */
#ifndef CLI_TASKS_H
#define CLI_TASKS_H

#include "cli/client.h"

/* Returns the colour for a task's state. */
enum colour task_colour(struct str state);

/*
 * Asks about a task until it has ended. It tolerates failures of the coordinator for a minute. With `follow` it prints each change.
 * Then it prints the result, or the whole task as JSON. Returns CLI_DONE if the task has completed; else CLI_NOT_DONE or
 * another code, after printing the reason.
 */
int task_await(struct client *client, const struct options *options, struct str task_id, bool follow);

#endif
