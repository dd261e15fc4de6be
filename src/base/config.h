/*
 * The settings: one table gives the environment's names, the flags, the defaults, the checks and --help.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include "base/err.h"

#include <stddef.h>

/*
 * X(kind, name, default, low, high, help): kind TEXT (bytes from low to high) or NUMBER (from low to high). The flag of PORT is
 * --port, that of REDIS_URL --redis-url. A default of "" for a NUMBER means 0, which stands for "decide at start".
 */
#define CONFIG_TABLE(X)                                                                                                            \
    X(TEXT, HOST, "::", 1, 45, "numeric address to listen on; :: is all of them, IPv4 too")                                        \
    X(NUMBER, PORT, "8080", 0, 65535, "port to listen on; 0 takes any free one")                                                   \
    X(NUMBER, THREADS, "", 0, 64, "event loops, each with its own connection to Redis; default: one per core")                     \
    X(TEXT, REDIS_URL, "", 0, 1024,                                                                                                \
      "redis://[user:password@]host:port/db or unix:///path; default: a private redis-server in DATA_DIR")                         \
    X(TEXT, DATA_DIR, "./data", 1, 4096, "where the private redis-server keeps its data")                                          \
    X(TEXT, KEY_PREFIX, "{rma}", 1, 64, "of all keys in Redis; the braces keep them in one cluster slot")                          \
    X(NUMBER, HEARTBEAT_INTERVAL_SECONDS, "30", 1, 3600, "how often workers are told to beat")                                     \
    X(NUMBER, HEARTBEAT_TIMEOUT_SECONDS, "300", 1, 86400, "a worker silent for so long is offline")                                \
    X(NUMBER, WORKER_TIMEOUT_SECONDS, "1800", 2, 604800, "a worker silent for so long is removed")                                 \
    X(NUMBER, WORKER_REVIVE_SECONDS, "86400", 0, 2000000, "a worker removed for no longer comes back by its heartbeat")            \
    X(NUMBER, MAX_SERVICES_PER_WORKER, "1", 1, 8, "services assigned to one worker at most")                                       \
    X(TEXT, SERVICE_CATALOG, "", 0, 4096, "JSON file of the services that workers are assigned to; default: those built in")       \
    X(NUMBER, REQUEST_TIMEOUT_MS, "1500", 10, 60000, "a request that Redis has not answered by then gets 504")                     \
    X(NUMBER, MAX_CONNECTIONS, "4096", 1, 1000000, "open client connections; more have to wait")                                   \
    X(TEXT, COORDINATOR_ID, "", 0, 128, "what this instance calls itself; default: host name and process id")                      \
    X(TEXT, REGION, "", 0, 64, "where this instance runs; default: FLY_REGION")                                                    \
    X(TEXT, PUBLIC_URL, "", 0, 512, "URL that workers reach the coordinator under; default: the one they used")                    \
    X(TEXT, ALLOWED_ORIGINS, "*", 0, 4096, "origins that browsers may call from, with commas between")                             \
    X(TEXT, TRUST_PROXY, "", 0, 1, "1: believe Fly-Client-IP and X-Forwarded-*; default: 1 on Fly.io, else 0")                     \
    X(TEXT, LOG_LEVEL, "info", 1, 5, "debug, info, warn or error")                                                                 \
    X(TEXT, LOG_FORMAT, "", 0, 4, "text or json; default: text on a terminal, else json")

enum config_name {
#define X(kind, name, default_, low, high, help) CONFIG_##name,
    CONFIG_TABLE(X)
#undef X
        CONFIG_COUNT
};

struct config {
    struct str text[CONFIG_COUNT]; /* as given, or the default; points into the environment or the arguments */
    int number[CONFIG_COUNT];      /* of NUMBERs */
};

/*
 * Reads the flags in `args` (up to a NULL), which win over the environment, which wins over the defaults. On ERR_INVALID `why` is
 * one line that says what is wrong and what would be right.
 */
MUST_CHECK enum err config_read(struct config *config, char **args, char why[256]);

/* Prints all settings with their defaults. */
void config_print_help(void);

#endif
