/*
 * Reads workers: one, or all of them page by page. A page is read by many short commands that are sent together, and not by a
 * script, so that Redis serves other clients between them.
 */
#include "model/id.h"
#include "model/status.h"
#include "store/internal.h"
#include "store/row.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define PAGE STORE_DISCOVER_MAX /* workers read together */
#define STATUS_MAX 16
#define ENTRIES_MAX (32 * PAGE) /* workers that all listings under way may have room for */

static void copy_status(char room[STATUS_MAX], struct str status)
{
    size_t len = status.len < STATUS_MAX ? status.len : STATUS_MAX - 1;
    if (len > 0)
        memcpy(room, status.ptr, len);
    room[len] = '\0';
}

struct listing {
    struct store *store;
    store_row_callback *row;
    store_callback *done;
    void *data;
    int64_t now; /* Redis's clock when the listing began */
    bool ended;  /* `done` has been called; only replies are waited for */
    enum err err;
    bool last_page;
    size_t waiting;         /* replies still to come */
    size_t count, at;       /* workers of the page; the one whose registration comes next */
    size_t deadlines_read;  /* replies with deadlines that have come, two for each worker */
    struct row_state state; /* of the worker whose registration comes next */
    int64_t *total;         /* of a discovery: becomes the number of all workers found */
    size_t fields;          /* how many fields of a worker are read */
    size_t capacity;        /* the most workers of a page */
    struct {
        size_t len;
        char id[ID_MAX];
        char online[STATUS_MAX]; /* the status it counts as; empty: offline */
        int64_t requests;        /* under way to it */
        int64_t load, deadline;  /* if TTLs don't count: its load in millionths; when it is offline or removed, ms */
    } entries[];
};

/* Counts one more expected reply, or notes the error if the command was not sent. */
static void count_sent(struct listing *listing, enum err err)
{
    if (err == ERR_NONE)
        listing->waiting++;
    else
        listing->err = err;
}

static void send_command(struct listing *listing, struct buffer *command, link_callback *callback)
{
    count_sent(listing, link_send(listing->store->link, command, callback, listing));
}

static struct str id_at(const struct listing *listing, size_t i)
{
    return (struct str){listing->entries[i].id, listing->entries[i].len};
}

static void end_listing(struct listing *listing)
{
    if (!listing->ended) {
        listing->ended = true;
        listing->store->entries -= listing->capacity;
        listing->done(listing->data, listing->err);
    }
}

/* Frees the listing if no reply is expected: an error prevented the next command, or the listing has ended. */
static void free_if_over(struct listing *listing)
{
    if (listing->waiting > 0)
        return;
    end_listing(listing);
    buffer_fini(&listing->state.text);
    free(listing);
}

/* Counts one expected reply less. Returns false if the listing is over: the caller must not use it, since it may be freed. */
static bool count_arrived(struct listing *listing, enum err err)
{
    listing->waiting--;
    if (err != ERR_NONE && listing->err == ERR_NONE)
        listing->err = err;
    if (listing->err == ERR_NONE && !listing->ended)
        return true;
    end_listing(listing);
    free_if_over(listing);
    return false;
}

static void on_ids(void *data, enum err err, const struct redisReply *reply);

/* Asks for the next page, after `after`; absent for the first page. */
static void ask_for_ids(struct listing *listing, struct str after)
{
    struct buffer from = BUFFER_INIT, command = BUFFER_INIT;
    buffer_append(&from, after.ptr != NULL ? STR("(") : STR("-"));
    buffer_append(&from, after);
    command_begin(&command, 7);
    command_add(&command, STR("ZRANGEBYLEX"));
    command_add(&command, key_name(KEY_workers));
    command_add(&command, buffer_str(&from));
    command_add(&command, STR("+"));
    command_add(&command, STR("LIMIT"));
    command_add(&command, STR("0"));
    command_add_number(&command, PAGE);
    buffer_fini(&from);
    send_command(listing, &command, on_ids);
}

