#include "base/clock.h"
#include "upstream/dialled.h"
#include "upstream/tls.h"

#include <errno.h>
#include <stdlib.h>

#define PREPARING_MS 5 /* how often to check whether TLS is ready; only the first requests to https URLs wait for it */

static const struct {
    const char *word, *sentence;
} faults[] = {
#define X(name, word, sentence) {word, sentence},
    EXCHANGE_FAULT_TABLE(X)
#undef X
};

const char *exchange_fault_word(enum exchange_fault fault)
{
    return faults[fault].word;
}

const char *exchange_fault_sentence(enum exchange_fault fault)
{
    return faults[fault].sentence;
}

/* Cancels the look-up, closes the connection, and stops all waiting. */
static void let_go(struct dialled *dialled)
{
    if (dialled->lookup != NULL)
        lookup_cancel(dialled->lookup);
    if (dialled->wire != NULL)
        wire_close(dialled->wire);
    dialled->lookup = NULL;
    dialled->wire = NULL;
    upstream_forget(dialled->upstream, &dialled->waiter);
    dialled->state = DIALLED_OVER;
}

void dialled_fail(struct dialled *dialled, enum exchange_fault fault, const char *why)
{
    struct exchange_failure failure = {fault, why, dialled->delivered, dialled->answered};
    let_go(dialled);
    dialled->failing = false;
    dialled->exchange.events->failed(dialled->exchange.data, &failure);
}

void dialled_fail_soon(struct dialled *dialled, enum exchange_fault fault, const char *why)
{
    let_go(dialled);
    dialled->failing = true;
    dialled->fault = fault;
    dialled->why = why;
    upstream_call_soon(dialled->upstream, &dialled->waiter);
}

/* Tries the next address, if there is time left: at this one the connection has failed before anything was sent. */
static void try_next(struct dialled *dialled, enum exchange_fault fault, const char *why)
{
    if (clock_ms() >= dialled->connect_until) {
        dialled_fail(dialled, fault, why);
        return;
    }
    wire_close(dialled->wire);
    dialled->wire = NULL;
    dialled->fault = fault;
    dialled->why = why;
    dialled_connect(dialled);
}

static void on_wire(void *user, enum wire_event event, const char *why)
{
    struct dialled *dialled = user;
    switch (event) {
    case WIRE_OPEN:
        if (!dialled->target.tls) {
            dialled_begin(dialled);
            return;
        }
        dialled->state = DIALLED_SECURING;
        upstream_wait(dialled->upstream, &dialled->waiter, dialled->request.tls_ms);
        wire_secure(dialled->wire, &dialled->target);
        return;
    case WIRE_SECURE:
        dialled_begin(dialled);
        return;
    case WIRE_REFUSED:
        try_next(dialled, EXCHANGE_REFUSED, why);
        return;
    case WIRE_TLS_FAILED:
        try_next(dialled, EXCHANGE_TLS, why);
        return;
    case WIRE_READABLE:
        dialled_on_readable(dialled);
        return;
    case WIRE_WRITABLE:
        dialled_on_writable(dialled);
        return;
    }
}

/* Takes an idle connection to one of the addresses from the pool. False: there is none. */
static bool take_kept(struct dialled *dialled)
{
    bool fresh = !dialled->request.safe || dialled->request.more; /* it can't be sent once more if the worker has closed this one */
    for (size_t i = 0; i < dialled->address_count && dialled->wire == NULL; i++)
        dialled->wire = pool_take(&dialled->upstream->pool, &dialled->target, &dialled->addresses[i], fresh, on_wire, dialled);
    return dialled->wire != NULL;
}

/* Waits for a part of the time that is left: a third, or more if fewer than two addresses come after the present one. */
static void wait_for_connection(struct dialled *dialled)
{
    int64_t left = dialled->connect_until - clock_ms();
    size_t others = dialled->address_count - dialled->tries;
    int parts = others < 2 ? (int)others + 1 : 3;
    dialled->state = DIALLED_CONNECTING;
    upstream_wait(dialled->upstream, &dialled->waiter, left > 0 ? (int)left / parts : 0);
}

static bool is_shortage(int cause)
{
    return cause == EMFILE || cause == ENFILE || cause == ENOBUFS || cause == ENOMEM || cause == EADDRNOTAVAIL;
}

void dialled_connect(struct dialled *dialled)
{
    struct pool *pool = &dialled->upstream->pool;
    while (dialled->tries < dialled->address_count) {
        const struct network_address *address = &dialled->addresses[dialled->tries++];
        dialled->wire = wire_open(pool, &dialled->target, address, on_wire, dialled);
        if (dialled->wire != NULL) {
            wait_for_connection(dialled);
            return;
        }
        dialled->fault = EXCHANGE_REFUSED;
        dialled->why = strerror(errno);
        if (!is_shortage(errno))
            continue;
        if (errno == EADDRNOTAVAIL || !pool_give_up_one(pool)) {
            dialled_fail_soon(dialled, EXCHANGE_OVERLOADED, dialled->why);
            return;
        }
        dialled->tries--;
    }
    dialled_fail_soon(dialled, dialled->fault, dialled->why);
}

/* Takes a kept connection to an address, or opens one. If TLS is not ready, it waits for that first. */
static void use_addresses(struct dialled *dialled)
{
    if (dialled->target.tls && !tls_prepare()) {
        dialled->state = DIALLED_PREPARING;
        upstream_wait(dialled->upstream, &dialled->waiter, PREPARING_MS);
        return;
    }
    if (take_kept(dialled)) {
        dialled_begin(dialled);
        return;
    }
    dialled->connect_until = clock_ms() + dialled->request.connect_ms;
    dialled_connect(dialled);
}

