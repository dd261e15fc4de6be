#include "upstream/exchange.h"

#include "base/clock.h"
#include "upstream/dialled.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SMALL 8192 /* bytes of a read that are copied for the caller, so that the large buffer is free again */

static struct dialled *dialled_of(struct exchange *exchange)
{
    return H2O_STRUCT_FROM_MEMBER(struct dialled, exchange, exchange);
}

static void wait(struct dialled *dialled, int ms)
{
    upstream_wait(dialled->upstream, &dialled->waiter, ms);
}

/* --- the request --- */

static void add_piece(struct dialled *dialled, struct str text)
{
    if (text.len > 0)
        dialled->pieces[dialled->piece_count++] = (struct iovec){(char *)(uintptr_t)text.ptr, text.len};
}

/* Prepares what to send next: the head, if there is one, and these pieces of the body, as one chunk if the body is chunked. */
static void prepare(struct dialled *dialled, struct str head, const struct str pieces[], size_t count, bool last)
{
    bool chunked = dialled->request.chunked && dialled->state != DIALLED_RAW;
    size_t size = 0;
    dialled->piece = dialled->piece_count = 0;
    dialled->sends_head = head.len > 0;
    dialled->sends_last = last;
    add_piece(dialled, head);
    for (size_t i = 0; i < count; i++)
        size += pieces[i].len;
    if (chunked && size > 0) {
        int len = snprintf(dialled->chunk_size, sizeof(dialled->chunk_size), "%zx\r\n", size);
        add_piece(dialled, (struct str){dialled->chunk_size, (size_t)len});
    }
    for (size_t i = 0; i < count; i++)
        add_piece(dialled, pieces[i]);
    if (chunked && size > 0)
        add_piece(dialled, last ? STR("\r\n0\r\n\r\n") : STR("\r\n"));
    else if (chunked && last)
        add_piece(dialled, STR("0\r\n\r\n"));
}

/* Removes the bytes that were sent from the pieces. */
static void advance(struct dialled *dialled, size_t sent)
{
    while (dialled->piece < dialled->piece_count && sent >= dialled->pieces[dialled->piece].iov_len)
        sent -= dialled->pieces[dialled->piece++].iov_len;
    if (sent == 0)
        return;
    struct iovec *piece = &dialled->pieces[dialled->piece];
    piece->iov_base = (char *)piece->iov_base + sent;
    piece->iov_len -= sent;
}

/*
 * Sends as much as the connection takes. True: all has left. A failed write does not fail the exchange, since the worker may have
 * answered already: the loop will report something to read, at least the end of the connection.
 */
static bool send_pieces(struct dialled *dialled)
{
    while (dialled->piece < dialled->piece_count) {
        dialled->delivered = dialled->delivered || dialled->target.tls; /* part of a record may be sent even if the write fails */
        ssize_t sent = wire_write(dialled->wire, &dialled->pieces[dialled->piece], dialled->piece_count - dialled->piece);
        if (sent < 0 && errno == EAGAIN)
            wire_want_write(dialled->wire);
        else if (sent < 0)
            dialled->broken = true;
        if (sent < 0)
            return false;
        dialled->delivered = true;
        advance(dialled, (size_t)sent);
    }
    if (dialled->sends_last && dialled->state == DIALLED_RAW)
        wire_end_writing(dialled->wire);
    dialled->sent_all = dialled->sends_last;
    dialled->may_send = !dialled->sends_last;
    return true;
}

/* Sets the deadline of the present phase. There is none while the caller reads the last bytes or has to give the next ones. */
static void wait_for_worker(struct dialled *dialled)
{
    if (dialled->holding || (!dialled->answered && dialled->may_send))
        upstream_wait_no_more(&dialled->waiter);
    else
        wait(dialled, dialled->answered || !dialled->sent_all ? dialled->request.silence_ms : dialled->request.head_ms);
}

void dialled_begin(struct dialled *dialled)
{
    const struct exchange_request *request = &dialled->request;
    dialled->state = DIALLED_EXCHANGING;
    prepare(dialled, request->head, &request->body, 1, !request->more);
    if (send_pieces(dialled) && dialled->may_send)
        upstream_call_soon(dialled->upstream, &dialled->waiter);
    wait_for_worker(dialled);
}

/* Waits for the worker; or fails, if the worker has ended its direction of a tunnel and the other is broken. */
static void go_on_waiting(struct dialled *dialled)
{
    if (dialled->broken && dialled->half_closed)
        dialled_fail_soon(dialled, EXCHANGE_CUT, "it takes nothing more");
    else
        wait_for_worker(dialled);
}

