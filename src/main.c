/*
 * rma-coordinator: order of start-up, signals, order of the end.
 *
 * The main thread starts everything, then waits for signals and looks after the embedded Redis. The other threads serve; each has its
 * own loop, listener, connection to Redis and waiting requests, and they share nothing that changes.
 */
#include "api/api.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "http/server.h"
#include "redis/embedded.h"
#include "redis/link.h"

#include <ctype.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION "0.1.0"
#endif

#define QUICK_TIMEOUT_MS 800 /* health checks are answered within a second, whatever Redis does */
#define SWEEP_INTERVAL_MS 1000
#define REGION_MAX 64
#define SPARE_DESCRIPTORS 64 /* for everything but client connections */
#define EXIT_USAGE 2         /* the arguments were not understood; EXIT_FAILURE: something else is in the way */

struct program;

/* One serving thread and what belongs to it. */
struct worker_thread {
    struct program *program;
    int index;
    pthread_t id;
    struct server_thread *server;
    struct link *link;
    struct store *store;
    struct api api;
    int64_t sweep_at; /* 0: another thread does it */
};

/* The whole program. */
struct program {
    struct config config;
    struct address address;
    struct embedded *embedded; /* NULL with a REDIS_URL */
    struct server_config server_config;
    struct store_config store_config;
    struct api_config api_config;
    struct server *server;
    struct worker_thread *threads;
    int thread_count;
    pthread_barrier_t threads_made;
    int port;
    char id[160];
};

/* Says why it does not start, in one line whatever the values in it, and returns the exit code. */
static int fail(int code, const char *why)
{
    fputs("rma-coordinator: ", stderr);
    for (; *why != '\0'; why++)
        fputc(iscntrl((unsigned char)*why) ? '?' : *why, stderr);
    fputc('\n', stderr);
    return code;
}

static bool is_ready(void *data)
{
    const struct api *api = data;
    return store_is_up(api->store);
}

static int32_t on_tick(void *data)
{
    struct worker_thread *thread = (struct worker_thread *)((char *)data - offsetof(struct worker_thread, api));
    if (thread->sweep_at != 0 && clock_ms() >= thread->sweep_at) {
        thread->sweep_at = clock_ms() + SWEEP_INTERVAL_MS;
        store_sweep(thread->store);
    }
    store_tick(thread->store);
    return link_tick(thread->link);
}

/* Each thread makes what it uses itself: libh2o keeps a thread's spare memory in the thread, and a loop must not use another's. */
static void *serve(void *data)
{
    struct worker_thread *thread = data;
    struct program *program = thread->program;
    thread->server = server_thread_new(program->server, thread->index);
    thread->link = link_new(server_thread_loop(thread->server), server_thread_resolver(thread->server), &program->address);
    thread->store = store_new(thread->link, &program->store_config);
    thread->api = (struct api){.config = &program->api_config, .thread = thread->server, .store = thread->store};
    thread->sweep_at = thread->index == 0;
    server_thread_set_app(thread->server, &thread->api, on_tick, is_ready);
    pthread_barrier_wait(&program->threads_made);
    server_thread_run(thread->server);
    return NULL;
}

static void threads_start(struct program *program)
{
    program->threads = calloc((size_t)program->thread_count, sizeof(*program->threads));
    if (program->threads == NULL || pthread_barrier_init(&program->threads_made, NULL, (unsigned)program->thread_count + 1) != 0)
        abort();
    for (int i = 0; i < program->thread_count; i++) {
        struct worker_thread *thread = &program->threads[i];
        thread->program = program;
        thread->index = i;
        if (pthread_create(&thread->id, NULL, serve, thread) != 0)
            abort();
    }
    pthread_barrier_wait(&program->threads_made);
}

/* Nothing is freed at the end: the program goes, and what it has is reachable until then, so that leaks still show. */
static void threads_stop(struct program *program)
{
    for (int i = 0; i < program->thread_count; i++)
        server_thread_stop(program->threads[i].server);
    for (int i = 0; i < program->thread_count; i++)
        pthread_join(program->threads[i].id, NULL);
}

/* Descriptors for every connection, if the system allows them; else as many connections as there are descriptors for. */
static void limit_connections(struct program *program)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    int wanted = program->server_config.max_connections;
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= (rlim_t)wanted + SPARE_DESCRIPTORS)
        return;
    int possible = limit.rlim_cur > 2 * SPARE_DESCRIPTORS ? (int)limit.rlim_cur - SPARE_DESCRIPTORS : (int)limit.rlim_cur / 2;
    program->server_config.max_connections = possible;
    log_event(LOG_WARN, "few_descriptors", "the limit of open files allows fewer connections than MAX_CONNECTIONS",
              log_number("max_connections", wanted), log_number("now", possible));
}

/*
 * Whether a prefix (NUL-terminated) keeps a fleet's keys to itself: only characters that mean nothing in patterns and shells, a part
 * of them in braces. No colon, since the keys of "a:worker:b" would lie among those of "a".
 */
