/*
 * The settings: one table gives the environment's names, the flags, the defaults, the checks and --help.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include "base/err.h"

#include <stddef.h>

/*
 * TEXT(name, default, least bytes, most bytes, help), NUMBER(name, default, least, most, help), CHOICE(name, default, help,
 * words...). The flag of PORT is --port, that of REDIS_URL --redis-url. A default of "" means "decide at start".
 */
#define CONFIG_TABLE(TEXT, NUMBER, CHOICE)                                                                                         \
    TEXT(HOST, "::", 1, 45, "numeric address to listen on; :: is all of them, IPv4 too")                                           \
    NUMBER(PORT, "8080", 0, 65535, "port to listen on; 0 takes any free one")                                                      \
    NUMBER(METRICS_PORT, "0", 0, 65535, "port for /metrics alone, which PORT then does not serve; 0: none, PORT serves it")        \
    NUMBER(THREADS, "0", 0, 64, "event loops, each with its own connection to Redis; 0: one per core")                             \
    TEXT(REDIS_URL, "", 0, 1024,                                                                                                   \
         "redis://[user:password@]host:port/db, redis+sentinel://host:port,host:port/primary or unix:///path; a / @ ? % in a "     \
         "password is %2F %40 %3F %25; the user needs what docs/redis.md lists; default: a private redis-server in DATA_DIR")      \
    TEXT(REDIS_READ_URL, "", 0, 1024,                                                                                              \
         "redis://… or unix:///… of a replica near by, from which lists, statistics and discovery are read; default: none")        \
    NUMBER(MAX_REPLICA_LAG_SECONDS, "5", 1, 60, "a replica that is further behind is not read from")                               \
    TEXT(DATA_DIR, "./data", 1, 4096, "where the private redis-server keeps its data")                                             \
    CHOICE(APPENDFSYNC, "everysec",                                                                                                \
           "when the private redis-server's file reaches the disk: within a second, or always before a write is answered",         \
           "everysec", "always")                                                                                                   \
    TEXT(KEY_PREFIX, "{rma}", 1, 64,                                                                                               \
         "of all keys in Redis: letters, digits, '.', '_', '-'; the part in braces keeps them in one cluster slot")                \
    NUMBER(HEARTBEAT_INTERVAL_SECONDS, "30", 1, 3600, "how often workers are told to send a heartbeat")                            \
    NUMBER(HEARTBEAT_TIMEOUT_SECONDS, "300", 1, 86400, "a worker that is silent for longer is offline")                            \
    NUMBER(WORKER_TIMEOUT_SECONDS, "1800", 2, 604800, "a worker that is silent for longer is removed")                             \
    NUMBER(WORKER_REVIVE_SECONDS, "86400", 0, 2000000, "how long after its removal a heartbeat brings a worker back; 0: never")    \
    NUMBER(MAX_SERVICES_PER_WORKER, "1", 1, 8, "services assigned to one worker at most")                                          \
    NUMBER(REGISTRATIONS_PER_MINUTE, "60", 0, 60000,                                                                               \
           "new workers that one address may register, and ten times as many at once; 0: any number")                              \
    TEXT(SERVICE_CATALOG, "", 0, 4096, "JSON file of the services that workers are assigned to; default: those built in")          \
    NUMBER(                                                                                                                        \
        REQUEST_TIMEOUT_MS, "1500", 10, 2000,                                                                                      \
        "a request that Redis has not answered by then gets 504; at most 2000, since a silent connection is given up after 2500")  \
    NUMBER(MAX_UPLOAD_BYTES, "1073741824", 65536, 2147483647,                                                                      \
           "the largest body of a request that is passed on to a worker; larger ones get 413")                                     \
    NUMBER(MAX_CONNECTIONS, "4096", 1, 1000000, "open client connections; more have to wait")                                      \
    NUMBER(IDLE_TIMEOUT_SECONDS, "", 1, 86400,                                                                                     \
           "how long a client's connection is kept without a request; default: 75, or HEARTBEAT_INTERVAL_SECONDS and 15 more")     \
    TEXT(COORDINATOR_ID, "", 0, 128, "what this instance calls itself; default: host name and process id")                         \
    TEXT(REGION, "", 0, 64, "where this instance runs; discovery prefers workers that registered there; default: FLY_REGION")      \
    TEXT(PUBLIC_URL, "", 0, 512, "the URL of the coordinator that workers are told; default: the one they used")                   \
    TEXT(UPSTREAM_ALLOW, "", 0, 4096,                                                                                              \
         "networks beside the public ones in which workers get requests, as in 10.0.0.0/8,127.0.0.1,fd00::/8")                     \
    NUMBER(UPSTREAM_CONNECT_MS, "1000", 50, 10000, "how long a connection to a worker may take; TLS has twice as long")            \
    TEXT(ALLOWED_ORIGINS, "*", 0, 4096, "origins that browsers may call from, with commas between")                                \
    TEXT(WORKERS_ARRAY_HOSTS, "", 0, 4096,                                                                                         \
         "host names, with commas between, under which GET /api/admin/workers answers a bare array")                               \
    NUMBER(TRUST_PROXY, "", 0, 16,                                                                                                 \
           "through how many proxies clients come, whose X-Forwarded-* are believed; default: 1 on Fly.io, else 0")                \
    CHOICE(AUTH, "off",                                                                                                            \
           "who needs a credential: nobody; everybody, but what agents do today is served without one and reported; everybody",    \
           "off", "warn", "on")                                                                                                    \
    TEXT(JWT_KEY_FILE, "", 0, 4096,                                                                                                \
         "PEM file with P-256 private keys: the first signs tokens, the others check them; default: one that is kept in Redis")    \
    CHOICE(LOG_LEVEL, "info", "the lowest level that is logged", "debug", "info", "warn", "error")                                 \
    CHOICE(LOG_FORMAT, "", "how it is logged; default: text on a terminal, else json", "text", "json")

enum config_name {
#define X(name, ...) CONFIG_##name,
    CONFIG_TABLE(X, X, X)
#undef X
        CONFIG_COUNT
};

struct config {
    struct str text[CONFIG_COUNT]; /* as given, or the default; points into the environment or the arguments */
    int number[CONFIG_COUNT];      /* a NUMBER's value, -1 if it has no default; a CHOICE's index among its words, from 0 */
};

/*
 * Reads the settings: a flag in `args` (up to a NULL) wins over the environment, and the environment over the
 * defaults. ERR_INVALID: a value is wrong. ERR_BAD_REQUEST: an argument is not a flag, or lacks its value. `why` is
 * then one line that says what is wrong and what would be right.
 */
MUST_CHECK enum err config_read(struct config *config, char **args, char why[256]);

/* Prints all settings, as flags, with their defaults. */
void config_print_help(void);

#endif
