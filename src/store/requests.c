/*
 * Workers for requests: chosen, leased, given back. Redis has each lease under the name of this thread, with a number that is
 * never used again. So whatever becomes of a call, its lease can be ended: if an answer is lost, it is ended without having been
 * heard of; if a thread is lost, its leases end together, since nobody renews them.
 */
#include "store/requests.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "model/catalogue.h"
#include "store/batch.h"
#include "store/routing.h"

#include <stdio.h>
#include <stdlib.h>

#define RENEW_MS 5000 /* a third of what leases last, see lua/route.lua */
#define RETRY_MS 200  /* what could not be sent */
#define SLOTS 16384   /* that sessions share, see lua/route.lua */
#define PLACELESS_MAX 3

struct requests *requests_of(struct store *store)
{
    if (store->requests != NULL)
        return store->requests;
    struct requests *requests = store->requests = store_alloc(sizeof(*requests));
    snprintf(requests->thread, sizeof(requests->thread), "%016llx", (unsigned long long)store_random());
    requests->args[ROUTE_thread] = str_from(requests->thread);
    requests->args[ROUTE_region] = store->config->region;
    batch_use(store, SCRIPT_route, requests->args);
    return requests;
}

/* -- leases -------------------------------------------------------------------------------------------------------------------- */

static struct request_lease *lease_new(struct store *store, uint64_t number, enum lease_state state)
{
    struct requests *requests = requests_of(store);
    struct request_lease *lease = store_alloc(sizeof(*lease));
    *lease = (struct request_lease){.prev = requests->last, .store = store, .number = number, .state = state};
    *(lease->prev != NULL ? &lease->prev->next : &requests->first) = lease;
    requests->last = lease;
    requests->count++;
    return lease;
}

struct request_lease *lease_new_unleased(struct store *store, char mark)
{
    struct request_lease *lease = store_alloc(sizeof(*lease));
    *lease = (struct request_lease){.store = store, .state = LEASE_UNLEASED, .mark = mark};
    return lease;
}

static void lease_free(struct request_lease *lease)
{
    struct requests *requests = requests_of(lease->store);
    if (lease->state != LEASE_UNLEASED) {
        *(lease->prev != NULL ? &lease->prev->next : &requests->first) = lease->next;
        *(lease->next != NULL ? &lease->next->prev : &requests->last) = lease->prev;
        requests->count--;
    }
    buffer_fini(&lease->text);
    free(lease);
}

/* Logs and counts what has become of a breaker: "1 opened llm w1". */
static void note_breaker(struct str answer)
{
    str_cut(&answer, ' ');
    struct str change = str_cut(&answer, ' '), service = str_cut(&answer, ' ');
    if (change.len == 0)
        return;
    struct metrics_passing *counts = &metrics->passing[catalogue_place(service, METRICS_SERVICES_MAX)];
    if (str_eq(change, STR("opened"))) {
        metric_add(&counts->opened, 1);
        log_event(LOG_WARN, "breaker_opened", "requests of a service fail at a worker, which gets none for a while",
                  log_str("service", service), log_str("worker_id", answer));
    } else {
        metric_add(&counts->closed, 1);
        log_event(LOG_INFO, "breaker_closed", "a worker gets requests of a service again", log_str("service", service),
                  log_str("worker_id", answer));
    }
}

static const struct str outcome_words[] = {
    [REQUEST_UNKNOWN] = {"u", 1}, [REQUEST_SERVED] = {"s", 1}, [REQUEST_FAILED] = {"f", 1}, [REQUEST_UNREACHABLE] = {"c", 1}};

static void on_ended(void *data, enum err err, const struct redisReply *reply, size_t index)
{
    struct request_lease *lease = data;
    struct requests *requests = requests_of(lease->store);
    if (err == ERR_NONE) {
        note_breaker(reply_text(reply_element(reply, index)));
        lease_free(lease);
        return;
    }
    lease->state = LEASE_UNSENT; /* also when it was done and only the answer was lost: it is ended once */
    requests->unsent++;
    requests->retry_at = clock_ms() + RETRY_MS;
}

