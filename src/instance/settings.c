#include "instance/instance.h"

#include "api/admit.h"
#include "api/proxy.h"
#include "auth/signing_key.h"
#include "base/file.h"
#include "base/hosts.h"
#include "base/process.h"
#include "base/utf8.h"
#include "instance/shared_secret.h"
#include "instance/upstreams.h"
#include "instance/web.h"
#include "redis/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define IDLE_TIMEOUT_S 75
#define IDLE_MARGIN_S 15     /* for a heartbeat that comes late */
#define QUICK_TIMEOUT_MS 800 /* health checks are answered within a second, whatever Redis does */
#define REGION_MAX 64

/* Reads JWT_KEY_FILE, if it is set. */
static enum err read_signing_keys(struct instance *instance, char why[256])
{
    const char *path = instance->config.text[CONFIG_JWT_KEY_FILE].ptr;
    struct buffer pem = BUFFER_INIT;
    if (path[0] == '\0')
        return ERR_NONE;
    enum err err = ERR_INVALID;
    if (!file_read(path, SIGNING_KEYS_MAX * SIGNING_KEY_PEM_MAX, &pem)) {
        snprintf(why, 256, "JWT_KEY_FILE: %.100s can't be read: %s", path, strerror(errno));
    } else {
        err = signing_keys_read(buffer_str(&pem), &instance->signing_keys);
        if (err != ERR_NONE)
            snprintf(why, 256,
                     "JWT_KEY_FILE: %.80s must have 1 to 8 private P-256 keys in PEM, without a passphrase; the first one signs: "
                     "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
                     path);
    }
    buffer_wipe(&pem);
    return err;
}

/* Warns of a key file that everybody can read. It is no error, since in a container Kubernetes mounts secrets like this. */
static void warn_of_readable_key(const struct config *config)
{
    struct str path = config->text[CONFIG_JWT_KEY_FILE];
    struct stat status;
    if (path.len > 0 && stat(path.ptr, &status) == 0 && (status.st_mode & S_IROTH) != 0)
        log_event(LOG_WARN, "key_file", "every user of this machine can read JWT_KEY_FILE, and so sign tokens: chmod o-r it",
                  log_str("file", path));
}

/* Whether a text may stand in JSON, headers of the log and Redis as it is: UTF-8 without control characters. */
static bool is_readable(struct str text)
{
    struct str bytes;
    while (text.len > 0) {
        uint32_t character = utf8_take(&text, &bytes);
        if (character < ' ' || (character >= 0x7F && character < 0xA0))
            return false;
    }
    return true;
}

