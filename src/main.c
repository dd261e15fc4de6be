/*
 * rma-coordinator: order of start-up, signals, order of the end.
 *
 * The main thread starts everything, then waits for signals and looks after the embedded Redis. The other threads serve; each
 * has its own loop, listener, connection to Redis and waiting requests. The data that they share and change is in api/shared.c and
 * base/log.c.
 */
#include "base/log.h"
#include "base/process.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "instance/instance.h"
#include "redis/embedded.h"
#include "redis/keys.h"
#include "redis/script.h"

#include <ctype.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define SPARE_DESCRIPTORS 64      /* for everything but client connections */
#define DESCRIPTORS_OF_A_THREAD 8 /* that it has open without any client or worker, at most */
#define DESCRIPTORS_BESIDE 8      /* the same, of the whole program beside its threads */
#define EXIT_USAGE 2              /* the arguments are wrong; EXIT_FAILURE: it can't start for another reason */

/* Prints why it does not start, in one line even if `why` has control characters. Returns the exit code. */
static int fail(int code, const char *why)
{
    fputs("rma-coordinator: ", stderr);
    for (; *why != '\0'; why++)
        fputc(iscntrl((unsigned char)*why) ? '?' : *why, stderr);
    fputc('\n', stderr);
    return code;
}

/*
 * Raises the limit of descriptors as far as the system allows. If it is too low for MAX_CONNECTIONS, lowers that number.
 * ERR_INVALID: the limit is too low for the threads.
 */
static enum err limit_connections(struct instance *instance, char why[256])
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return ERR_NONE;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    int wanted = instance->server_config.max_connections;
    int needed = DESCRIPTORS_BESIDE + DESCRIPTORS_OF_A_THREAD * instance->thread_count;
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= (rlim_t)wanted + SPARE_DESCRIPTORS)
        return ERR_NONE;
    if (limit.rlim_cur < (rlim_t)needed) {
        snprintf(why, 256, "the limit of open files is %d, and %d threads need %d: raise it (ulimit -n), or set THREADS lower",
                 (int)limit.rlim_cur, instance->thread_count, needed);
        return ERR_INVALID;
    }
    int possible = limit.rlim_cur > 2 * SPARE_DESCRIPTORS ? (int)limit.rlim_cur - SPARE_DESCRIPTORS : (int)limit.rlim_cur / 2;
    instance->server_config.max_connections = possible;
    log_event(LOG_WARN, "few_descriptors", "the limit of open files allows fewer connections than MAX_CONNECTIONS",
              log_number("max_connections", wanted), log_number("now", possible));
    return ERR_NONE;
}

/* Writes the host under which this machine reaches the coordinator. */
static const char *name_host(struct str host, char room[64])
{
    static const struct str local[] = {STR("::"), STR("0.0.0.0"), STR("::1"), STR("127.0.0.1")};
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
        if (str_eq(host, local[i]))
            return "localhost";
    snprintf(room, 64, memchr(host.ptr, ':', host.len) != NULL ? "[%.*s]" : "%.*s", STR_PRINTF(host));
    return room;
}

/* Tells a person at a terminal where it listens, and three things to try. */
static void print_welcome(const struct instance *instance, const struct embedded *embedded)
{
    char room[64], place[80];
    snprintf(place, sizeof(place), "%s:%d", name_host(instance->config.text[CONFIG_HOST], room), instance->port);
    printf("\nrma-coordinator %s listens on http://%s: its dashboard is there; its data is in %s\n\n"
           "  curl -s %s/health\n"
           "  curl -s %s/api/worker/register -H 'Content-Type: application/json' \\\n"
           "       -d '{\"worker_id\": \"my-worker\", \"capabilities\": {\"cpu_cores\": 8, \"ram\": \"16GB\"}}'\n"
           "  curl -s %s/api/admin/workers\n\nCtrl-C ends it.\n\n",
           VERSION, place, embedded != NULL ? instance->config.text[CONFIG_DATA_DIR].ptr : "the Redis of REDIS_URL", place, place,
           place);
    fflush(stdout);
}

/* Waits for the signal to end, looking after the embedded Redis (NULL with a REDIS_URL) meanwhile. */
static void wait_for_end(struct embedded *embedded, const sigset_t *signals)
{
    int32_t wait = 1000;
    for (;;) {
        struct timespec timeout = {wait / 1000, (long)(wait % 1000) * 1000000};
        int got = sigtimedwait(signals, NULL, &timeout);
        if (got == SIGTERM || got == SIGINT) {
            log_event(LOG_INFO, "stopping", "finishing what is in flight",
                      log_text("signal", got == SIGTERM ? "SIGTERM" : "SIGINT"));
            return;
        }
        wait = embedded != NULL ? embedded_tick(embedded) : 1000;
    }
}

/* Logs that it serves, with what it has found. */
static void log_start(struct instance *instance)
{
    int64_t workers = instance_workers_found(instance);
    char message[128], count[32] = "", place[ADDRESS_PLACE_MAX];
    if (workers >= 0)
        snprintf(count, sizeof(count), "%" PRId64, workers);
    snprintf(message, sizeof(message), "rma-coordinator " VERSION " is listening%s%s%s",
             workers >= 0 ? ", loaded " : "; Redis does not answer yet", count, workers >= 0 ? " workers" : "");
    log_event(LOG_INFO, "listening", message, log_text("version", VERSION), log_str("host", instance->config.text[CONFIG_HOST]),
              log_number("port", instance->port), log_number("threads", instance->thread_count),
              log_text("redis", address_place(&instance->address, place)),
              workers >= 0 ? log_number("workers", (double)workers) : log_text("workers", ""),
              log_number("heartbeat_s", instance->api_config.heartbeat_interval_s),
              log_number("offline_after_s", instance->store_config.heartbeat_timeout_ms / 1000.0),
              log_number("removed_after_s", instance->store_config.worker_timeout_ms / 1000.0),
              log_number("request_timeout_ms", instance->server_config.request_timeout_ms), log_text("coordinator", instance->id));
}