static bool op_send(struct exchange *exchange, const struct str pieces[], size_t count, bool last)
{
    struct dialled *dialled = dialled_of(exchange);
    assert(count <= EXCHANGE_PIECES_MAX);
    if (dialled->state == DIALLED_OVER || dialled->broken)
        return false;
    assert(dialled->may_send);
    dialled->may_send = false;
    prepare(dialled, (struct str){NULL, 0}, pieces, count, last);
    bool gone = send_pieces(dialled);
    go_on_waiting(dialled);
    return gone;
}

void dialled_on_turn(struct dialled *dialled)
{
    if (dialled->may_send)
        dialled->exchange.events->writable(dialled->exchange.data);
}

void dialled_on_writable(struct dialled *dialled)
{
    if (dialled->broken)
        return;
    bool gone = send_pieces(dialled);
    go_on_waiting(dialled);
    if (gone && dialled->may_send)
        dialled->exchange.events->writable(dialled->exchange.data);
}

/* --- the answer --- */

static void on_head(void *data)
{
    struct dialled *dialled = data;
    dialled->head_is_read = true;
}

/* Moves the pieces of the body together within the buffer: the sizes of chunks stand between them. */
static void on_body(void *data, struct str bytes)
{
    struct dialled *dialled = data;
    if (dialled->body.len == 0)
        dialled->body.ptr = bytes.ptr;
    else
        memmove((char *)(uintptr_t)dialled->body.ptr + dialled->body.len, bytes.ptr, bytes.len);
    dialled->body.len += bytes.len;
}

/*
 * Gives bytes to the caller, who may read them until exchange_next. Nothing may touch `dialled` after this call: the caller may
 * free the exchange in it.
 */
static void deliver(struct dialled *dialled, struct str bytes, bool last)
{
    if (bytes.len <= SMALL) {
        if (bytes.len > 0) {
            free(dialled->small);
            dialled->small = h2o_mem_alloc(bytes.len);
            memcpy(dialled->small, bytes.ptr, bytes.len);
        }
        bytes.ptr = bytes.len > 0 ? dialled->small : "";
        upstream_give_buffer(dialled->upstream, dialled->buffer);
        dialled->buffer = NULL;
    }
    if (!dialled->answered) {
        struct exchange_head *head = &dialled->exchange.head;
        head->status = answer_status(dialled->answer);
        head->headers = answer_headers(dialled->answer, &head->count);
        head->length = answer_length(dialled->answer);
        /* if the worker answers before it has the whole head, the rest is not sent: the caller may change the head now */
        dialled->broken = dialled->broken || (dialled->sends_head && dialled->piece == 0);
    }
    dialled->answered = dialled->holding = true;
    if (dialled->state != DIALLED_OVER)
        wait_for_worker(dialled);
    dialled->exchange.events->answer(dialled->exchange.data, bytes, last);
}

/* Returns for how many ms the worker says that it keeps the connection; -1: it does not say. */
static int read_keep_ms(const struct answer *answer)
{
    struct str rest = answer_header(answer, "keep-alive");
    while (rest.ptr != NULL) {
        struct str value = str_trim(str_cut(&rest, ',')), name = str_cut(&value, '=');
        if (!str_eq_nocase(name, STR("timeout")) || value.len == 0 || value.len > 6)
            continue;
        int seconds = 0;
        for (size_t i = 0; i < value.len && value.ptr[i] >= '0' && value.ptr[i] <= '9'; i++)
            seconds = seconds * 10 + (value.ptr[i] - '0');
        return seconds * 1000;
    }
    return -1;
}

/* Whether the worker may have answered without reading the request's body. Some servers then take the body for a request. */
static bool may_have_left_body(const struct dialled *dialled)
{
    const struct exchange_request *request = &dialled->request;
    return (request->more || request->body.len > 0) && (request->odd_body || answer_status(dialled->answer) >= 300);
}

/* Ends the exchange after a whole answer, and keeps the connection if it can be used again. `clean`: no bytes came behind it. */
static void finish(struct dialled *dialled, bool clean)
{
    struct wire *wire = dialled->wire;
    dialled->wire = NULL;
    dialled->state = DIALLED_OVER;
    upstream_forget(dialled->upstream, &dialled->waiter);
    bool may_be_kept = clean && dialled->sent_all && !dialled->broken && !may_have_left_body(dialled);
    if (may_be_kept && answer_keeps_alive(dialled->answer))
        pool_keep(wire, read_keep_ms(dialled->answer), answer_is_bodiless(dialled->answer));
    else
        wire_close(wire);
    deliver(dialled, dialled->body, true);
}

