#include "base/buffer.h"
#include "base/clock.h"
#include "base/log_repeat.h"
#include "http/connection.h"
#include "http/intake.h"
#include "http/refusal.h"
#include "http/reply.h"
#include "http/thread.h"

#include <sys/socket.h>

#define SILENT_MS 10000         /* before the first byte */
#define IDLE_GRACE_MS 1000      /* longer than clients are told, so that one that keeps to it never meets our closing */
#define ROOM_AFTER_MS 4000      /* of idleness, from which on a connection may make room for a new one: others are in use */
#define RECEIVE_MS 10000        /* for a whole request; and for the first byte of one */
#define RECEIVE_MS_PER_KIB 1000 /* more for a whole request, for each KiB that has come so far */
#define RECEIVE_CHECK_MS 250
#define BODIES_MAX (32 << 20) /* bytes of requests that a thread may hold before they are complete */
#define BODIES_CHECK_MS 50
#define DRAIN_IDLE_MS 300 /* to begin a request, and to end it, when the program ends */

/* Whether something has come that libh2o was not told of yet. */
static bool has_unread(const struct connection *connection)
{
    char byte;
    return recv(h2o_socket_get_fd(connection->socket), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static struct connection *of_place(h2o_linklist_t *place)
{
    return H2O_STRUCT_FROM_MEMBER(struct connection, place, place);
}

/* The connection of a list that has been there for longest, and for long enough, without anything unread; NULL: none. */
static struct connection *find_longest(h2o_linklist_t *list)
{
    int64_t since = clock_ms() - ROOM_AFTER_MS;
    for (h2o_linklist_t *at = list->next; at != list && of_place(at)->since <= since; at = at->next)
        if (!has_unread(of_place(at)))
            return of_place(at);
    return NULL;
}

bool connection_make_room(struct listener *listener)
{
    struct connection *idle = find_longest(&listener->idle);
    struct connection *silent = find_longest(&listener->silent);
    if (idle == NULL || (silent != NULL && silent->since < idle->since))
        idle = silent;
    if (idle == NULL)
        return false;
    metric_add(&metrics->closings[CLOSING_FULL], 1);
    connection_end(idle);
    return true;
}

void connection_refuse_late(struct connection *connection)
{
    const char *detail = reply_sentence(connection->thread, ERR_LATE);
    struct buffer body = BUFFER_INIT, answer = BUFFER_INIT;
    reply_write_problem(&body, ERR_LATE, detail, NULL);
    buffer_printf(&answer,
                  "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
                  "Content-Length: %zu\r\n\r\n%.*s",
                  body.len, STR_PRINTF(buffer_str(&body)));
    /* it fits the empty send buffer; should it not, the client gets what it would have got without it */
    (void)!send(h2o_socket_get_fd(connection->socket), answer.ptr, answer.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    buffer_fini(&body);
    buffer_fini(&answer);
    char room[INET_TEXT_MAX];
    refusal_note(408, CLOSING_LATE, detail, connection_peer(connection, room));
    connection_end(connection);
}

/* Whether the time for an incomplete request is over. */
static bool is_late(struct connection *connection)
{
    int64_t now = clock_ms();
    bool is_body = connection->state == CONNECTION_BODY;
    size_t received = is_body ? intake_received(connection->intake) : connection->socket->input->size;
    if (received > connection->received)
        connection->progress_at = now;
    connection->received = received;
    if (server_thread_stopping(connection->thread) && (!is_body || connection->gathered != NULL))
        return now - connection->begun_at > DRAIN_IDLE_MS;
    return now - connection->progress_at > RECEIVE_MS ||
           now - connection->begun_at > RECEIVE_MS + (int64_t)(received / 1024) * RECEIVE_MS_PER_KIB;
}

/* Bytes of an incomplete request that a connection holds. */
static size_t count_held(const struct connection *connection)
{
    if (connection->cut_off)
        return 0;
    return connection->socket->input->size + (connection->gathered != NULL ? connection->gathered->len : 0);
}

/*
 * Bodies are gathered whole before they are handled, possibly for all connections at once. When they take too much memory
 * together, the connections with the most bytes are cut off.
 */
static void check_bodies(struct server_thread *thread)
{
    int64_t now = clock_ms();
    if (h2o_linklist_is_empty(&thread->receiving) || now - thread->bodies_checked_at < BODIES_CHECK_MS)
        return; /* what thousands hold who only wait does not grow */
    thread->bodies_checked_at = now;
    size_t total = 0;
    for (const struct connection *each = thread->first_busy; each != NULL; each = each->next)
        total += count_held(each);
    while (total > BODIES_MAX) {
        struct connection *largest = NULL;
        for (struct connection *each = thread->first_busy; each != NULL; each = each->next)
            if (count_held(each) > (largest != NULL ? count_held(largest) : SERVER_BODY_MAX))
                largest = each;
        if (largest == NULL)
            return; /* no more than MAX_CONNECTIONS bodies of the usual size */
        total -= count_held(largest);
        largest->cut_off = true;
        metric_add(&metrics->closings[CLOSING_BODIES], 1);
        shutdown(h2o_socket_get_fd(largest->socket), SHUT_RDWR); /* whoever reads then finds it closed */
    }
}

/* A connection has been in its state for the allowed time, or for the time after which it must be looked at. */
static void end_time(struct connection *connection)
{
    bool receiving = connection->state == CONNECTION_RECEIVING || connection->state == CONNECTION_BODY;
    if (receiving ? !is_late(connection) : has_unread(connection)) {
        connection_move(connection, connection->state); /* for another while */
    } else if (connection->state == CONNECTION_BODY) {
        intake_end_late(connection->intake);
    } else if (receiving) {
        connection_refuse_late(connection);
    } else {
        metric_add(&metrics->closings[CLOSING_IDLE], 1);
        connection_end(connection);
    }
}

/*
 * Handles the connections that have been in the list for `most_ms`. Returns the ms until the next one is due, at most
 * WAIT_MAX_MS.
 */
static int32_t end_times(h2o_linklist_t *list, int32_t most_ms)
{
    int64_t now = clock_ms();
    while (!h2o_linklist_is_empty(list)) {
        struct connection *first = of_place(list->next);
        int64_t left = first->since + most_ms - now;
        if (left > 0)
            return left < WAIT_MAX_MS ? (int32_t)left : WAIT_MAX_MS;
        end_time(first);
    }
    return WAIT_MAX_MS;
}

int32_t connection_tick_listener(struct listener *listener)
{
    bool hurry = listener->socket == NULL; /* see connection_hurry */
    int32_t idle_ms = listener->thread->server->config.idle_timeout_ms + IDLE_GRACE_MS;
    int32_t idle = end_times(&listener->idle, hurry ? DRAIN_IDLE_MS : idle_ms);
    int32_t silent = end_times(&listener->silent, hurry ? DRAIN_IDLE_MS : SILENT_MS);
    return idle < silent ? idle : silent;
}

int32_t connection_tick_thread(struct server_thread *thread)
{
    check_bodies(thread);
    return end_times(&thread->receiving, RECEIVE_CHECK_MS);
}

void connection_hurry(struct listener *listener)
{
    h2o_linklist_t *const lists[] = {&listener->idle, &listener->silent};
    for (size_t i = 0; i < 2; i++)
        for (h2o_linklist_t *at = lists[i]->next; at != lists[i]; at = at->next)
            of_place(at)->since = clock_ms();
}
