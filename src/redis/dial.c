#include "redis/dial.h"

#include "redis/adapter.h"

#include <errno.h>
#include <fcntl.h>
#include <h2o/hostinfo.h>
#include <netdb.h>
#include <stdlib.h>

static void on_connect(const redisAsyncContext *redis, int status)
{
    struct dial *dial = redis->data;
    redisAsyncContext *connected = dial->redis;
    dial->redis = NULL; /* hiredis frees a context that could not connect */
    if (status == REDIS_OK)
        dial->done(dial->data, connected, NULL);
    else
        dial->done(dial->data, NULL, redis->c.errstr[0] != '\0' ? redis->c.errstr : strerror(errno));
}

static void connect_context(struct dial *dial, redisAsyncContext *redis)
{
    if (redis == NULL)
        abort();
    if (redis->err != 0) {
        char why[sizeof(redis->c.errstr)];
        snprintf(why, sizeof(why), "%s", redis->errstr);
        redisAsyncFree(redis);
        dial->done(dial->data, NULL, why);
        return;
    }
    fcntl(redis->c.fd, F_SETFD, FD_CLOEXEC); /* an embedded redis-server that is started later must not inherit it */
    redis->data = dial;
    dial->redis = redis;
    adapter_attach(redis, dial->loop);
    redisAsyncSetConnectCallback(redis, on_connect);
}

static void on_resolved(h2o_hostinfo_getaddr_req_t *query, const char *err, struct addrinfo *found, void *data)
{
    (void)query;
    struct dial *dial = data;
    const struct addrinfo *chosen = found;
    dial->query = NULL;
    if (err != NULL || found == NULL) {
        dial->done(dial->data, NULL, err != NULL ? err : "the name look-up gave no address");
        return;
    }
    for (int skip = dial->skip; skip > 0; skip--)
        chosen = chosen->ai_next != NULL ? chosen->ai_next : found;
    char host[NI_MAXHOST];
    if (getnameinfo(chosen->ai_addr, chosen->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST) != 0)
        dial->done(dial->data, NULL, "the name look-up gave no address");
    else
        connect_context(dial, redisAsyncConnect(host, dial->port));
}

void dial_tcp(struct dial *dial, const struct endpoint *to, int skip)
{
    char port[16];
    snprintf(port, sizeof(port), "%d", to->port);
    dial->port = to->port;
    dial->skip = skip;
    dial->query =
        h2o_hostinfo_getaddr(dial->resolver, h2o_iovec_init(to->host, strlen(to->host)), h2o_iovec_init(port, strlen(port)),
                             AF_UNSPEC, SOCK_STREAM, IPPROTO_TCP, AI_NUMERICSERV, on_resolved, dial);
}

void dial_unix(struct dial *dial, const char *path)
{
    connect_context(dial, redisAsyncConnectUnix(path));
}

void dial_cancel(struct dial *dial)
{
    if (dial->query != NULL)
        h2o_hostinfo_getaddr_cancel(dial->query);
    dial->query = NULL;
    redisAsyncContext *redis = dial->redis;
    dial->redis = NULL;
    if (redis != NULL)
        redisAsyncFree(redis);
}