static void add_lease(struct buffer *out, const struct request_lease *lease)
{
    command_add_number(out, (long long)lease->number);
}

static void lease_end(struct request_lease *lease, enum request_outcome outcome)
{
    struct buffer *out = batch_begin(lease->store, SCRIPT_route);
    lease->state = LEASE_ENDING;
    lease->outcome = outcome;
    if (out == NULL) {
        on_ended(lease, ERR_UNAVAILABLE, NULL, 0);
        return;
    }
    command_add(out, STR("release"));
    add_lease(out, lease);
    command_add(out, outcome_words[outcome]);
    batch_add(lease->store, SCRIPT_route, 3, true, on_ended, lease);
}

static void on_reported(void *data, enum err err, const struct redisReply *reply, size_t index)
{
    (void)data;
    if (err == ERR_NONE)
        note_breaker(reply_text(reply_element(reply, index)));
}

/* Tells what became of a request without a lease, where that is of interest. */
static void report(struct request_lease *lease, enum request_outcome outcome)
{
    bool failed = outcome == REQUEST_FAILED || outcome == REQUEST_UNREACHABLE;
    struct str service = buffer_str(&lease->text), worker_id = str_cut(&service, ' ');
    service = str_cut(&service, ' ');
    if (failed)
        lists_drop(requests_of(lease->store)->lists, worker_id, service);
    struct buffer *out = failed || lease->mark != '-' ? batch_begin(lease->store, SCRIPT_route) : NULL;
    if (out == NULL)
        return;
    command_add(out, STR("report"));
    command_add(out, worker_id);
    command_add(out, service);
    command_add(out, outcome_words[outcome]);
    command_add(out, lease->mark == 't' ? STR("t") : STR(""));
    batch_add(lease->store, SCRIPT_route, 5, true, on_reported, NULL);
}

void store_release(struct store *store, struct request_lease *lease, enum request_outcome outcome)
{
    (void)store;
    if (lease->state != LEASE_UNLEASED) {
        lease_end(lease, outcome);
        return;
    }
    report(lease, outcome);
    lease_free(lease);
}

/* -- renewing ------------------------------------------------------------------------------------------------------------------ */

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void on_held(void *data, enum err err, const struct redisReply *reply, size_t index)
{
    (void)data;
    (void)err; /* the next renewal finds out */
    (void)reply;
    (void)index;
}

/* Has Redis note a lease again that it has forgotten: it was begun anew, or this thread stood still for long. */
static void hold(struct request_lease *lease)
{
    struct buffer *out = batch_begin(lease->store, SCRIPT_route);
    struct str rest = buffer_str(&lease->text);
    if (out == NULL)
        return;
    command_add(out, STR("hold"));
    add_lease(out, lease);
    for (int i = 0; i < 3; i++)
        command_add(out, str_cut(&rest, ' '));
    batch_add(lease->store, SCRIPT_route, 5, true, on_held, NULL);
}

/* Ends the leases that Redis has and this thread does not, and has it note those that it has not. Both are in order. */
static void compare(struct store *store, const uint64_t *numbers, size_t count)
{
    struct request_lease *lease = requests_of(store)->first, *last = requests_of(store)->last, *next;
    size_t i = 0;
    while (i < count || lease != NULL) {
        if (lease == NULL || (i < count && numbers[i] < lease->number)) {
            lease_end(lease_new(store, numbers[i], LEASE_HELD), REQUEST_UNKNOWN);
            i++;
            continue;
        }
        next = lease != last ? lease->next : NULL; /* not those that were added just now */
        if (i < count && numbers[i] == lease->number)
            i++;
        else if (lease->state == LEASE_HELD)
            hold(lease);
        lease = next;
    }
}

static void on_renewed(void *data, enum err err, const struct redisReply *reply, size_t index)
{
    struct store *store = data;
    struct str names = reply_text(reply_element(reply, index));
    if (err != ERR_NONE)
        return;
    uint64_t *numbers = store_alloc((names.len / 2 + 1) * sizeof(*numbers));
    size_t count = 0;
    while (names.ptr != NULL && names.len > 0) {
        numbers[count++] = strtoull(names.ptr, NULL, 10); /* Redis's texts end in NUL */
        str_cut(&names, ' ');
    }
    qsort(numbers, count, sizeof(*numbers), by_number);
    compare(store, numbers, count);
    free(numbers);
}

