#include "cli/private_server.h"

#include "base/log.h"
#include "instance/instance.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

static char token[49];
static struct instance instance; /* static: its memory stays reachable after the stop, so leak checkers report true leaks only */

static bool takes_connections(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    memcpy(name.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = fd != -1 && connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0;
    if (fd != -1)
        close(fd);
    return connected;
}

/* Finds the Redis of the coordinator that runs on DATA_DIR, and writes its address. */
static enum err find_embedded(char why[256])
{
    const char *data_dir = instance.config.text[CONFIG_DATA_DIR].ptr;
    char dir[PATH_MAX];
    if (realpath(data_dir, dir) != NULL) {
        int len = snprintf(instance.address.path, sizeof(instance.address.path), "%s/redis.sock", dir);
        if (len > 0 && (size_t)len < sizeof(instance.address.path) && takes_connections(instance.address.path))
            return ERR_NONE;
    }
    snprintf(why, 256, "no coordinator runs on %.120s; give --url or REDIS_URL", data_dir);
    return ERR_INVALID;
}

/* Returns the client's name for the audit and for drained_from, since its address is always 127.0.0.1. */
static struct str name_client(void)
{
    static char name[160];
    struct utsname host;
    snprintf(name, sizeof(name), "a command on %.64s, straight at Redis", uname(&host) == 0 ? host.nodename : "an unknown host");
    return str_from(name);
}

/* Makes the secret that only this process knows. */
static struct str make_token(void)
{
    unsigned char bytes[24];
    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        abort();
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(token + 2 * i, 3, "%02x", bytes[i]);
    return str_from(token);
}

const char *private_server_token(void)
{
    return token;
}

enum err private_server_start(char **flags, char url[PRIVATE_SERVER_URL_MAX], char place[ADDRESS_PLACE_MAX], char why[256])
{
    enum err err = instance_configure(&instance, flags, why);
    if (err == ERR_NONE && instance.config.text[CONFIG_REDIS_URL].len == 0)
        err = find_embedded(why);
    if (err != ERR_NONE)
        return err;
    log_init(LOG_ERROR, false);
    if (instance_take_catalogue(&instance) != ERR_NONE) {
        snprintf(why, 256, "SERVICE_CATALOG can't be used");
        return ERR_INVALID;
    }
    signal(SIGPIPE, SIG_IGN);
    instance.thread_count = instance.server_config.threads = 1;
    instance.server_config.host = STR("127.0.0.1");
    instance.server_config.port = instance.server_config.metrics_port = 0;
    instance.server_config.max_connections = 16;
    instance.store_config.sweeps = false;        /* only the fleet's coordinators know the timeouts of workers and registrations */
    if (instance.api_config.public_url.len == 0) /* the address of this short-lived server would mislead workers */
        instance.api_config.public_url = STR("unknown");
    instance.api_config.client = name_client();
    instance.api_config.private_token = make_token();
    err = instance_listen(&instance, why);
    if (err == ERR_NONE)
        err = instance_start(&instance, why);
    if (err != ERR_NONE)
        return err;
    snprintf(url, PRIVATE_SERVER_URL_MAX, "http://127.0.0.1:%d", instance.port);
    address_place(&instance.address, place);
    return ERR_NONE;
}

void private_server_stop(void)
{
    instance_stop(&instance);
}