static void read_answer(struct dialled *dialled, struct str bytes)
{
    size_t used;
    bool had_head = dialled->head_is_read;
    dialled->body.len = 0;
    switch (answer_read(dialled->answer, bytes, &used)) {
    case ANSWER_BAD:
        dialled_fail(dialled, EXCHANGE_BAD_ANSWER, answer_fault(dialled->answer));
        return;
    case ANSWER_DONE:
        finish(dialled, used == bytes.len);
        return;
    case ANSWER_UPGRADE:
        if (!dialled->sent_all) {
            dialled_fail(dialled, EXCHANGE_BAD_ANSWER, "another protocol before it had the whole request");
            return;
        }
        dialled->state = DIALLED_RAW;
        dialled->may_send = true;
        deliver(dialled, (struct str){bytes.ptr + used, bytes.len - used}, false);
        return;
    case ANSWER_MORE:
        if (dialled->body.len > 0 || dialled->head_is_read != had_head) {
            deliver(dialled, dialled->body, false);
            return;
        }
        upstream_give_buffer(dialled->upstream, dialled->buffer);
        dialled->buffer = NULL;
        if (dialled->answered)
            wait_for_worker(dialled);
        return;
    }
}

/*
 * Whether the request may be sent once more: the worker closed a kept connection before it answered anything. A body that the
 * caller gives in parts can't be sent again, since nothing keeps the parts.
 */
static bool may_try_again(const struct dialled *dialled)
{
    return dialled->wire->reused && !dialled->again && !dialled->heard && !dialled->request.more &&
           (dialled->request.safe || !dialled->delivered);
}

static void try_again(struct dialled *dialled)
{
    wire_close(dialled->wire);
    dialled->wire = NULL;
    dialled->again = true;
    dialled->broken = dialled->sent_all = false;
    dialled->connect_until = clock_ms() + dialled->request.connect_ms;
    dialled_connect(dialled);
}

/* Ends the exchange, or tries once more, when the connection has ended. `in_order`: it was closed, not broken. */
static void end_answer(struct dialled *dialled, bool in_order, const char *why)
{
    dialled->body.len = 0;
    if (dialled->state == DIALLED_RAW && in_order) {
        wire_read_stop(dialled->wire);
        dialled->half_closed = true;
        go_on_waiting(dialled);
        deliver(dialled, dialled->body, true);
    } else if (dialled->head_is_read && in_order && answer_end(dialled->answer) == ANSWER_DONE) {
        finish(dialled, false);
    } else if (dialled->head_is_read) {
        dialled_fail(dialled, EXCHANGE_CUT, why);
    } else if (may_try_again(dialled)) {
        try_again(dialled);
    } else {
        dialled_fail(dialled, EXCHANGE_CLOSED, why);
    }
}

void dialled_on_readable(struct dialled *dialled)
{
    if (dialled->holding) {
        wire_read_stop(dialled->wire); /* until exchange_next */
        return;
    }
    if (dialled->answer == NULL) {
        static const struct answer_events events = {on_head, on_body};
        dialled->answer = answer_new(&events, dialled, dialled->request.is_head, dialled->request.upgrade);
    }
    if (dialled->buffer == NULL)
        dialled->buffer = upstream_take_buffer(dialled->upstream);
    ssize_t got = wire_read(dialled->wire, dialled->buffer, UPSTREAM_READ_SIZE);
    if (got < 0 && errno == EAGAIN) {
        upstream_give_buffer(dialled->upstream, dialled->buffer);
        dialled->buffer = NULL;
        return;
    }
    if (got <= 0) {
        end_answer(dialled, got == 0, got == 0 ? "it ended the connection" : strerror(errno));
        return;
    }
    dialled->heard = true;
    struct str bytes = {dialled->buffer, (size_t)got};
    if (dialled->state == DIALLED_RAW)
        deliver(dialled, bytes, false);
    else
        read_answer(dialled, bytes);
}

static void op_next(struct exchange *exchange)
{
    struct dialled *dialled = dialled_of(exchange);
    if (dialled->state == DIALLED_OVER)
        return;
    dialled->holding = false;
    if (dialled->buffer != NULL)
        upstream_give_buffer(dialled->upstream, dialled->buffer);
    free(dialled->small);
    dialled->buffer = dialled->small = NULL;
    wire_read_start(dialled->wire);
    wait_for_worker(dialled);
}

static void op_free(struct exchange *exchange)
{
    dialled_release(dialled_of(exchange));
}

const struct exchange_ops dialled_ops = {op_send, op_next, op_free};