static void renew(struct store *store)
{
    struct buffer *out = batch_begin(store, SCRIPT_route);
    if (out == NULL)
        return;
    command_add(out, STR("renew"));
    batch_add(store, SCRIPT_route, 1, true, on_renewed, store);
}

/* Asks once more to end what could not be ended. */
static void end_unsent(struct requests *requests)
{
    struct request_lease *lease = requests->first, *next;
    requests->unsent = 0;
    for (; lease != NULL; lease = next) {
        next = lease->next;
        if (lease->state == LEASE_UNSENT)
            lease_end(lease, lease->outcome);
    }
}

int32_t requests_tick(struct store *store)
{
    struct requests *requests = store->requests;
    int64_t now = clock_ms();
    if (requests == NULL || requests->count == 0)
        return RENEW_MS;
    if (requests->unsent > 0 && now >= requests->retry_at && store_is_up(store))
        end_unsent(requests);
    if (now >= requests->renew_at) {
        requests->renew_at = now + RENEW_MS;
        renew(store);
    }
    return requests->unsent > 0 ? RETRY_MS : (int32_t)(requests->renew_at - now);
}

/* -- choosing ------------------------------------------------------------------------------------------------------------------ */

static void choosing_free(struct choosing *choosing)
{
    buffer_fini(&choosing->services);
    buffer_fini(&choosing->model);
    buffer_fini(&choosing->excluded);
    free(choosing);
}

void choosing_end(struct choosing *choosing, enum err err, const struct request_choice *choice, enum request_refusal refusal)
{
    choosing->callback(choosing->data, err, choice, refusal);
    choosing_free(choosing);
}

void choosing_refuse(struct choosing *choosing, struct str word)
{
    enum request_refusal refusal = choosing->placeless > 0       ? REQUEST_NO_ADDRESS
                                   : str_eq(word, STR("closed")) ? REQUEST_NONE_TAKES
                                   : str_eq(word, STR("tried"))  ? REQUEST_ALL_TRIED
                                   : str_eq(word, STR("open"))   ? REQUEST_ALL_OPEN
                                                                 : REQUEST_NO_WORKERS;
    choosing_end(choosing, ERR_NO_WORKER, NULL, refusal);
}

static enum err choosing_ask(struct choosing *choosing);

/* Chooses another one than a worker of which nobody knows where it is. */
static void choose_another(struct choosing *choosing)
{
    if (choosing->placeless++ == PLACELESS_MAX) {
        choosing_end(choosing, ERR_NO_WORKER, NULL, REQUEST_NO_ADDRESS);
        return;
    }
    if (choosing->excluded.len > 0)
        buffer_append(&choosing->excluded, STR(" "));
    buffer_append(&choosing->excluded, (struct str){choosing->id, choosing->id_len});
    enum err err = choosing_ask(choosing);
    if (err != ERR_NONE)
        choosing_end(choosing, err, NULL, REQUEST_NO_WORKERS);
}

static void on_site(void *data, enum err err, const struct site *site)
{
    struct choosing *choosing = data;
    struct request_choice choice = {
        .worker_id = {choosing->id, choosing->id_len},
        .service = {choosing->service, choosing->service_len},
        .has_model = choosing->has_model,
        .lease = choosing->lease,
    };
    bool placeless = err == ERR_WORKER_NOT_FOUND || (err == ERR_NONE && site->url.len == 0);
    if (placeless || err != ERR_NONE) {
        store_release(choosing->store, choosing->lease, REQUEST_UNKNOWN);
        choosing->lease = NULL;
    }
    if (placeless) {
        choose_another(choosing);
    } else if (err != ERR_NONE) {
        choosing_end(choosing, err, NULL, REQUEST_NO_WORKERS);
    } else {
        choice.url = site->url;
        choice.tls_fingerprint = site->tls_fingerprint;
        choosing_end(choosing, ERR_NONE, &choice, REQUEST_NO_WORKERS);
    }
}

