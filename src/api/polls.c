#include "api/polls.h"

#include "api/admit.h"
#include "api/common.h"
#include "api/heartbeat.h"
#include "api/tenure.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "http/reply.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

#define LOOK_MS 5000 /* between two looks after the parked polls: while tasks are queued, a wake may have been lost */
#define LOOKED_AT 64 /* at most so many polls are looked after in one turn of the loop */
#define NO_SLOT ((size_t)-1)

struct poll {
    struct polls *polls;
    struct pending *pending;
    size_t slot;     /* its place in polls->slots; NO_SLOT: it does not wait */
    int64_t until;   /* clock_ms; the end of its wait */
    bool asking;     /* Redis has not answered yet */
    bool woken;      /* a wake came while it was asking: the answer may not know of that task */
    bool registered; /* it is among the waiters in Redis */
    bool unheard;    /* the last answer was lost, which may have given it tasks */
    struct ask ask;  /* its texts are in `texts` */
    struct tenure tenure;
    struct buffer texts;
    struct str lead;    /* members of the answer before the tasks, in `texts`; mostly absent */
    struct buffer lane; /* of the task that it was woken for; empty: it was woken for none */
    char waiter[64], since[24];
    char name[64]; /* the id of its asks if the client gives none: what a lost answer gave is had again, or given back */
};

/* A slot gets a new number each time it is taken, so that a late wake for its last poll does not reach the next one. */
struct slot {
    struct poll *poll; /* NULL: free */
    uint32_t number;
    size_t next_free;
};

struct polls {
    struct store *store;
    unsigned long long named; /* how many asks have got an id */
    struct slot *slots;
    size_t capacity, count, first_free;
    size_t look_from; /* slots from this one on are still to be looked after; `capacity` or more: none are */
    bool ask_all;     /* looking after a poll makes it ask again; false: only after a lost answer */
    int64_t look_at;  /* clock_ms; when the polls are looked after next */
};

static void ask_again(struct poll *poll);

static void take_slot(struct poll *poll)
{
    struct polls *polls = poll->polls;
    if (polls->first_free == NO_SLOT) {
        size_t capacity = polls->capacity > 0 ? 2 * polls->capacity : 64;
        polls->slots = realloc(polls->slots, capacity * sizeof(*polls->slots));
        if (polls->slots == NULL)
            abort();
        for (size_t i = polls->capacity; i < capacity; i++)
            polls->slots[i] = (struct slot){.next_free = i + 1 < capacity ? i + 1 : NO_SLOT};
        polls->first_free = polls->capacity;
        polls->capacity = capacity;
    }
    poll->slot = polls->first_free;
    struct slot *slot = &polls->slots[poll->slot];
    polls->first_free = slot->next_free;
    slot->poll = poll;
    slot->number++;
    polls->count++;
    snprintf(poll->waiter, sizeof(poll->waiter), "%s %zu-%u", store_thread_name(polls->store), poll->slot, slot->number);
}

/* Returns the poll named "slot-number"; NULL when it is over. */
static struct poll *find_poll(const struct polls *polls, struct str name)
{
    char text[48] = "", *end;
    if (name.len >= sizeof(text))
        return NULL;
    memcpy(text, name.ptr, name.len);
    unsigned long long slot = strtoull(text, &end, 10);
    if (*end != '-' || slot >= polls->capacity || strtoul(end + 1, NULL, 10) != polls->slots[slot].number)
        return NULL;
    return polls->slots[slot].poll;
}

static bool is_named_by_us(const struct poll *poll)
{
    return poll->ask.id.ptr == poll->name;
}

static void end_poll(struct poll *poll)
{
    struct polls *polls = poll->polls;
    tenure_end(&poll->tenure);
    /* a client that gave an id, or an agent that works on one task after the other, asks for the same tasks again */
    if (poll->unheard && is_named_by_us(poll) && !poll->ask.one_by_one)
        store_give_back(polls->store, poll->ask.worker_id, poll->ask.id, NULL);
    if (poll->registered)
        store_unpark(polls->store, str_from(poll->waiter));
    if (poll->slot != NO_SLOT) {
        polls->slots[poll->slot].poll = NULL;
        polls->slots[poll->slot].next_free = polls->first_free;
        polls->first_free = poll->slot;
        polls->count--;
    }
    buffer_fini(&poll->texts);
    buffer_fini(&poll->lane);
    pending_release(poll->pending, ERR_INTERNAL);
}

