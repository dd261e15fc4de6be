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
#define IDLE_GRACE_MS 1000      /* more than Keep-Alive says, so that a client that obeys it never sends into a closed connection */
#define ROOM_AFTER_MS 4000      /* after which an idle or silent connection may be closed for a new one */
#define RECEIVE_MS 10000        /* without a new byte; and for a whole request */
#define RECEIVE_MS_PER_KIB 1000 /* more for a whole request, for each KiB that has come */
#define RECEIVE_CHECK_MS 250
#define BODIES_MAX (32 << 20) /* bytes of requests that a thread may hold before they are complete */
#define BODIES_CHECK_MS 50
#define DRAIN_IDLE_MS 300 /* when the program ends: for a request to begin, and for it to be whole */

/* Whether the kernel has bytes of the client that nobody has read yet. */
static bool has_unread(const struct connection *connection)
{
    char byte;
    return recv(h2o_socket_get_fd(connection->socket), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static struct connection *of_place(h2o_linklist_t *place)
{
    return H2O_STRUCT_FROM_MEMBER(struct connection, place, place);
}

/* Returns the connection that is in a list for longest, at least ROOM_AFTER_MS, and has nothing unread; NULL: none. */
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
    /* the send buffer is empty, so the answer fits; if it did not, the client would see the connection close without one */
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
        return; /* nothing grows: connections that wait for their answers read no more */
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
            return; /* the rest is at most SERVER_BODY_MAX for each connection */
        total -= count_held(largest);
        largest->cut_off = true;
        metric_add(&metrics->closings[CLOSING_BODIES], 1);
        shutdown(h2o_socket_get_fd(largest->socket), SHUT_RDWR); /* the next read then finds it closed */
    }
}

/* Handles a connection whose time in its list is over: ends it, unless it is not late or has something unread. */
static void end_time(struct connection *connection)
{
    bool receiving = connection->state == CONNECTION_RECEIVING || connection->state == CONNECTION_BODY;
    if (receiving ? !is_late(connection) : has_unread(connection)) {
        connection_move(connection, connection->state); /* its time begins anew */
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
