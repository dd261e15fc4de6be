/*
 * Writes that count as successful only when a failover can't undo them. A Redis that demands replicas (min-replicas-to-write)
 * takes a write while they are connected, but answers before they have the write. WAIT asks whether they have it. WAIT blocks its
 * connection. So these writes have a connection of their own (until it is up they use the thread's shared one), and one short
 * WAIT at a time asks for all writes before it.
 */
#include "base/clock.h"
#include "store/internal.h"

#include <stdlib.h>

#define WAIT_MS 50     /* the longest time that one WAIT blocks its connection */
#define GIVE_UP_MS 900 /* a write that is not confirmed by then ends with ERR_UNCONFIRMED */

/* A write that was sent to Redis. */
struct replicated {
    struct replicated *next; /* of the writes that Redis has taken and that replicas have not confirmed */
    struct confirmer *confirmer;
    link_callback *callback;
    store_callback *done;
    void *data;
    int64_t taken_at;
    bool asked; /* the WAIT under way is for it, too */
};

static void replicated_finish(struct replicated *write, enum err err)
{
    write->done(write->data, err);
    free(write);
}

static void replicated_keep(struct replicated *write)
{
    write->asked = false;
    write->next = write->confirmer->unconfirmed;
    write->confirmer->unconfirmed = write;
}

static void confirmer_ask(struct confirmer *confirmer);

static void on_waited(void *data, enum err err, const struct redisReply *reply)
{
    struct confirmer *confirmer = data;
    int64_t now = clock_ms();
    bool enough = err == ERR_NONE && reply_number(reply) >= link_min_replicas(confirmer->link);
    struct replicated *write = confirmer->unconfirmed, *next;
    confirmer->waiting = false;
    confirmer->unconfirmed = NULL;
    for (; write != NULL; write = next) {
        next = write->next;
        if (write->asked && (err != ERR_NONE || enough || now - write->taken_at >= GIVE_UP_MS))
            replicated_finish(write, enough ? ERR_NONE : err != ERR_NONE ? err : ERR_UNCONFIRMED);
        else
            replicated_keep(write);
    }
    confirmer_ask(confirmer);
}

/* Sends a WAIT for all unconfirmed writes, unless one is under way. */
static void confirmer_ask(struct confirmer *confirmer)
{
    if (confirmer->waiting || confirmer->unconfirmed == NULL)
        return;
    struct buffer command = BUFFER_INIT;
    command_begin(&command, 3);
    command_add(&command, STR("WAIT"));
    command_add_number(&command, link_min_replicas(confirmer->link));
    command_add_number(&command, WAIT_MS);
    for (struct replicated *write = confirmer->unconfirmed; write != NULL; write = write->next)
        write->asked = true;
    confirmer->waiting = true;
    enum err err = link_send(confirmer->link, &command, on_waited, confirmer);
    if (err != ERR_NONE)
        on_waited(confirmer, err, NULL);
}

static void on_taken(void *data, enum err err, const struct redisReply *reply)
{
    struct replicated *write = data;
    if (write->callback != NULL)
        write->callback(write->data, err, reply);
    if (err != ERR_NONE || link_min_replicas(write->confirmer->link) == 0) {
        replicated_finish(write, err);
        return;
    }
    write->taken_at = clock_ms();
    replicated_keep(write);
    confirmer_ask(write->confirmer);
}

int32_t store_tick_confirmer(struct store *store)
{
    if (store->own.link == NULL && link_min_replicas(store->link) > 0)
        store->own.link = link_new_alike(store->link);
    return store->own.link != NULL ? link_tick(store->own.link) : 1000;
}

enum err store_run_replicated(struct store *store, enum script script, struct buffer *command, link_callback *callback,
                              store_callback *done, void *data)
{
    struct replicated *write = store_alloc(sizeof(*write));
    bool on_its_own = link_min_replicas(store->link) > 0 && store->own.link != NULL && link_is_up(store->own.link);
    struct confirmer *confirmer = on_its_own ? &store->own : &store->shared;
    *write = (struct replicated){.confirmer = confirmer, .callback = callback, .done = done, .data = data};
    enum err err = link_run(confirmer->link, script, command, on_taken, write);
    if (err != ERR_NONE)
        free(write);
    return err;
}