static int run(struct instance *instance, char **args)
{
    char why[256];
    enum err err = instance_configure(instance, args, why);
    if (err != ERR_NONE)
        return fail(err == ERR_BAD_REQUEST ? EXIT_USAGE : EXIT_FAILURE, why);
    if (instance_take_catalogue(instance) != ERR_NONE)
        return EXIT_FAILURE;

    /* blocked before any thread starts, so that the main thread alone takes them, when it waits for them */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* a parent may have left it ignored, which would hide how the embedded Redis ends */

    if (limit_connections(instance, why) != ERR_NONE || instance_listen(instance, why) != ERR_NONE)
        return fail(EXIT_FAILURE, why);
    struct embedded *embedded = NULL;
    if (instance->config.text[CONFIG_REDIS_URL].len == 0)
        err = embedded_start(instance->config.text[CONFIG_DATA_DIR].ptr, instance->config.text[CONFIG_APPENDFSYNC].ptr, &embedded,
                             &instance->address, why);
    if (err == ERR_UNAVAILABLE) {
        log_event(LOG_INFO, "stopped", "was asked to end before it served", log_text("coordinator", instance->id));
        return EXIT_SUCCESS;
    }
    if (err != ERR_NONE)
        return fail(EXIT_FAILURE, why);
    if (instance_start(instance, why) != ERR_NONE) {
        if (embedded != NULL)
            embedded_stop(embedded);
        return fail(EXIT_FAILURE, why);
    }
    log_start(instance);
    if (str_eq(instance->config.text[CONFIG_LOG_FORMAT], STR("text")) || isatty(STDOUT_FILENO))
        print_welcome(instance, embedded);

    wait_for_end(embedded, &signals);
    instance_stop(instance);
    if (embedded != NULL)
        embedded_stop(embedded);
    log_event(LOG_INFO, "stopped", "all is finished", log_text("coordinator", instance->id));
    return EXIT_SUCCESS;
}

static int command_serve(char **args)
{
    /* the memory of a large listing goes back to the system at once, and threads keep little spare memory */
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    mallopt(M_ARENA_MAX, 2);
    static struct instance instance;
    return run(&instance, args);
}

static void print_help(void)
{
    printf("Usage: rma-coordinator [COMMAND] [FLAG...]\n\n"
           "Keeps the register of a fleet of workers, in Redis.\n\nCommands:\n");
    printf("  %-30s %s\n", "serve", "runs a coordinator; the default");
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++)
        if (command->run != NULL)
            printf("  %-30s %s\n", command->name, command->summary);
    printf("\nCOMMAND --help says what an operator's command takes.\n"
           "\nFlags. Each may be given in the environment instead, by the name in capitals; a flag on the command line wins.\n");
    config_print_help();
    printf("\nWhat a Redis user must be permitted, as ACL SETUSER takes it; docs/redis.md says more:\n"
           "  ~{rma}:* &{rma}:* " SCRIPT_COMMANDS " " STORE_COMMANDS "\n");
    printf("\n  --help, -h                     shows this\n  --version                      shows the version, its commit, and the "
           "format of the data that it writes\n");
}

static int fail_unknown(const char *name)
{
    char why[256];
    size_t len = (size_t)snprintf(why, sizeof(why), "there is no command \"%.64s\", only these: serve", name);
    for (const struct cli_command *command = cli_commands; command->name != NULL && len < sizeof(why); command++)
        if (command->run != NULL)
            len += (size_t)snprintf(why + len, sizeof(why) - len, " %s", command->name);
    if (len < sizeof(why))
        snprintf(why + len, sizeof(why) - len, "; --help tells more");
    return fail(EXIT_USAGE, why);
}

/* Whoever lists the processes of this machine also sees their arguments: no password of a URL stays there. */
static void hide_passwords(char **args)
{
    for (; *args != NULL; args++) {
        char *rest = strstr(*args, "://"), *shown = *args;
        if (rest == NULL || (strchr(rest, '@') == NULL && strstr(rest, "password=") == NULL))
            continue;
        rest += 3;
        *args = strdup(shown);
        if (*args == NULL)
            abort();
        memset(rest, '*', strlen(rest));
    }
}

/* Ends what has printed something. The text may have stood in a buffer until now, where nobody sees that it can't be written. */
static int end_printing(int code)
{
    bool printed = fflush(stdout) == 0 && !ferror(stdout);
    return printed || code != EXIT_SUCCESS ? code : fail(EXIT_FAILURE, "stdout takes no more");
}

int main(int argc, char **argv)
{
    process_open_standard();
    process_keep_secrets();
    hide_passwords(argv);
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            if (!cli_print_help(argv[1]))
                print_help();
            return end_printing(EXIT_SUCCESS);
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("rma-coordinator %s (commit %s, format %d)\n", VERSION, instance_commit, KEYS_FORMAT);
            return end_printing(EXIT_SUCCESS);
        }
    }
    if (argc < 2 || argv[1][0] == '-')
        return command_serve(argv + (argc > 0));
    if (strcmp(argv[1], "serve") == 0)
        return command_serve(argv + 2);
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++)
        if (command->run != NULL && strcmp(argv[1], command->name) == 0)
            return end_printing(command->run(argv + 2));
    return fail_unknown(argv[1]);
}
