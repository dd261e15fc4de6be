/*
 * Makes, renews and ends leases of workers for requests. Redis has each lease under the name of this thread and a number that is
 * never used again. So a lease can be ended whatever becomes of the call that makes it. If the answer is lost, this thread ends the
 * lease by the number that it asked for. If a thread is lost, all its leases end together, since nobody renews them.
 */
#include "store/requests.h"

#include "base/clock.h"
#include "base/log.h"
#include "model/catalogue.h"
#include "store/batch.h"
#include "store/counters.h"
#include "store/routing.h"

#include <stdio.h>
#include <stdlib.h>

const int64_t passing_bounds[HISTOGRAM_BUCKETS] = {1000,    2500,    5000,     10000,    25000,     100000,    250000,
                                                   1000000, 2500000, 10000000, 30000000, 120000000, 300000000, 600000000};

#define RENEW_MS 4000 /* less than a third of the time that leases last, LEASES_MS in lua/route.lua */
#define RETRY_MS 200  /* between two attempts to end leases */

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

struct request_lease *lease_new(struct store *store, uint64_t number, enum lease_state state)
{
    struct requests *requests = requests_of(store);
    struct request_lease *lease = store_alloc(sizeof(*lease));
    *lease = (struct request_lease){.prev = requests->last, .store = store, .number = number, .state = state, .uses = 1};
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

void lease_free(struct request_lease *lease)
{
    struct requests *requests = requests_of(lease->store);
    if (lease->state != LEASE_UNLEASED) {
        *(lease->prev != NULL ? &lease->prev->next : &requests->first) = lease->next;
        *(lease->next != NULL ? &lease->next->prev : &requests->last) = lease->prev;
        requests->count--;
    }
    buffer_fini(&lease->text);
    buffer_fini(&lease->services);
    buffer_fini(&lease->model);
    free(lease);
}

/* Logs and counts that a breaker has opened or closed: "1 opened llm w1"; "1" or "0": none has. */
static void note_breaker(struct str answer)
{
    str_cut(&answer, ' ');
    struct str change = str_cut(&answer, ' '), service = str_cut(&answer, ' ');
    if (change.len == 0)
        return;
    struct passing_counts *counts = passing_counts_own(catalogue_place(service, PASSING_SERVICES_MAX));
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
    [REQUEST_UNKNOWN] = {"u", 1},     [REQUEST_SERVED] = {"s", 1},   [REQUEST_FAILED] = {"f", 1},
    [REQUEST_UNREACHABLE] = {"c", 1}, [REQUEST_NOT_SENT] = {"u", 1},
};

static void on_ended(void *data, enum err err, const struct redisReply *reply, size_t index)
{
    struct request_lease *lease = data;
    struct requests *requests = requests_of(lease->store);
    if (err == ERR_NONE) {
        note_breaker(reply_text(reply_element(reply, index)));
        lease_free(lease);
        return;
    }
    lease->state = LEASE_UNSENT; /* if Redis has ended it and only the answer was lost, ending it again changes nothing */
    requests->unsent++;
    requests->retry_at = clock_ms() + RETRY_MS;
}

void lease_add(struct buffer *out, const struct request_lease *lease)
{
    command_add_number(out, (long long)lease->number);
}

void lease_end(struct request_lease *lease, enum request_outcome outcome)
{
    struct buffer *out = batch_begin(lease->store, SCRIPT_route);
    lease->state = LEASE_ENDING;
    lease->outcome = outcome;
    if (out == NULL) {
        on_ended(lease, ERR_UNAVAILABLE, NULL, 0);
        return;
    }
    command_add(out, STR("release"));
    lease_add(out, lease);
    command_add(out, outcome_words[outcome]);
    command_add_number(out, lease->uses - (outcome == REQUEST_NOT_SENT));
    batch_add(lease->store, SCRIPT_route, 4, true, on_ended, lease);
}

static void on_reported(void *data, enum err err, const struct redisReply *reply, size_t index)
{
    (void)data;
    if (err == ERR_NONE)
        note_breaker(reply_text(reply_element(reply, index)));
}

/* Reports the outcome of a request without a lease if it is a failure, or if the mark says that all outcomes count. */
static void report_outcome(struct request_lease *lease, enum request_outcome outcome)
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
    if (lease->state == LEASE_UNLEASED) {
        report_outcome(lease, outcome);
        lease_free(lease);
    } else if (!spares_keep(requests_of(store), lease, outcome)) {
        lease_end(lease, outcome);
    }
}

void store_end_spares(struct store *store)
{
    if (store->requests != NULL)
        spares_end(store->requests);
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
    (void)err; /* after an error the next renewal tries again */
    (void)reply;
    (void)index;
}

/* Makes Redis note a lease again that it has lost: its data was lost, or this thread stood still for longer than leases last. */
static void hold_lease(struct request_lease *lease)
{
    struct buffer *out = batch_begin(lease->store, SCRIPT_route);
    struct str rest = buffer_str(&lease->text);
    if (out == NULL)
        return;
    command_add(out, STR("hold"));
    lease_add(out, lease);
    for (int i = 0; i < 3; i++)
        command_add(out, str_cut(&rest, ' '));
    batch_add(lease->store, SCRIPT_route, 5, true, on_held, NULL);
}

/*
 * Compares this thread's leases with `numbers`, the leases that Redis has; both are in order. Ends leases that only Redis has, and
 * makes Redis note leases that it does not have.
 */
static void compare_leases(struct store *store, const uint64_t *numbers, size_t count)
{
    struct request_lease *lease = requests_of(store)->first, *last = requests_of(store)->last, *next;
    size_t i = 0;
    while (i < count || lease != NULL) {
        if (lease == NULL || (i < count && numbers[i] < lease->number)) {
            lease_end(lease_new(store, numbers[i], LEASE_HELD), REQUEST_NOT_SENT);
            i++;
            continue;
        }
        next = lease != last ? lease->next : NULL; /* the leases that were added just now come after `last` */
        if (i < count && numbers[i] == lease->number)
            i++;
        else if (lease->state == LEASE_HELD)
            hold_lease(lease);
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
    compare_leases(store, numbers, count);
    free(numbers);
}

static void renew_leases(struct store *store)
{
    struct buffer *out = batch_begin(store, SCRIPT_route);
    if (out == NULL)
        return;
    command_add(out, STR("renew"));
    batch_add(store, SCRIPT_route, 1, true, on_renewed, store);
}

/* Asks Redis again to end the leases that it could not be asked to end. */
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
    int32_t spares = requests != NULL ? spares_tick(requests) : RENEW_MS;
    if (requests == NULL || requests->count == 0)
        return RENEW_MS;
    if (requests->unsent > 0 && now >= requests->retry_at && store_is_up(store))
        end_unsent(requests);
    if (now >= requests->renew_at) {
        requests->renew_at = now + RENEW_MS;
        renew_leases(store);
    }
    int32_t next = requests->unsent > 0 ? RETRY_MS : (int32_t)(requests->renew_at - now);
    return spares < next ? spares : next;
}
