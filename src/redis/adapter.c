#include "redis/adapter.h"

#include <stdbool.h>
#include <stdlib.h>

struct adapter {
    redisAsyncContext *redis;
    h2o_socket_t *socket;
    bool wants_write; /* hiredis has queued something since the last write */
    bool writing;     /* hiredis is writing: if it wants to write more, it must wait until the socket takes more */
};

static void on_readable(h2o_socket_t *socket, const char *err)
{
    (void)err; /* h2o does not read the socket: hiredis reads it and gets the error itself */
    struct adapter *adapter = socket->data;
    redisAsyncHandleRead(adapter->redis);
}

/* Lets hiredis write now. The context may be freed by that. */
static void write_now(struct adapter *adapter)
{
    adapter->wants_write = false;
    adapter->writing = true;
    redisAsyncHandleWrite(adapter->redis);
}

static void on_writable(h2o_socket_t *socket, const char *err)
{
    (void)err;
    write_now(socket->data);
}

static void add_read(void *data)
{
    struct adapter *adapter = data;
    if (!h2o_socket_is_reading(adapter->socket))
        h2o_socket_read_start(adapter->socket, on_readable);
}

static void del_read(void *data)
{
    struct adapter *adapter = data;
    if (h2o_socket_is_reading(adapter->socket))
        h2o_socket_read_stop(adapter->socket);
}

static void add_write(void *data)
{
    struct adapter *adapter = data;
    adapter->wants_write = true;
    /* a socket that connects becomes writable when the connection is there */
    bool wait = adapter->writing || !(adapter->redis->c.flags & REDIS_CONNECTED);
    adapter->writing = false;
    if (wait && !h2o_socket_is_writing(adapter->socket))
        h2o_socket_notify_write(adapter->socket, on_writable);
}

static void del_write(void *data)
{
    struct adapter *adapter = data;
    adapter->wants_write = false;
    adapter->writing = false;
}

static void cleanup(void *data)
{
    struct adapter *adapter = data;
    /* hiredis closes the descriptor, so h2o must give it up first; it does not give up a socket that has a write callback */
    adapter->socket->_cb.write = NULL;
    h2o_socket_export_t exported;
    if (h2o_socket_export(adapter->socket, &exported) == 0)
        h2o_buffer_dispose(&exported.input);
    adapter->redis->ev.data = NULL;
    free(adapter);
}

void adapter_attach(redisAsyncContext *redis, h2o_loop_t *loop)
{
    struct adapter *adapter = h2o_mem_alloc(sizeof(*adapter));
    *adapter = (struct adapter){redis, h2o_evloop_socket_create(loop, redis->c.fd, H2O_SOCKET_FLAG_DONT_READ), false, false};
    adapter->socket->data = adapter;
    redis->ev.data = adapter;
    redis->ev.addRead = add_read;
    redis->ev.delRead = del_read;
    redis->ev.addWrite = add_write;
    redis->ev.delWrite = del_write;
    redis->ev.cleanup = cleanup;
}

void adapter_flush(redisAsyncContext *redis)
{
    struct adapter *adapter = redis->ev.data;
    if (adapter->wants_write && !h2o_socket_is_writing(adapter->socket))
        write_now(adapter);
}