/* Makes a worker from its state and the reply with its registration; false if the worker does not exist (any more). */
static bool read_worker(const struct listing *listing, const struct redisReply *reply, struct worker *worker)
{
    memcpy(worker->fields, listing->state.fields, sizeof(listing->state.fields));
    for (size_t field = WORKER_STATE_COUNT; field < listing->fields; field++)
        worker->fields[field] = reply_text(reply_element(reply, field - WORKER_STATE_COUNT));
    return worker->fields[WORKER_last_heartbeat].ptr != NULL && worker->fields[WORKER_tier].ptr != NULL;
}

static void on_state(void *data, enum err err, const struct redisReply *reply)
{
    struct listing *listing = data;
    if (count_arrived(listing, err))
        row_keep(&listing->state, reply);
}

/* If the hash of worker `i` has expired while TTLs don't count, makes its state from what the indexes know. */
static void recall_state(struct listing *listing, size_t i)
{
    const struct store_config *config = listing->store->config;
    struct str status = str_from(listing->entries[i].online);
    int64_t timeout = status.len > 0 ? config->heartbeat_timeout_ms : config->worker_timeout_ms;
    if (listing->entries[i].deadline > timeout && listing->state.fields[WORKER_last_heartbeat].ptr == NULL)
        row_recall(&listing->state, status, listing->entries[i].load, listing->entries[i].deadline - timeout);
}

static void on_worker(void *data, enum err err, const struct redisReply *reply)
{
    struct listing *listing = data;
    if (!count_arrived(listing, err))
        return;
    size_t i = listing->at++;
    struct worker worker = {.id = id_at(listing, i), .online = str_from(listing->entries[i].online)};
    worker.requests = listing->entries[i].requests;
    bool go_on = true;
    recall_state(listing, i);
    if (read_worker(listing, reply, &worker))
        go_on = listing->row(listing->data, &worker, listing->now);
    if (!go_on || (listing->at == listing->count && listing->last_page))
        end_listing(listing);
    free_if_over(listing);
}

static void on_online(void *data, enum err err, const struct redisReply *reply)
{
    struct listing *listing = data;
    if (!count_arrived(listing, err))
        return;
    for (size_t i = 0; i < listing->count; i++)
        copy_status(listing->entries[i].online, reply_text(reply_element(reply, i)));
}

/* Takes the status and the load of each worker: the second and the third word of its ledger entry. */
static void on_ledger(void *data, enum err err, const struct redisReply *reply)
{
    struct listing *listing = data;
    if (!count_arrived(listing, err))
        return;
    for (size_t i = 0; i < listing->count; i++) {
        struct str entry = reply_text(reply_element(reply, i));
        (void)str_cut(&entry, ' ');
        struct str status = str_cut(&entry, ' ');
        copy_status(listing->entries[i].online, str_eq(status, worker_status_words[WORKER_OFFLINE]) ? STR("") : status);
        listing->entries[i].load = entry.len > 0 ? strtoll(entry.ptr, NULL, 10) : 0;
    }
}

/* Takes the deadline of a worker. Each worker has two replies, and one of the indexes `online` and `offline` has the worker. */
static void on_deadline(void *data, enum err err, const struct redisReply *reply)
{
    struct listing *listing = data;
    if (!count_arrived(listing, err))
        return;
    size_t i = listing->deadlines_read++ / 2;
    if (reply_number(reply) > 0)
        listing->entries[i].deadline = reply_number(reply);
}

static void on_requests(void *data, enum err err, const struct redisReply *reply)
{
    struct listing *listing = data;
    if (!count_arrived(listing, err))
        return;
    for (size_t i = 0; i < listing->count; i++)
        listing->entries[i].requests = reply_number(reply_element(reply, i));
}

/* Takes the page's ids from a reply's elements from `first` on. */
static void take_ids(struct listing *listing, const struct redisReply *reply, size_t first)
{
    listing->at = listing->count = listing->deadlines_read = 0;
    for (size_t i = first; reply_element(reply, i) != NULL; i++) {
        struct str id = reply_text(reply_element(reply, i));
        if (!id_is_valid(id) || listing->count == listing->capacity)
            continue; /* not a worker's id: somebody has written it with redis-cli */
        memcpy(listing->entries[listing->count].id, id.ptr, id.len);
        listing->entries[listing->count].deadline = 0;
        listing->entries[listing->count++].len = id.len;
    }
}

