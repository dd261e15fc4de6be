/*
 * Passes the bytes of a WebSocket both ways, as they come.
 */
#include "api/proxy_headers.h"
#include "api/proxy_internal.h"

/* Passes the held bytes of the worker on if the tunnel takes some now. */
static void hand_on(struct proxy *proxy)
{
    struct str bytes = proxy->held;
    if (proxy->tunnel == NULL || !proxy->is_held || !tunnel_is_ready(proxy->tunnel))
        return;
    proxy->is_held = false;
    proxy->held = (struct str){NULL, 0};
    if (bytes.len > 0)
        tunnel_write(proxy->tunnel, &bytes, 1);
    if (proxy->held_last && proxy->tunnel != NULL)
        tunnel_finish(proxy->tunnel);
    else if (bytes.len == 0 && proxy->exchange != NULL)
        exchange_next(proxy->exchange);
}

static void on_drained(struct tunnel *tunnel, void *data)
{
    struct proxy *proxy = data;
    (void)tunnel;
    if (proxy->is_held)
        hand_on(proxy);
    else if (proxy->exchange != NULL && !proxy->held_last)
        exchange_next(proxy->exchange);
}

static void on_piece(struct tunnel *tunnel, struct str bytes, void *data)
{
    struct proxy *proxy = data;
    if (proxy->exchange != NULL && !proxy_send_piece(proxy, bytes, false))
        tunnel_pause(tunnel);
}

static void on_ended(struct tunnel *tunnel, void *data)
{
    struct proxy *proxy = data;
    (void)tunnel;
    proxy->is_whole = true;
    if (proxy->exchange != NULL && !proxy->is_sending)
        (void)proxy_send_piece(proxy, STR(""), true);
}

static void on_tunnel_gone(void *data)
{
    struct proxy *proxy = data;
    proxy->tunnel = NULL;
    proxy->in_tunnel = false;
    proxy->ended = true;
    proxy_end_exchange(proxy);
    proxy_release(proxy, REQUEST_SERVED);
    if (proxy->gone)
        proxy_finish(proxy);
    proxy_let_go(proxy);
}

void proxy_begin_tunnel(struct proxy *proxy, struct str bytes, bool last)
{
    static const struct tunnel_end far_end = {
        .drained = on_drained, .piece = on_piece, .ended = on_ended, .gone = on_tunnel_gone, .idle_ms = PROXY_TUNNEL_IDLE_MS};
    struct request *request = proxy_take(proxy, 101);
    if (request == NULL)
        return;
    request_name_worker(request, str_from(proxy->worker_id));
    proxy_set_headers(proxy, request);
    request_add_field(request, STR("Upgrade"), STR("websocket"));
    proxy->held = bytes;
    proxy->held_last = last;
    proxy->is_held = proxy->in_tunnel = true;
    buffer_append(&proxy->service, proxy->order->services);
    proxy->holders++;
    struct tunnel *tunnel = tunnel_begin(request, &far_end, proxy);
    if (proxy->in_tunnel)
        proxy->tunnel = tunnel;
    buffer_fini(&proxy->head);
}

void proxy_tunnel_go_on(struct proxy *proxy, struct str bytes, bool last)
{
    proxy->held = bytes;
    proxy->held_last = last;
    proxy->is_held = true;
    hand_on(proxy);
}

void proxy_tunnel_drained(struct proxy *proxy)
{
    proxy_piece_has_left(proxy);
    if (proxy->is_whole)
        (void)proxy_send_piece(proxy, STR(""), true);
    else
        tunnel_resume(proxy->tunnel);
}

void proxy_tunnel_drop(struct proxy *proxy)
{
    proxy_end_exchange(proxy);
    proxy_release(proxy, REQUEST_SERVED);
    tunnel_resume(proxy->tunnel); /* to see the client's end; what it sends until then reaches nobody */
}