/* Goes on with the addresses of the name. All of them must be allowed, since the request may go to any. */
static void take_addresses(struct dialled *dialled, const struct network_address addresses[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *why = rules_check_address(dialled->upstream->rules, &dialled->target, &addresses[i]);
        if (why != NULL) {
            dialled_fail_soon(dialled, EXCHANGE_FORBIDDEN, why);
            return;
        }
    }
    dialled->address_count = count;
    memcpy(dialled->addresses, addresses, count * sizeof(addresses[0]));
    use_addresses(dialled);
}

static void take_result(struct dialled *dialled, const struct lookup_result *result)
{
    if (result->why != NULL)
        dialled_fail_soon(dialled, EXCHANGE_LOOKUP, result->why);
    else
        take_addresses(dialled, result->addresses, result->count);
}

static void on_found(void *data, const struct lookup_result *result)
{
    struct dialled *dialled = data;
    dialled->lookup = NULL;
    take_result(dialled, result);
}

static void look_up(struct dialled *dialled)
{
    struct lookup_result result;
    if (lookup_find(dialled->target.host, &result)) {
        take_result(dialled, &result);
        return;
    }
    dialled->lookup = lookup_begin(dialled->upstream->lookups, dialled->target.host, on_found, dialled);
    if (dialled->lookup == NULL)
        dialled_fail_soon(dialled, EXCHANGE_LOOKUP, "too many names wait to be looked up");
    else
        upstream_wait(dialled->upstream, &dialled->waiter, dialled->request.lookup_ms);
}

static void find_address(struct dialled *dialled)
{
    const char *why = rules_check_target(dialled->upstream->rules, &dialled->target);
    if (why != NULL)
        dialled_fail_soon(dialled, EXCHANGE_FORBIDDEN, why);
    else if (dialled->target.is_address)
        take_addresses(dialled, &dialled->target.address, 1);
    else
        look_up(dialled);
}

/* Acts when the wait of the present state is over: mostly the worker took too long. */
static void on_late(struct dialled *dialled)
{
    struct lookup_result result;
    switch (dialled->state) {
    case DIALLED_LOOKING_UP:
        lookup_cancel(dialled->lookup);
        dialled->lookup = NULL;
        if (lookup_recall(dialled->target.host, &result))
            take_result(dialled, &result);
        else
            dialled_fail(dialled, EXCHANGE_LOOKUP_TIMEOUT, "no answer from the name server");
        return;
    case DIALLED_PREPARING:
        use_addresses(dialled);
        return;
    case DIALLED_CONNECTING:
        wire_close(dialled->wire);
        dialled->wire = NULL;
        if (dialled->tries < dialled->address_count)
            dialled_connect(dialled);
        else
            dialled_fail(dialled, EXCHANGE_CONNECT_TIMEOUT, "no answer to the connection");
        return;
    case DIALLED_SECURING:
        dialled_fail(dialled, EXCHANGE_TLS_TIMEOUT, "no answer within the handshake");
        return;
    case DIALLED_EXCHANGING:
    case DIALLED_RAW:
        if (dialled->answered)
            dialled_fail(dialled, EXCHANGE_SILENCE, "nothing came for too long");
        else if (dialled->sent_all)
            dialled_fail(dialled, EXCHANGE_HEAD_TIMEOUT, "no head of an answer");
        else
            dialled_fail(dialled, EXCHANGE_SEND_TIMEOUT, "nothing was taken for too long");
        return;
    case DIALLED_OVER:
        return;
    }
}

static void on_waiter(struct waiter *waiter, bool late)
{
    struct dialled *dialled = H2O_STRUCT_FROM_MEMBER(struct dialled, waiter, waiter);
    if (dialled->failing)
        dialled_fail(dialled, dialled->fault, dialled->why);
    else if (late)
        on_late(dialled);
    else
        dialled_on_turn(dialled);
}

static int or_default(int ms, int otherwise)
{
    return ms > 0 ? ms : otherwise;
}

static struct dialled *make(struct upstream *upstream, const struct exchange_request *request)
{
    struct dialled *dialled = h2o_mem_alloc(sizeof(*dialled));
    memset(dialled, 0, sizeof(*dialled));
    dialled->upstream = upstream;
    dialled->request = *request;
    dialled->target = *request->target;
    dialled->target.base = STR("");
    dialled->request.target = &dialled->target;
    dialled->request.lookup_ms = or_default(request->lookup_ms, EXCHANGE_LOOKUP_MS);
    int connect_ms = or_default(upstream->rules->connect_ms, EXCHANGE_CONNECT_MS);
    dialled->request.connect_ms = or_default(request->connect_ms, connect_ms);
    dialled->request.tls_ms = or_default(request->tls_ms, 2 * connect_ms);
    dialled->request.head_ms = or_default(request->head_ms, EXCHANGE_HEAD_MS);
    dialled->request.silence_ms = or_default(request->silence_ms, EXCHANGE_SILENCE_MS);
    dialled->waiter.call = on_waiter;
    dialled->fault = EXCHANGE_REFUSED;
    dialled->why = "it has no address";
    return dialled;
}

struct exchange *exchange_dial(struct upstream *upstream, const struct exchange_request *request,
                               const struct exchange_events *events, void *data)
{
    struct dialled *dialled = make(upstream, request);
    dialled->exchange = (struct exchange){.ops = &dialled_ops, .events = events, .data = data};
    find_address(dialled);
    return &dialled->exchange;
}

void dialled_release(struct dialled *dialled)
{
    let_go(dialled);
    if (dialled->answer != NULL)
        answer_free(dialled->answer);
    if (dialled->buffer != NULL)
        upstream_give_buffer(dialled->upstream, dialled->buffer);
    free(dialled->small);
    free(dialled);
}