/* Asks for the fields of hash `key` that are named after the page's workers. */
static void ask_by_id(struct listing *listing, enum key key, link_callback *callback)
{
    struct buffer command = BUFFER_INIT;
    command_begin(&command, 2 + listing->count);
    command_add(&command, STR("HMGET"));
    command_add(&command, key_name(key));
    for (size_t i = 0; i < listing->count; i++)
        command_add(&command, id_at(listing, i));
    send_command(listing, &command, callback);
}

/* Asks when each worker is offline or removed. It calls ZSCORE, since Redis's user need not be permitted to call ZMSCORE. */
static void ask_for_deadlines(struct listing *listing)
{
    static const enum key indexes[] = {KEY_online, KEY_offline};
    for (size_t i = 0; i < 2 * listing->count; i++) {
        struct buffer command = BUFFER_INIT;
        command_begin(&command, 3);
        command_add(&command, STR("ZSCORE"));
        command_add(&command, key_name(indexes[i % 2]));
        command_add(&command, id_at(listing, i / 2));
        send_command(listing, &command, on_deadline);
    }
}

static void ask_for_online(struct listing *listing)
{
    struct buffer command = BUFFER_INIT;
    command_begin(&command, 1 + listing->count);
    command_add(&command, STR("MGET"));
    for (size_t i = 0; i < listing->count; i++) {
        char room[KEY_MAX];
        command_add(&command, key_worker_online(room, id_at(listing, i)));
    }
    send_command(listing, &command, on_online);
}

/* Asks for the workers of the page. */
static void ask_for_page(struct listing *listing)
{
    struct buffer command = BUFFER_INIT;
    if (store_ignores_ttls(listing->store)) {
        ask_by_id(listing, KEY_ledger, on_ledger);
        ask_for_deadlines(listing);
    } else {
        ask_for_online(listing);
    }
    ask_by_id(listing, KEY_requests, on_requests);
    for (size_t i = 0; i < listing->count; i++) {
        row_ask_state(&command, id_at(listing, i));
        send_command(listing, &command, on_state);
        row_ask_registration(&command, id_at(listing, i), listing->fields);
        send_command(listing, &command, on_worker);
    }
}

static void on_ids(void *data, enum err err, const struct redisReply *reply)
{
    struct listing *listing = data;
    if (!count_arrived(listing, err))
        return;
    take_ids(listing, reply, 0);
    listing->last_page = reply->elements < PAGE;
    if (listing->count > 0)
        ask_for_page(listing);
    else if (listing->last_page)
        end_listing(listing);
    if (!listing->last_page) /* the next page's ids come after this page's workers; a page may have no valid id */
        ask_for_ids(listing, reply_text(reply_element(reply, PAGE - 1)));
    free_if_over(listing);
}

/* Takes the number of all workers found, and then the ids, best first. */
static void on_found(void *data, enum err err, const struct redisReply *reply)
{
    struct listing *listing = data;
    if (!count_arrived(listing, err))
        return;
    *listing->total = reply_number(reply_element(reply, 0));
    take_ids(listing, reply, 1);
    listing->last_page = true;
    if (listing->count == 0)
        end_listing(listing);
    else
        ask_for_page(listing);
    free_if_over(listing);
}

static int64_t time_of(const struct redisReply *reply)
{
    return reply_number(reply_element(reply, 0)) * 1000 + reply_number(reply_element(reply, 1)) / 1000;
}

static void on_time(void *data, enum err err, const struct redisReply *reply)
{
    struct listing *listing = data;
    if (count_arrived(listing, err))
        listing->now = time_of(reply);
}

static void time_command(struct buffer *command)
{
    command_begin(command, 1);
    command_add(command, STR("TIME"));
}

