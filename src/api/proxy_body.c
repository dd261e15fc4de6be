/*
 * Passes a body that comes in pieces on to the worker, one piece at a time, so that only one is in memory.
 */
#include "api/proxy_internal.h"

#include "http/reply.h"

#define PIECE_KEPT 4096 /* bytes; more memory than this is freed as soon as a piece has left */

bool proxy_send_piece(struct proxy *proxy, struct str bytes, bool last)
{
    struct str piece;
    buffer_append(&proxy->piece, bytes);
    piece = buffer_str(&proxy->piece);
    proxy->is_sending = !exchange_send(proxy->exchange, &piece, piece.len > 0 ? 1 : 0, last);
    if (!proxy->is_sending)
        proxy_piece_has_left(proxy);
    return !proxy->is_sending;
}

void proxy_piece_has_left(struct proxy *proxy)
{
    proxy->is_sending = false;
    proxy->piece.len = 0;
    if (proxy->piece.capacity > PIECE_KEPT)
        buffer_fini(&proxy->piece);
}

static void on_piece(struct intake *intake, struct str bytes, void *data)
{
    struct proxy *proxy = data;
    if (proxy->exchange == NULL || proxy->ended || !proxy_send_piece(proxy, bytes, false))
        intake_pause(intake); /* until the piece has left, or for good if nobody takes the rest */
}

static void on_whole(struct intake *intake, void *data)
{
    struct proxy *proxy = data;
    (void)intake;
    proxy->is_whole = true;
    if (proxy->exchange != NULL && !proxy->ended && !proxy->is_sending)
        (void)proxy_send_piece(proxy, STR(""), true);
}

/* The body will never be whole. Closes the connection to the worker, so that the worker can't take a part for the whole. */
static void on_failed(struct intake *intake, enum err err, const char *why, bool left, void *data)
{
    struct proxy *proxy = data;
    (void)intake;
    proxy->holders++;
    if (proxy->ended) {
        proxy_let_go(proxy); /* the worker has answered without the rest */
        return;
    }
    proxy_end_exchange(proxy);
    proxy_release(proxy, REQUEST_UNKNOWN);
    if (proxy->pending == NULL) {
        proxy_break_off(proxy);
    } else {
        struct request *request = proxy_take(proxy, left ? err_status(ERR_CLIENT_LEFT) : err_status(err));
        if (left)
            metric_add(&passing_counts_own(proxy->place)->clients_gone, 1);
        if (request != NULL)
            reply_error(request, left ? ERR_CLIENT_LEFT : err, left ? NULL : why, NULL);
    }
    proxy_let_go(proxy);
}

void proxy_send_more(struct proxy *proxy)
{
    static const struct intake_taker taker = {.piece = on_piece, .whole = on_whole, .failed = on_failed};
    proxy_piece_has_left(proxy);
    if (proxy->is_whole) {
        (void)proxy_send_piece(proxy, STR(""), true);
    } else if (!proxy->taken) {
        proxy->taken = true;
        intake_take(proxy->intake, &taker, proxy);
    } else {
        intake_resume(proxy->intake);
    }
}