static size_t copy_id(char room[ID_MAX], struct str id)
{
    size_t len = id.len < ID_MAX ? id.len : ID_MAX;
    if (id.ptr != NULL)
        memcpy(room, id.ptr, len);
    return id.ptr != NULL ? len : 0;
}

void choosing_take(struct choosing *choosing, struct str text)
{
    struct str id = str_cut(&text, ' '), service = str_cut(&text, ' ');
    struct buffer *out = &choosing->lease->text;
    choosing->has_model = str_eq(str_cut(&text, ' '), STR("1")) && choosing->model.len > 0;
    struct str stamp = str_cut(&text, ' ');
    choosing->id_len = copy_id(choosing->id, id);
    choosing->service_len = copy_id(choosing->service, service);
    buffer_append(out, id);
    buffer_append(out, STR(" "));
    buffer_append(out, service);
    buffer_append(out, STR(" "));
    buffer_append(out, choosing->has_model ? buffer_str(&choosing->model) : STR("-"));
    uint64_t turn = choosing->slot >= 0 ? (uint64_t)choosing->slot : choosing->unleased ? store_random() : choosing->lease->number;
    sites_find(choosing->store, (struct str){choosing->id, choosing->id_len},
               (struct str){choosing->service, choosing->service_len}, stamp, turn, on_site, choosing);
}

static void on_chosen(void *data, enum err err, const struct redisReply *reply, size_t index)
{
    struct choosing *choosing = data;
    struct str text = reply_text(reply_element(reply, index)), rest = text;
    struct str first = str_cut(&rest, ' ');
    if (err == ERR_NONE && str_eq(first, STR("!"))) {
        lease_free(choosing->lease);
        choosing_refuse(choosing, rest);
        return;
    }
    if (err == ERR_NONE && !id_is_valid(first)) /* somebody's redis-cli */
        err = ERR_INTERNAL;
    if (err != ERR_NONE) {
        lease_end(choosing->lease, REQUEST_UNKNOWN); /* Redis may have leased it */
        choosing_end(choosing, err, NULL, REQUEST_NO_WORKERS);
        return;
    }
    choosing->lease->state = LEASE_HELD;
    choosing_take(choosing, text);
}

static enum err choosing_ask(struct choosing *choosing)
{
    struct requests *requests = requests_of(choosing->store);
    if (choosing->unleased)
        return lists_choose(choosing);
    struct buffer *out = batch_begin(choosing->store, SCRIPT_route);
    if (out == NULL)
        return store_check(choosing->store);
    choosing->lease = lease_new(choosing->store, ++requests->next_number, LEASE_ASKED);
    command_add(out, STR("choose"));
    add_lease(out, choosing->lease);
    command_add(out, buffer_str(&choosing->services));
    command_add(out, buffer_str(&choosing->model));
    if (choosing->slot >= 0)
        command_add_number(out, choosing->slot);
    else
        command_add(out, STR(""));
    command_add(out, buffer_str(&choosing->excluded));
    command_add_number(out, (long long)(store_random() >> 34)); /* as much as the script's generator takes */
    batch_add(choosing->store, SCRIPT_route, 7, true, on_chosen, choosing);
    return ERR_NONE;
}

/* The slot of a session: some share one, and so a worker. The model counts, since a worker remembers a conversation for each. */
static int slot_of(struct str session, struct str model)
{
    if (session.len == 0)
        return -1;
    return (int)((str_hash(session) ^ str_hash(model) * 31) % SLOTS);
}

enum err store_choose(struct store *store, const struct request_wish *wish, store_choice_callback *callback, void *data)
{
    struct choosing *choosing = store_alloc(sizeof(*choosing));
    *choosing = (struct choosing){.store = store, .callback = callback, .data = data};
    choosing->slot = slot_of(wish->session, wish->model);
    choosing->unleased = wish->unleased;
    buffer_append(&choosing->services, wish->services);
    buffer_append(&choosing->model, wish->model);
    buffer_append(&choosing->excluded, wish->excluded);
    enum err err = choosing_ask(choosing);
    if (err != ERR_NONE)
        choosing_free(choosing);
    return err;
}