/* Begins a listing. The caller then asks for ids, or for workers whose ids it knows. */
static struct listing *listing_new(struct store *store, size_t capacity, store_row_callback *row, store_callback *done, void *data)
{
    struct listing *listing = store_alloc(sizeof(*listing) + capacity * sizeof(listing->entries[0]));
    *listing =
        (struct listing){.store = store, .fields = WORKER_ROW_COUNT, .capacity = capacity, .row = row, .done = done, .data = data};
    struct buffer command = BUFFER_INIT;
    time_command(&command);
    send_command(listing, &command, on_time);
    return listing;
}

/* Ends the beginning of a listing. If no command was sent, frees the listing and returns the error. */
static enum err listing_begun(struct listing *listing)
{
    if (listing->waiting > 0) {
        listing->store->entries += listing->capacity;
        return ERR_NONE;
    }
    enum err err = listing->err;
    free(listing);
    return err;
}

enum err store_list(struct store *store, struct str cursor, bool whole, store_row_callback *row, store_callback *done, void *data)
{
    if (store->entries + PAGE > ENTRIES_MAX)
        return ERR_OVERLOADED;
    struct listing *listing = listing_new(store, PAGE, row, done, data);
    listing->fields = whole ? WORKER_FIELD_COUNT : WORKER_ROW_COUNT;
    ask_for_ids(listing, cursor);
    return listing_begun(listing);
}

/* Makes a random number from 0 to less than 1, as text. */
static struct str make_random(char room[16])
{
    uint32_t random;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        abort();
    int len = snprintf(room, 16, "0.%09u", random % 1000000000u);
    return (struct str){room, (size_t)len};
}

enum err store_discover(struct store *store, struct str service, struct str model, size_t max, int64_t *total,
                        store_row_callback *row, store_callback *done, void *data)
{
    size_t capacity = max < STORE_DISCOVER_MAX ? max : STORE_DISCOVER_MAX;
    if (store->entries + capacity > ENTRIES_MAX)
        return ERR_OVERLOADED;
    char max_room[24], random_room[16];
    int len = snprintf(max_room, sizeof(max_room), "%zu", capacity);
    struct str args[DISCOVER_ARGS] = {
        [DISCOVER_service] = service,
        [DISCOVER_model] = model,
        [DISCOVER_region] = store->config->region,
        [DISCOVER_max] = {max_room, (size_t)len},
        [DISCOVER_random] = make_random(random_room),
        [DISCOVER_indexed] = store_ignores_ttls(store) ? STR("1") : STR("0"),
    };
    struct listing *listing = listing_new(store, capacity, row, done, data);
    listing->total = total;
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_discover, args, 0);
    count_sent(listing, store_run_swept(store, SCRIPT_discover, &command, on_found, listing));
    return listing_begun(listing);
}

/* One worker is a listing of one. */
struct getting {
    store_worker_callback *callback;
    void *data;
    bool found;
};

static bool on_got(void *data, const struct worker *worker, int64_t now)
{
    struct getting *getting = data;
    getting->found = true;
    getting->callback(getting->data, ERR_NONE, worker, now);
    return false;
}

static void on_got_all(void *data, enum err err)
{
    struct getting *getting = data;
    if (!getting->found)
        getting->callback(getting->data, err != ERR_NONE ? err : ERR_WORKER_NOT_FOUND, NULL, 0);
    free(getting);
}

enum err store_get(struct store *store, struct str worker_id, store_worker_callback *callback, void *data)
{
    enum err err = store_check(store);
    if (err != ERR_NONE)
        return err;
    struct getting *getting = store_alloc(sizeof(*getting));
    *getting = (struct getting){callback, data, false};
    struct listing *listing = listing_new(store, 1, on_got, on_got_all, getting);
    listing->fields = WORKER_FIELD_COUNT;
    memcpy(listing->entries[0].id, worker_id.ptr, worker_id.len);
    listing->entries[0].len = worker_id.len;
    listing->count = 1;
    listing->last_page = true;
    ask_for_page(listing);
    err = listing_begun(listing);
    if (err != ERR_NONE)
        free(getting);
    return err;
}