/* Checks what config_read does not: settings that must fit each other, and texts with a form of their own. */
static enum err check_settings(struct instance *instance, char why[256])
{
    const struct config *config = &instance->config;
    struct str url = config->text[CONFIG_REDIS_URL], replica_url = config->text[CONFIG_REDIS_READ_URL];
    const char *url_why;
    why[0] = '\0';
    if (!key_prefix_is_valid(config->text[CONFIG_KEY_PREFIX].ptr))
        snprintf(why, 256,
                 "KEY_PREFIX must be of letters, digits, '.', '_' and '-', a part of which may stand in braces, as in {rma}");
    else if (config->number[CONFIG_HEARTBEAT_INTERVAL_SECONDS] >= config->number[CONFIG_HEARTBEAT_TIMEOUT_SECONDS])
        snprintf(
            why, 256,
            "HEARTBEAT_INTERVAL_SECONDS must be less than HEARTBEAT_TIMEOUT_SECONDS: a worker that beats every %d seconds as it is "
            "told would be offline after %d",
            config->number[CONFIG_HEARTBEAT_INTERVAL_SECONDS], config->number[CONFIG_HEARTBEAT_TIMEOUT_SECONDS]);
    else if (config->number[CONFIG_WORKER_TIMEOUT_SECONDS] <= config->number[CONFIG_HEARTBEAT_TIMEOUT_SECONDS])
        snprintf(why, 256, "WORKER_TIMEOUT_SECONDS must be more than HEARTBEAT_TIMEOUT_SECONDS");
    else if (!hosts_are_valid(config->text[CONFIG_WORKERS_ARRAY_HOSTS]))
        snprintf(why, 256, "WORKERS_ARRAY_HOSTS must be host names with commas between, as in api.example,www.example");
    else if (!is_readable(config->text[CONFIG_COORDINATOR_ID]))
        snprintf(why, 256, "COORDINATOR_ID must be UTF-8 without control characters");
    else if (!is_readable(config->text[CONFIG_REGION]))
        snprintf(why, 256, "REGION must be UTF-8 without control characters");
    else if (url.len > 0 && address_parse(url, &instance->address, &url_why) != ERR_NONE)
        snprintf(why, 256, "REDIS_URL: %s", url_why);
    else if (replica_url.len > 0 && address_parse(replica_url, &instance->replica_address, &url_why) != ERR_NONE)
        snprintf(why, 256, "REDIS_READ_URL: %s", url_why);
    else if (replica_url.len > 0 && instance->replica_address.sentinel_count > 0)
        snprintf(why, 256, "REDIS_READ_URL: it names one server, by redis:// or unix://; Sentinels are for REDIS_URL");
    instance->has_replica = instance->replica_address.replica = replica_url.len > 0;
    if (why[0] != '\0')
        return ERR_INVALID;
    enum err err = web_read_public_url(config->text[CONFIG_PUBLIC_URL], &instance->public_url, why);
    return err == ERR_NONE ? web_read_origins(config->text[CONFIG_ALLOWED_ORIGINS], &instance->allowed_origins, why) : err;
}

/* Sets the name of this instance, and *region to the region where it is. */
static void name_instance(struct instance *instance, struct str *region)
{
    const struct config *config = &instance->config;
    char host[64] = "coordinator";
    gethostname(host, sizeof(host) - 1);
    struct str id = config->text[CONFIG_COORDINATOR_ID];
    if (id.len > 0)
        snprintf(instance->id, sizeof(instance->id), "%.*s", STR_PRINTF(id));
    else
        snprintf(instance->id, sizeof(instance->id), "%s-%d", host, getpid());
    const char *fly_region = getenv("FLY_REGION");
    *region = config->text[CONFIG_REGION];
    if (region->len == 0 && fly_region != NULL)
        *region = (struct str){fly_region, strnlen(fly_region, REGION_MAX)};
}

/* Returns after how long an idle connection ends. Workers keep theirs between heartbeats, and proxies expect at least a minute. */
static int idle_timeout_s(const struct config *config)
{
    int interval = config->number[CONFIG_HEARTBEAT_INTERVAL_SECONDS] + IDLE_MARGIN_S;
    if (config->number[CONFIG_IDLE_TIMEOUT_SECONDS] > 0)
        return config->number[CONFIG_IDLE_TIMEOUT_SECONDS];
    return interval > IDLE_TIMEOUT_S ? interval : IDLE_TIMEOUT_S;
}

static int count_threads(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (config->number[CONFIG_THREADS] > 0)
        return config->number[CONFIG_THREADS];
    return cores >= 1 && cores <= 64 ? (int)cores : 1;
}

/* Returns how often edge nodes send heartbeats: half as often as others, unless they would be offline by then. */
static int edge_interval_s(const struct config *config)
{
    int interval = config->number[CONFIG_HEARTBEAT_INTERVAL_SECONDS];
    return 2 * interval < config->number[CONFIG_HEARTBEAT_TIMEOUT_SECONDS] ? 2 * interval : interval;
}

/* Begins the log. The words of LOG_LEVEL are in the order of enum log_level. */
static void begin_log(const struct config *config)
{
    struct str format = config->text[CONFIG_LOG_FORMAT];
    log_init((enum log_level)config->number[CONFIG_LOG_LEVEL],
             format.len > 0 ? str_eq(format, STR("json")) : !isatty(STDERR_FILENO));
}