static void write_lease(struct buffer *out, const struct lease *lease)
{
    char token[64];
    snprintf(token, sizeof(token), "%.*s", STR_PRINTF(lease->lease));
    char *blank = strchr(token, ' ');
    if (blank != NULL)
        *blank = '-';
    json_begin_object(out, NULL);
    json_add_text(out, "task_id", lease->task_id);
    json_add_text(out, "queue", lease->queue);
    json_add_text(out, "type", lease->type);
    json_add_raw(out, "payload", lease->payload);
    json_add_raw(out, "priority", lease->priority);
    json_add_raw(out, "attempt", lease->attempt);
    json_add_raw(out, "max_attempts", lease->max_attempts);
    json_add_text(out, "lease", str_from(token));
    json_add_integer(out, "lease_seq", strtoll(token, NULL, 10));
    json_add_number(out, "lease_seconds", strtod(lease->lease_ms.ptr, NULL) / 1000); /* Redis's texts end in NUL */
    json_add_time(out, "started_at", strtoll(lease->started_at.ptr, NULL, 10));
    json_add_time(out, "deadline", strtoll(lease->deadline.ptr, NULL, 10));
    json_end_object(out);
}

/* answer: NULL if Redis has failed to give one. */
static void reply_answer(struct request *request, struct str lead, const struct asked *answer)
{
    struct buffer body = BUFFER_INIT;
    json_begin_object(&body, NULL);
    if (lead.len > 0)
        json_add_raw(&body, NULL, lead);
    json_begin_array(&body, "tasks");
    for (size_t i = 0; answer != NULL && i < answer->count; i++) {
        struct lease lease = asked_lease(answer, i);
        write_lease(&body, &lease);
    }
    json_end_array(&body);
    if (answer != NULL)
        heartbeat_write_news(&body, &(struct task_news){.lost = answer->lost, .cancel = answer->cancel});
    json_end_object(&body);
    reply_json(request, 200, &body);
}

static void reply_nothing(struct request *request)
{
    reply_constant(request, 200, STR("{\"tasks\":[]}"));
}

/* Gives back the tasks of a poll whose request is gone. If it was woken for a task and got none, wakes another waiter. */
static void give_back(struct poll *poll, const struct asked *answer)
{
    struct store *store = poll->polls->store;
    if (answer->count > 0)
        store_give_back(store, poll->ask.worker_id, poll->ask.id, answer);
    else if (poll->lane.len > 0 && answer->kind != ANSWER_GIVEN)
        store_wake_another(store, buffer_str(&poll->lane));
}

/* Lets the poll wait, since Redis has nothing for it now. */
static void wait_on(struct poll *poll, const struct asked *answer)
{
    if (answer->kind == ANSWER_PARKED) {
        poll->registered = true;
        if (poll->since[0] == '\0')
            snprintf(poll->since, sizeof(poll->since), "%.*s", STR_PRINTF(answer->now));
    }
    if (poll->woken) { /* the wake came before this answer */
        poll->registered = false;
        ask_again(poll);
    } else {
        poll->lane.len = 0;
    }
}

static void take_answer(struct poll *poll, enum err err, const struct asked *answer)
{
    bool swept = poll->ask.swept;
    poll->asking = false;
    poll->ask.lost = err != ERR_NONE;
    poll->ask.swept = false;
    if (!pending_is_waited_for(poll->pending)) {
        if (err == ERR_NONE) {
            poll->registered = answer->kind == ANSWER_PARKED;
            give_back(poll, answer);
        }
        end_poll(poll);
        return;
    }
    if (err == ERR_NONE && answer->kind == ANSWER_UNKNOWN)
        err = ERR_WORKER_NOT_FOUND;
    if (err == ERR_NONE && answer->kind == ANSWER_OTHERS)
        err = ERR_OTHERS;
    if (err == ERR_NONE && answer->kind == ANSWER_DUE && !swept) {
        store_sweep_first(poll->polls->store);
        poll->ask.swept = true;
        ask_again(poll);
        return;
    }
    if (err == ERR_NONE && answer->kind != ANSWER_GIVEN && poll->slot != NO_SLOT) {
        wait_on(poll, answer);
        return;
    }
    if (err_is_retryable(err) && poll->since[0] != '\0')
        return; /* it was parked before, so it goes on waiting; it asks again when Redis is back */

    /* the answer knows nothing of the task of this wake */
    if (poll->woken && poll->lane.len > 0)
        store_wake_another(poll->polls->store, buffer_str(&poll->lane));
    struct request *request = pending_take(poll->pending);
    if (err == ERR_NONE || poll->lead.len > 0)
        reply_answer(request, poll->lead, answer);
    else if (err == ERR_OTHERS)
        admit_refuse_other(request);
    else
        reply_error(request, err, NULL, NULL);
    end_poll(poll);
}

static void on_answer(void *data, enum err err, const struct asked *answer)
{
    struct poll *poll = data;
    poll->unheard = err_is_retryable(err);
    take_answer(poll, err, answer);
}