static bool is_key_prefix(const char *prefix)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const char *end = prefix + strspn(prefix, plain);
    if (*end == '{') {
        size_t inside = strspn(end + 1, plain);
        if (inside == 0 || end[1 + inside] != '}')
            return false;
        end += inside + 2;
        end += strspn(end, plain);
    }
    return *end == '\0';
}

/* Says in `why` what is wrong with the settings together or beyond config_read's checks. */
static enum err check_settings(struct program *program, char why[256])
{
    const struct config *config = &program->config;
    struct str url = config->text[CONFIG_REDIS_URL];
    const char *url_why;
    why[0] = '\0';
    if (!is_key_prefix(config->text[CONFIG_KEY_PREFIX].ptr))
        snprintf(why, 256,
                 "KEY_PREFIX must be of letters, digits, '.', '_' and '-', a part of which may stand in braces, as in {rma}");
    else if (config->number[CONFIG_WORKER_TIMEOUT_SECONDS] <= config->number[CONFIG_HEARTBEAT_TIMEOUT_SECONDS])
        snprintf(why, 256, "WORKER_TIMEOUT_SECONDS must be more than HEARTBEAT_TIMEOUT_SECONDS");
    else if (url.len > 0 && address_parse(url, &program->address, &url_why) != ERR_NONE)
        snprintf(why, 256, "REDIS_URL: %s", url_why);
    return why[0] == '\0' ? ERR_NONE : ERR_INVALID;
}

/* What this instance calls itself, and where it is. */
static void name_instance(struct program *program, struct str *region)
{
    const struct config *config = &program->config;
    char host[64] = "coordinator";
    gethostname(host, sizeof(host) - 1);
    struct str id = config->text[CONFIG_COORDINATOR_ID];
    if (id.len > 0)
        snprintf(program->id, sizeof(program->id), "%.*s", STR_PRINTF(id));
    else
        snprintf(program->id, sizeof(program->id), "%s-%d", host, getpid());
    const char *fly_region = getenv("FLY_REGION");
    *region = config->text[CONFIG_REGION];
    if (region->len == 0 && fly_region != NULL)
        *region = (struct str){fly_region, strnlen(fly_region, REGION_MAX)};
}

static int count_threads(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (config->number[CONFIG_THREADS] > 0)
        return config->number[CONFIG_THREADS];
    return cores >= 1 && cores <= 64 ? (int)cores : 1;
}

/* Reads the settings into what the modules take; errors and `why` are config_read's. */
static enum err configure(struct program *program, char **args, char why[256])
{
    const struct config *config = &program->config;
    enum err err = config_read(&program->config, args, why);
    if (err == ERR_NONE)
        err = check_settings(program, why);
    if (err != ERR_NONE)
        return err;
    struct str format = config->text[CONFIG_LOG_FORMAT];
    /* its words stand in the order of the levels */
    log_init((enum log_level)config->number[CONFIG_LOG_LEVEL],
             format.len > 0 ? str_eq(format, STR("json")) : !isatty(STDERR_FILENO));
    struct str region, trust = config->text[CONFIG_TRUST_PROXY];
    name_instance(program, &region);
    program->thread_count = count_threads(config);
    program->server_config = (struct server_config){
        .host = config->text[CONFIG_HOST],
        .port = config->number[CONFIG_PORT],
        .max_connections = config->number[CONFIG_MAX_CONNECTIONS],
        .threads = program->thread_count,
        .request_timeout_ms = config->number[CONFIG_REQUEST_TIMEOUT_MS],
        .quick_timeout_ms = QUICK_TIMEOUT_MS,
        .allowed_origins = config->text[CONFIG_ALLOWED_ORIGINS],
        .routes = api_routes,
    };
    program->store_config = (struct store_config){
        .heartbeat_timeout_ms = config->number[CONFIG_HEARTBEAT_TIMEOUT_SECONDS] * 1000,
        .worker_timeout_ms = config->number[CONFIG_WORKER_TIMEOUT_SECONDS] * 1000,
        .max_services = config->number[CONFIG_MAX_SERVICES_PER_WORKER],
        .region = region,
    };
    program->api_config = (struct api_config){
        .coordinator_id = str_from(program->id),
        .region = region,
        .version = STR(VERSION),
        .public_url = config->text[CONFIG_PUBLIC_URL],
        .trust_proxy = trust.len > 0 ? str_eq(trust, STR("1")) : getenv("FLY_APP_NAME") != NULL,
        .heartbeat_interval_s = config->number[CONFIG_HEARTBEAT_INTERVAL_SECONDS],
    };
    return ERR_NONE;
}

