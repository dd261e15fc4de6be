#include "cli/commands.h"

#include "cli/cli.h"

#include <stddef.h>
#include <string.h>

const struct cli_command cli_commands[] = {
    {"workers", cli_workers, "lists the workers of a fleet", TAKES_FILTER, NULL, NULL,
     "Lists the workers of a fleet, by their ids."},
    {"worker", cli_worker, "shows one worker", TAKES_ID, "ID", "worker", "Shows everything about one worker."},
    {"services", cli_services, "lists the services, and where workers are missing", 0, NULL, NULL,
     "Lists the services, those that lack workers first: critical has no live worker, warning has one."},
    {"route", cli_route, "shows which worker would get a request", TAKES_ID | TAKES_MODEL, "SERVICE", "service",
     "Shows which worker would get a request for a service, and for each worker why or why not."},
    {"drain", cli_drain, "gives a worker no new work", TAKES_ID | TAKES_REASON, "ID", "worker",
     "Gives a worker no new work, until undrain. It stays registered."},
    {"undrain", cli_undrain, "gives a drained worker work again", TAKES_ID, "ID", "worker", "Gives a drained worker work again."},
    {"remove", cli_remove, "removes a worker", TAKES_ID | TAKES_YES, "ID", "worker",
     "Removes a worker. At a terminal it asks first. An agent that still runs may register again."},
    {"status", cli_status, "shows how the fleet is", 0, NULL, NULL,
     "Shows on one screen how the coordinator, its Redis and the fleet are."},
    {"submit", cli_submit, "puts a task into a queue", TAKES_SUBMISSION | TAKES_WAIT, "TYPE [PAYLOAD]", "type",
     "Puts a task into a queue, and prints its id. PAYLOAD is JSON; a single - reads it from standard input."},
    {"tasks", cli_tasks, "lists tasks", TAKES_TASK_FILTER | TAKES_STATE | TAKES_LIMIT, NULL, NULL,
     "Lists tasks: leased ones first, then those of each queue, and of ended ones the newest first."},
    {"task", cli_task, "shows one task, and why it waits", TAKES_ID | TAKES_FOLLOW, "ID", "task",
     "Shows everything about one task, and why it waits."},
    {"queues", cli_queues, "lists the queues", 0, NULL, NULL, "Lists the queues, with their tasks by state."},
    {"cancel", cli_cancel, "cancels a task", TAKES_ID, "ID", "task",
     "Cancels a task. A waiting task ends at once; the worker of a leased one is told."},
    {"retry", cli_retry, "queues dead tasks once more", TAKES_TASK_FILTER | TAKES_DRY_RUN | TAKES_YES, "[ID]", "task",
     "Queues a dead task once more; without an ID, all dead tasks that the flags match. At a terminal it asks first."},
    {"pause", cli_pause, "pauses a queue", TAKES_ID, "QUEUE", "queue",
     "Pauses a queue: none of its tasks are given out until resume. Tasks that run go on."},
    {"resume", cli_resume, "resumes a queue", TAKES_ID, "QUEUE", "queue", "Resumes a queue: its tasks are given out again."},
    {"users", cli_users, "lists, adds, changes and removes users", 0,
     "list | add NAME | passwd NAME | role NAME ROLE | remove NAME", NULL, "The users: who may sign in, and with which role."},
    {"users list", NULL, NULL, 0, NULL, NULL, "Lists the users."},
    {"users add", NULL, NULL, TAKES_ID | TAKES_ROLE, "NAME", "user",
     "Makes a user. The password is asked for at a terminal, else it is the first line of standard input."},
    {"users passwd", NULL, NULL, TAKES_ID, "NAME", "user",
     "Changes a user's password, and ends the sessions. The password is read as for users add."},
    {"users role", NULL, NULL, TAKES_ID | TAKES_SECOND, "NAME ROLE", "user",
     "Changes a user's role: viewer, user, operator or admin."},
    {"users remove", NULL, NULL, TAKES_ID, "NAME", "user", "Removes a user, and ends the sessions."},
    {"tokens", cli_tokens, "lists, makes and revokes the tokens of workers and programs", 0, "list | add | revoke ID", NULL,
     "The tokens, which workers and programs send in place of a password."},
    {"tokens list", NULL, NULL, 0, NULL, NULL, "Lists the tokens, without their secrets."},
    {"tokens add", NULL, NULL, TAKES_TOKEN | TAKES_ROLE, NULL, NULL, "Makes a token and prints it. Nobody can read it again."},
    {"tokens revoke", NULL, NULL, TAKES_ID | TAKES_WITH_WORKERS, "ID", "token",
     "Revokes a token. The ID is the second part of the token."},
    {"keys", cli_keys, "lists and replaces the keys that sign tokens", 0, "list | rotate", NULL, "The keys that sign tokens."},
    {"keys list", NULL, NULL, 0, NULL, NULL, "Lists the keys: the one that signs, and former ones."},
    {"keys rotate", NULL, NULL, TAKES_FORGET, NULL, NULL,
     "Makes a new signing key. The old one is known until its last token has ended."},
    {"audit", cli_audit, "shows who has done what", TAKES_LIMIT | TAKES_FOLLOW_AUDIT, NULL, NULL,
     "Shows who has done what to whom, the newest first; with --follow as it happens."},
    {"import", cli_import, "FILE [--json]: takes over the workers of the file-based coordinator's registry", 0, NULL, NULL, NULL},
    {"check", cli_check, "[--json]: checks whether the data in Redis is consistent; changes nothing", 0, NULL, NULL, NULL},
    {"export", cli_export, "[FILE]: writes such a registry to FILE, or to standard output", 0, NULL, NULL, NULL},
    {NULL, NULL, NULL, 0, NULL, NULL, NULL},
};

const struct cli_command *cli_find_command(const char *name)
{
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++)
        if (command->help != NULL && strcmp(command->name, name) == 0)
            return command;
    return NULL;
}
