/*
 * What the commands of tasks share.
 */
#ifndef CLI_TASKS_H
#define CLI_TASKS_H

#include "cli/client.h"

/* The colour for a task's state. */
enum colour task_colour(struct str state);

/*
 * Asks about a task until it has ended, over short absences of whoever answers; with `follow` prints what changes of it. Then
 * prints its result, or as JSON all of it. Returns CLI_DONE when it has completed, CLI_NOT_DONE after having said what else
 * became of it, or what went wrong.
 */
int task_await(struct client *client, const struct options *options, struct str task_id, bool follow);

#endif