static void ask_again(struct poll *poll)
{
    struct polls *polls = poll->polls;
    int64_t left = poll->until - clock_ms();
    bool may_wait = poll->slot != NO_SLOT && left > 0 && store_hears_wakes(polls->store);
    poll->ask.waiter = may_wait || poll->since[0] != '\0' ? str_from(poll->waiter) : (struct str){NULL, 0};
    poll->ask.since = str_from(poll->since);
    poll->ask.wait_ms = may_wait ? left : 0;
    poll->ask.lane = buffer_str(&poll->lane);
    poll->asking = true;
    poll->woken = false;
    enum err err = store_ask(polls->store, &poll->ask, on_answer, poll);
    if (err != ERR_NONE)
        take_answer(poll, err, NULL);
}

/* Answers a poll without tasks: its time is over, its client has left, or the program ends. */
static void on_late(struct request *request)
{
    struct poll *poll = request->waiting;
    if (poll->lead.len > 0)
        reply_answer(request, poll->lead, NULL);
    else
        reply_nothing(request);
    if (!poll->asking)
        end_poll(poll);
}

/* Refuses a poll whose worker's credential has ended. */
static void on_over(void *data, enum err err)
{
    struct poll *poll = data;
    struct request *request = pending_take(poll->pending);
    if (request != NULL)
        admit_refuse(request, err);
    if (!poll->asking)
        end_poll(poll);
}

static struct str keep_text(struct poll *poll, struct str text)
{
    char *to = poll->texts.ptr + poll->texts.len;
    buffer_append(&poll->texts, text);
    return text.ptr != NULL ? (struct str){to, text.len} : text;
}

void polls_ask(struct polls *polls, struct request *request, const struct ask *ask, int wait_s, struct str lead)
{
    struct pending *pending = pending_new(request, wait_s > 0 || lead.len > 0 ? on_late : NULL, sizeof(struct poll));
    struct poll *poll = pending_payload(pending);
    *poll = (struct poll){.polls = polls, .pending = pending, .slot = NO_SLOT, .ask = *ask};
    size_t room = ask->worker_id.len + ask->join.len + ask->queues.len + ask->id.len + lead.len;
    buffer_reserve(&poll->texts, room + 1); /* they can't move */
    poll->ask.worker_id = keep_text(poll, ask->worker_id);
    poll->ask.join = keep_text(poll, ask->join);
    poll->ask.queues = keep_text(poll, ask->queues);
    poll->ask.id = keep_text(poll, ask->id);
    poll->lead = keep_text(poll, lead);
    if (ask->id.ptr == NULL) {
        snprintf(poll->name, sizeof(poll->name), "=%s.%llu", store_thread_name(polls->store), ++polls->named);
        poll->ask.id = str_from(poll->name);
    }
    request->waiting = poll;
    if (wait_s > 0) {
        take_slot(poll);
        poll->until = clock_ms() + wait_s * 1000;
        pending_park(pending, wait_s * 1000);
        tenure_begin(&poll->tenure, request, on_over, poll);
    }
    ask_again(poll);
}

/* Begins to look after all polls, some in each turn. */
static void look_after(struct polls *polls, bool ask_all)
{
    polls->look_from = 0;
    polls->ask_all = ask_all;
    polls->look_at = clock_ms() + LOOK_MS;
}

static void on_wake(void *data, struct str name, struct str lane)
{
    struct polls *polls = data;
    if (name.ptr == NULL) { /* it listens now, or again: earlier wakes may be lost */
        look_after(polls, true);
        return;
    }
    struct poll *poll = find_poll(polls, name);
    if (poll == NULL || !pending_is_waited_for(poll->pending)) {
        if (lane.len > 0)
            store_wake_another(polls->store, lane);
        return;
    }
    poll->lane.len = 0;
    buffer_append(&poll->lane, lane);
    poll->registered = false;
    if (poll->asking)
        poll->woken = true;
    else
        ask_again(poll);
}

struct polls *polls_new(struct store *store)
{
    struct polls *polls = calloc(1, sizeof(*polls));
    if (polls == NULL)
        abort();
    polls->store = store;
    polls->first_free = NO_SLOT;
    store_take_wakes(store, on_wake, polls);
    return polls;
}

int32_t polls_tick(struct polls *polls)
{
    int32_t next = store_wakes_tick(polls->store), repeat = store_give_back_tick(polls->store);
    next = repeat < next ? repeat : next;
    if (polls->count == 0)
        return next;
    if (clock_ms() >= polls->look_at)
        look_after(polls, store_has_queued());
    for (size_t left = LOOKED_AT; left > 0 && polls->look_from < polls->capacity; polls->look_from++) {
        struct poll *poll = polls->slots[polls->look_from].poll;
        if (poll == NULL)
            continue;
        left--;
        if (poll->asking) {
            poll->woken = poll->woken || polls->ask_all;
            continue;
        }
        if (!pending_is_waited_for(poll->pending))
            end_poll(poll);
        else if (polls->ask_all || poll->ask.lost)
            ask_again(poll);
    }
    return polls->look_from < polls->capacity ? 0 : next;
}