/* For people at a terminal: where it listens, and three things to try. */
static void print_welcome(const struct program *program)
{
    printf("\nrma-coordinator %s listens on http://localhost:%d; its data is in %s\n\n"
           "  curl -s localhost:%d/health\n"
           "  curl -s localhost:%d/api/worker/register -H 'Content-Type: application/json' \\\n"
           "       -d '{\"worker_id\": \"my-worker\", \"capabilities\": {\"cpu_cores\": 8, \"ram\": \"16GB\"}}'\n"
           "  curl -s localhost:%d/api/admin/workers\n\nCtrl-C ends it.\n\n",
           VERSION, program->port, program->embedded != NULL ? program->config.text[CONFIG_DATA_DIR].ptr : "the Redis of REDIS_URL",
           program->port, program->port, program->port);
    fflush(stdout);
}

/* Waits for the signal to end, looking after the embedded Redis meanwhile. */
static void wait_for_end(struct program *program, const sigset_t *signals)
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
        wait = program->embedded != NULL ? embedded_tick(program->embedded) : 1000;
    }
}

static int run(struct program *program, char **args)
{
    char why[256];
    const char *cause;
    enum err err = configure(program, args, why);
    if (err != ERR_NONE)
        return fail(err == ERR_BAD_REQUEST ? EXIT_USAGE : EXIT_FAILURE, why);

    /* blocked before anything starts: the main thread alone takes them, when it waits for them */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* ignored, as a parent may have left it, it would hide how the embedded Redis ends */

    limit_connections(program);
    if (server_new(&program->server_config, &program->server, &program->port, &cause) != ERR_NONE) {
        snprintf(why, sizeof(why), "HOST %.45s, PORT %d: %s: %s", program->config.text[CONFIG_HOST].ptr,
                 program->config.number[CONFIG_PORT], cause, strerror(errno));
        return fail(EXIT_FAILURE, why);
    }
    if (program->config.text[CONFIG_REDIS_URL].len == 0)
        err = embedded_start(program->config.text[CONFIG_DATA_DIR].ptr, &program->embedded, &program->address, why);
    if (err == ERR_UNAVAILABLE) {
        log_event(LOG_INFO, "stopped", "was asked to end before it served", log_text("coordinator", program->id));
        return EXIT_SUCCESS;
    }
    if (err != ERR_NONE)
        return fail(EXIT_FAILURE, why);
    keys_init(program->config.text[CONFIG_KEY_PREFIX]);
    scripts_init();

    threads_start(program);
    char place[ADDRESS_PLACE_MAX];
    log_event(LOG_INFO, "listening", "rma-coordinator " VERSION " is listening", log_str("host", program->config.text[CONFIG_HOST]),
              log_number("port", program->port), log_number("threads", program->thread_count),
              log_text("redis", address_place(&program->address, place)),
              log_number("offline_after_s", program->store_config.heartbeat_timeout_ms / 1000.0),
              log_number("removed_after_s", program->store_config.worker_timeout_ms / 1000.0),
              log_text("coordinator", program->id));
    if (str_eq(program->config.text[CONFIG_LOG_FORMAT], STR("text")) || isatty(STDOUT_FILENO))
        print_welcome(program);

    wait_for_end(program, &signals);
    threads_stop(program);
    if (program->embedded != NULL)
        embedded_stop(program->embedded);
    log_event(LOG_INFO, "stopped", "all is finished", log_text("coordinator", program->id));
    return EXIT_SUCCESS;
}

static int command_serve(char **args)
{
    /* large listings come and go: what they took goes back to the system at once, and the threads don't hoard */
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    mallopt(M_ARENA_MAX, 2);
    static struct program program;
    return run(&program, args);
}

/* What the first argument can be; without one, it is the first of these. */
static const struct command {
    const char *name;
    int (*run)(char **args); /* gets the arguments after the name, returns the exit code */
    const char *help;
} commands[] = {
    {"serve", command_serve, "runs a coordinator; so does no command at all"},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(void)
{
    printf("Usage: rma-coordinator [COMMAND] [FLAG...]\n\n"
           "Keeps the register of a fleet of workers, in Redis.\n\nCommands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-30s %s\n", commands[i].name, commands[i].help);
    printf("\nFlags. Each may be given in the environment instead, by the name in capitals; a flag on the command line wins.\n");
    config_print_help();
    printf("\n  --help, -h                     shows this\n  --version                      shows the version\n");
}

static int fail_unknown(const char *name)
{
    char why[256];
    size_t len = (size_t)snprintf(why, sizeof(why), "there is no command \"%.64s\", only these:", name);
    for (size_t i = 0; i < COMMAND_COUNT && len < sizeof(why); i++)
        len += (size_t)snprintf(why + len, sizeof(why) - len, " %s", commands[i].name);
    if (len < sizeof(why))
        snprintf(why + len, sizeof(why) - len, "; --help tells more");
    return fail(EXIT_USAGE, why);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help();
            return EXIT_SUCCESS;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("rma-coordinator %s\n", VERSION);
            return EXIT_SUCCESS;
        }
    }
    if (argc < 2 || argv[1][0] == '-')
        return commands[0].run(argv + (argc > 0));
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argv + 2);
    return fail_unknown(argv[1]);
}
