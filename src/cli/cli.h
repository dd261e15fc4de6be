/*
 * An operator's commands: each gets the arguments after its name and returns the program's exit code.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

#define CLI_DONE 0
#define CLI_FAILED 1    /* nobody answered, or the answer is an error or not a coordinator's */
#define CLI_USAGE 2     /* the arguments were not understood */
#define CLI_NO_WORKER 3 /* there is no such worker, task or queue */
#define CLI_NOT_WELL 4  /* status: the fleet is degraded or unhealthy */
#define CLI_NOT_DONE 5  /* submit --wait, task --follow: the task did not complete */

/* workers.c, watch.c */
int cli_workers(char **args);

/* worker.c */
int cli_worker(char **args);
int cli_drain(char **args);
int cli_undrain(char **args);
int cli_remove(char **args);

/* fleet.c */
int cli_services(char **args);
int cli_status(char **args);

/* route.c */
int cli_route(char **args);

/* submit.c, task.c, tasks.c, queues.c */
int cli_submit(char **args);
int cli_task(char **args);
int cli_cancel(char **args);
int cli_tasks(char **args);
int cli_retry(char **args);
int cli_queues(char **args);
int cli_pause(char **args);
int cli_resume(char **args);

/* accounts.c, audit.c */
int cli_users(char **args);
int cli_tokens(char **args);
int cli_keys(char **args);
int cli_audit(char **args);

/* transfer.c */
int cli_import(char **args);
int cli_export(char **args);
int cli_check(char **args);

/* Prints the arguments of a command; false if `command` is not one of these. */
bool cli_print_help(const char *command);

#endif