/* Reads the settings, and the files that they name. */
static enum err read_settings(struct instance *instance, char **args, char why[256])
{
    enum err err = config_read(&instance->config, args, why);
    if (err == ERR_NONE)
        err = check_settings(instance, why);
    if (err == ERR_NONE)
        err = read_signing_keys(instance, why);
    if (err == ERR_NONE)
        err = shared_secret_read(&instance->shared_secret, why);
    if (err == ERR_NONE)
        err = upstreams_configure(instance, why);
    return err;
}

enum err instance_configure(struct instance *instance, char **args, char why[256])
{
    const struct config *config = &instance->config;
    process_init();
    enum err err = read_settings(instance, args, why);
    if (err != ERR_NONE)
        return err;
    begin_log(config);
    warn_of_readable_key(config);
    struct str region;
    bool on_fly = getenv("FLY_APP_NAME") != NULL;
    name_instance(instance, &region);
    instance->thread_count = count_threads(config);
    instance->server_config = (struct server_config){
        .host = config->text[CONFIG_HOST],
        .port = config->number[CONFIG_PORT],
        .metrics_port = config->number[CONFIG_METRICS_PORT],
        .metrics_path = API_METRICS_PATH,
        .max_connections = config->number[CONFIG_MAX_CONNECTIONS],
        .upload_max = (size_t)config->number[CONFIG_MAX_UPLOAD_BYTES],
        .threads = instance->thread_count,
        .request_timeout_ms = config->number[CONFIG_REQUEST_TIMEOUT_MS],
        .idle_timeout_ms = idle_timeout_s(config) * 1000,
        .quick_timeout_ms = QUICK_TIMEOUT_MS,
        .proxies = config->number[CONFIG_TRUST_PROXY] >= 0 ? config->number[CONFIG_TRUST_PROXY] : on_fly,
        .on_fly = on_fly,
        .allowed_origins = buffer_str(&instance->allowed_origins),
        .routes = api_routes,
        .admit = api_admit,
        .explain = api_explain,
        .describe = proxy_describe,
    };
    instance->store_config = (struct store_config){
        .heartbeat_timeout_ms = config->number[CONFIG_HEARTBEAT_TIMEOUT_SECONDS] * 1000,
        .worker_timeout_ms = config->number[CONFIG_WORKER_TIMEOUT_SECONDS] * 1000,
        .revive_ms = config->number[CONFIG_WORKER_REVIVE_SECONDS] * 1000,
        .interval_ms = config->number[CONFIG_HEARTBEAT_INTERVAL_SECONDS] * 1000,
        .edge_interval_ms = edge_interval_s(config) * 1000,
        .sweeps = true,
        .max_services = config->number[CONFIG_MAX_SERVICES_PER_WORKER],
        .registrations_per_minute = config->number[CONFIG_REGISTRATIONS_PER_MINUTE],
        .region = region,
        .instance = str_from(instance->id),
    };
    instance->api_config = (struct api_config){
        .auth = (enum auth_mode)config->number[CONFIG_AUTH],
        .signing_keys = &instance->signing_keys,
        .shared_secret = buffer_str(&instance->shared_secret),
        .coordinator_id = str_from(instance->id),
        .region = region,
        .version = STR(VERSION),
        .public_url = buffer_str(&instance->public_url),
        .workers_array_hosts = config->text[CONFIG_WORKERS_ARRAY_HOSTS],
        .max_replica_lag_ms = config->number[CONFIG_MAX_REPLICA_LAG_SECONDS] * 1000,
        .heartbeat_interval_s = config->number[CONFIG_HEARTBEAT_INTERVAL_SECONDS],
        .edge_interval_s = edge_interval_s(config),
    };
    return ERR_NONE;
}
